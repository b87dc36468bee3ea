"""Is anything left of a worker whose supervisor could not see to it? Found by traces, and ended.

Needed where there are no process namespaces, after a supervisor was killed, and for workers of a
backend that was killed together with its supervisors. A process belongs to a worker when it has the
worker's mark in its environment, works in its folder, or is in its supervisor's session. One that
wiped out all three is not found.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

MARK = "FAL_SERVERLESS_WORKER"
"""Variable in the environment of a worker and all that it starts: the worker's id."""
RECORD = "supervisor"
"""File in a worker's folder: process id and start time of its supervisor."""
PATIENCE = 2.0
"""Seconds until what was killed must be gone."""
PROC = Path("/proc")


def record(folder: Path, supervisor: int) -> None:
    """So that its session is known to be its own, and not one with the same number later."""
    (folder / RECORD).write_text(f"{supervisor} {_started(supervisor)}")


def sweep(folders: Iterable[Path]) -> list[int]:
    """End what is left of the workers with these folders; what was killed."""
    wanted = list(folders)
    return end_all(lambda: left_of(wanted)) if wanted else []


def end_all(listed: Callable[[], list[int]]) -> list[int]:
    """Kill what is listed until nothing is, for as long as patience lasts; what was killed."""
    killed: set[int] = set()
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = listed()
        if not found:
            break
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
    return sorted(killed)


def fingerprint(run_dir: Path) -> str:
    """A short name for a backend: the same after a restart, and not that of another."""
    return hashlib.sha256(str(run_dir).encode()).hexdigest()[:8]


def left_of(folders: list[Path]) -> list[int]:
    """Processes that belong to those workers."""
    marks = {f"{MARK}={folder.name}".encode() for folder in folders}
    places = tuple(f"{folder}/" for folder in folders)
    sessions = {number for number in map(_session, folders) if number is not None}
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if _belongs(entry, marks, places, sessions):
                    found.append(int(entry.name))
    return found


def _belongs(entry: Path, marks: set[bytes], places: tuple[str, ...], sessions: set[int]) -> bool:
    if _state(entry) in "ZX":
        return False
    if os.getsid(int(entry.name)) in sessions:
        return True
    if not marks.isdisjoint((entry / "environ").read_bytes().split(b"\0")):
        return True
    return str((entry / "cwd").readlink()).startswith(places)


def _session(folder: Path) -> int | None:
    """The session that a worker's supervisor has or had; None: unknown, or another's by now."""
    try:
        number, started = (folder / RECORD).read_text().split()
    except (OSError, ValueError):
        return None
    now = _started(int(number))
    return int(number) if now in ("", started) else None


def _fields(entry: Path) -> list[str]:
    """Of /proc/N/stat, from the state on."""
    return (entry / "stat").read_text().rpartition(")")[2].split()


def _state(entry: Path) -> str:
    return _fields(entry)[0]


def _started(pid: int) -> str:
    """In clock ticks since the machine's start; '' when there is no such process."""
    try:
        return _fields(PROC / str(pid))[19]
    except OSError:
        return ""
