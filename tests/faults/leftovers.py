"""What is there that nobody should find any more? Processes, sockets and files of one backend.

Its processes are known by its home, which is in their environment or among their words.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

PATIENCE = 5.0
"""Seconds in which what was killed may go: the kernel ends processes in no order."""

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
KNOWN = re.compile(
    r"|".join(
        (
            r"(config|credentials)\.toml",
            r"cache(/overlay(/(pure|msgspec)-[^/]+)?)?",
            r"tmp",
            r"state(/sent|/revisions|/environments|/logs)?",
            r"state/backend\.(lock|log|starting)",
            r"state/registry\.db",
            r"state/logs/(logs\.lock|entries\.db)",
            rf"state/revisions/{UUID}(/(bundle\.json|function\.pickle|sources\.zip|sources))?",
            r"state/environments/[0-9a-f]{32}(/\.complete)?",
            r"state/environments/\.[0-9a-f]{32}\.lock",
        )
    )
)
"""All that a backend keeps when it does not run."""
RUNNING = re.compile(
    r"state/backend\.json|state/run(/[wt]-[0-9a-f]+(/.*)?)?|state/.*\.db-(wal|shm)"
    r"|state/sent/.*|tmp/.*"
)
"""And what it keeps beside when it does."""
WHOLE = re.compile(
    r"state/environments/[0-9a-f]{32}|cache/overlay/[^/]+|state/revisions/[^/]+/sources"
)
"""Folders that are not looked into."""


def processes(home: Path) -> dict[int, str]:
    """Those of a backend: pid -> its words."""
    mark, found = str(home).encode(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes()
            if mark in words or mark in (folder / "environ").read_bytes():
                found[int(folder.name)] = (
                    words.replace(b"\0", b" ").decode(errors="replace").strip()
                )
    found.pop(os.getpid(), None)
    return {pid: words for pid, words in found.items() if words}


def parent(pid: int) -> int:
    """0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_below(pid: int, ancestors: set[int]) -> bool:
    while pid > 1 and pid not in ancestors:
        pid = parent(pid)
    return pid in ancestors


def _recorded(home: Path) -> set[int]:
    """Supervisors that the backend has noted: those of a killed template are nobody's children."""
    found = set()
    for path in (home / "state" / "run").glob("*/supervisor"):
        with suppress(OSError, ValueError):
            noted = path.read_text().split()
            # Empty while it is written, and where a full disk had no room for it.
            found.update(int(each) for each in noted[:1])
    return found


def files(home: Path, *, is_running: bool) -> list[str]:
    """Paths below a home that no backend should leave there."""
    found = []
    for path in _walk(home):
        name = str(path.relative_to(home))
        if KNOWN.fullmatch(name) or (is_running and RUNNING.fullmatch(name)):
            continue
        found.append(f"{name} (socket)" if path.is_socket() else name)
    return found + [
        f"{folder.relative_to(home)} is half built"
        for folder in (home / "state" / "environments").glob("[0-9a-f]*")
        if not (folder / ".complete").is_file()
    ]


def _walk(home: Path, folder: Path | None = None) -> Iterator[Path]:
    """Everything, but not what is in whole folders; what vanishes meanwhile does not count."""
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted((folder or home).iterdir()):
            yield path
            is_whole = WHOLE.fullmatch(str(path.relative_to(home)))
            if path.is_dir() and not path.is_symlink() and not is_whole:
                yield from _walk(home, path)


def listens(port: int) -> bool:
    """Whether somebody has the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


async def gone(look: Callable[[], list[str]], seconds: float = PATIENCE) -> list[str]:
    """What is left when it had time to go."""
    until = time.monotonic() + seconds
    while (left := look()) and time.monotonic() < until:
        await asyncio.sleep(0.05)
    return left


async def of_running(home: Path, pid: int) -> list[str]:
    """What is beside a backend that runs: processes that are none of its own, and files."""

    def look() -> list[str]:
        strangers = [
            f"process {one}: {words[:100]}"
            for one, words in processes(home).items()
            if not is_below(one, {pid} | _recorded(home))
        ]
        return strangers + files(home, is_running=True)

    return await gone(look)


async def of_stopped(home: Path, port: int) -> list[str]:
    """What is there though no backend runs."""

    def look() -> list[str]:
        left = [f"process {one}: {words[:100]}" for one, words in processes(home).items()]
        taken = [f"port {port}"] if port and listens(port) else []
        return left + taken + files(home, is_running=False)

    return await gone(look)
