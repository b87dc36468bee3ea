"""What does a running program cost? Its processes, their memory and their CPU time; start and stop.

Reads Linux's /proc. Knows nothing of what the programs do.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
GRACE = 20.0
"""Seconds a program gets to end by itself."""
LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Memory:
    """Bytes, over all processes of a program."""

    rss: int
    """What each has in memory, summed: pages they share count once for each."""
    pss: int | None
    """Shared pages are divided among those who share them; None: this system does not tell."""
    processes: int


def _end_with_us() -> None:
    """A benchmark that is killed has no time to stop anything."""
    LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def start(
    command: Sequence[str | Path], env: Mapping[str, str], folder: Path
) -> subprocess.Popen[bytes]:
    """In a session of its own; what it says goes to `output.log` in the folder."""
    with (folder / "output.log").open("ab") as log:
        return subprocess.Popen(
            command,
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_end_with_us,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, then end what is left of it and of what it started."""
    family = tree(process.pid)
    with suppress(ProcessLookupError):
        process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    for pid, started in family.items():
        if _started(pid) == started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def tree(*roots: int) -> dict[int, str]:
    """Processes and all below them: pid -> when it started, which tells it from a later one."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents():
        below.setdefault(parent, []).append(pid)
    found: dict[int, str] = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found[pid] = _started(pid)
        waiting += below.get(pid, [])
    return found


def _parents() -> list[tuple[int, int]]:
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return [(pid, int(stat[1])) for pid in pids if (stat := _stat(pid))]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; [] when it is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _started(pid: int) -> str:
    stat = _stat(pid)
    return stat[19] if stat else ""


def runs(pid: int) -> bool:
    """Whether it is there, and more than a name that nobody collected."""
    return _stat(pid)[:1] not in ([], ["Z"])


def memory(*roots: int) -> Memory:
    """Of a program and all it started."""
    family = tree(*roots)
    shares = [_pss(pid) for pid in family]
    known = [share for share in shares if share is not None]
    pss = sum(known) if len(known) == len(shares) else None
    return Memory(sum(map(rss, family)), pss, sum(map(runs, family)))


def rss(pid: int) -> int:
    """Resident bytes of one process; 0 when it is gone."""
    stat = _stat(pid)
    return int(stat[21]) * PAGE if stat else 0


def _pss(pid: int) -> int | None:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except ProcessLookupError:
        return 0
    except OSError:
        return None
    lines = (line.split() for line in text.splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "Pss:"), None)


def cpu_seconds(*roots: int) -> float:
    """User and system time of a program and all it started, ended ones included."""
    stats = [_stat(pid) for pid in tree(*roots)]
    return sum(sum(map(int, stat[11:15])) for stat in stats if stat) / TICKS


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(holds: Callable[[], bool], seconds: float, step: float = 0.002) -> bool:
    """Whether it came to hold in time."""
    give_up = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > give_up:
            return False
        time.sleep(step)
    return True
