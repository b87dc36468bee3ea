"""How is a worker held to its limits? It joins the cgroups it is told, or its supervisor looks.

A cgroup's limit is the kernel's: nothing gets past it. A supervisor looks again when the rest could
have been taken, so it may be late, and what is freed in between it never sees.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any, Dict, Iterator

SOONEST, LATEST = 0.05, 1.0
"""Seconds until the next look."""
FASTEST = 4 << 30
"""Bytes a second that a worker may at most be expected to take."""
MANY = 20
"""Whoever has that part of the processes it may have is looked at often."""


def join(orders: Dict[str, Any]) -> None:
    """In the worker, before anything of the user's runs. Raises OSError."""
    for folder in orders["cgroups"]:
        with open(os.path.join(folder, "cgroup.procs"), "w") as file:
            file.write("0")
    if orders["cores"]:
        os.sched_setaffinity(0, orders["cores"])


class Watch:
    """In the supervisor: whether the worker has more memory or processes than it may."""

    def __init__(self, memory: int | None, processes: int, note: str) -> None:
        """`memory`: bytes; None: all there is."""
        self._memory = memory
        self._processes = processes
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
        family = list(_descendants(os.getpid()))
        why, left = "", LATEST
        if len(family) > self._processes:
            why = f"too many processes (more than {self._processes})"
        elif len(family) > self._processes // MANY:
            left = SOONEST
        if self._memory is not None and not why:
            spare = self._memory - memory(family)
            if spare < 0:
                # Forks share what neither has written to since: that takes longer to find out.
                spare = self._memory - shares(family)
            why = "" if spare >= 0 else "out of memory"
            left = min(left, max(SOONEST, spare / FASTEST))
        if not why:
            self._next = now + left
            return False
        with contextlib.suppress(OSError), open(self._note, "w") as file:
            file.write(why)
        return True


def memory(family: list[int]) -> int:
    """Bytes of processes; what they share counts once."""
    own, shared = 0, 0
    for pid in family:
        resident, common = _pages(pid)
        own += resident - common
        shared = max(shared, common)
    return (own + shared) * os.sysconf("SC_PAGE_SIZE")


def shares(family: list[int]) -> int:
    """Bytes of processes, each page once; where that is not told, a process counts as a whole."""
    total = 0
    for pid in family:
        share = _share(pid)
        total += _pages(pid)[0] * os.sysconf("SC_PAGE_SIZE") if share is None else share
    return total


def _share(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


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
