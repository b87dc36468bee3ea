"""How is a worker held to its limits? It joins the cgroups it is told, or its supervisor looks.

A cgroup's limit is the kernel's: nothing gets past it. A supervisor looks again when the rest could
have been taken, so it may be late, and what is freed in between it never sees.
"""

from __future__ import annotations

import os
import time
from typing import Any, Dict, Iterator

SOONEST, LATEST = 0.05, 1.0
"""Seconds until the next look."""
FASTEST = 4 << 30
"""Bytes a second that a worker may at most be expected to take."""


def join(orders: Dict[str, Any]) -> None:
    """In the worker, before anything of the user's runs. Raises OSError."""
    for folder in orders["cgroups"]:
        with open(os.path.join(folder, "cgroup.procs"), "w") as file:
            file.write("0")
    if orders["cores"]:
        os.sched_setaffinity(0, orders["cores"])


class Watch:
    """In the supervisor: whether the worker uses more memory than it may."""

    def __init__(self, most: int, note: str) -> None:
        self._most = most
        self._note = note
        self._next = time.monotonic() + SOONEST

    def patience(self) -> float:
        """Milliseconds until the next look."""
        return max(0.0, self._next - time.monotonic()) * 1000 + 1

    def is_over(self) -> bool:
        """True once it does; then the note that says so is written."""
        now = time.monotonic()
        if now < self._next:
            return False
        left = self._most - memory(os.getpid())
        if left >= 0:
            self._next = now + min(LATEST, max(SOONEST, left / FASTEST))
            return False
        with open(self._note, "w") as file:
            file.write("out of memory")
        return True


def memory(root: int) -> int:
    """Bytes of all that came of a process, without itself; what they share counts once."""
    own, shared = 0, 0
    for pid in _descendants(root):
        resident, common = _pages(pid)
        own += resident - common
        shared = max(shared, common)
    return (own + shared) * os.sysconf("SC_PAGE_SIZE")


def _descendants(root: int) -> Iterator[int]:
    for pid in children(root):
        yield pid
        for below in _descendants(pid):
            yield below


def children(pid: int) -> Iterator[int]:
    """Those of all its threads."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found = file.read().split()
        except OSError:
            continue
        for child in found:
            yield int(child)


def _pages(pid: int) -> tuple[int, int]:
    """Resident, and of those shared with others or with files."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            fields = file.read().split()
    except OSError:
        return 0, 0
    return int(fields[1]), int(fields[2])
