"""A program in a pseudo-terminal, read until something is drawn."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

PATIENCE = 40.0


class Terminal:
    """`fal-tui` with arguments, in a terminal of so many columns and rows."""

    def __init__(self, *words: str, env: dict[str, str], size: tuple[int, int] = (120, 36)) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            command = [sys.executable, "-m", "fal_tui", *words]
            os.execve(sys.executable, command, {**env, "TERM": "xterm-256color"})
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def until(self, needle: str) -> None:
        """Read until it was drawn."""
        seen, end = b"", time.monotonic() + PATIENCE
        while needle.encode() not in seen:
            if time.monotonic() > end:
                raise AssertionError(f"{needle!r} was not drawn: {seen[-2000:]!r}")
            if select.select([self._fd], [], [], 0.5)[0]:
                seen += os.read(self._fd, 65536)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Its exit code; what it still writes is thrown away."""
        handle = os.pidfd_open(self.pid)
        while select.select([handle, self._fd], [], [], PATIENCE)[0] != [handle]:
            try:
                os.read(self._fd, 65536)
            except OSError:
                break
        os.close(handle)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._fd)
        return code


def processes_about(folder: Path) -> list[int]:
    """Ids of processes whose command line or working folder is there."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = place.joinpath("cmdline").read_text()
            where = str((place / "cwd").readlink())
        except OSError:
            continue
        if str(folder) in line or where.startswith(str(folder)):
            found.append(int(place.name))
    return found


def wait_until_gone(pids: list[int]) -> None:
    """By their handles, not by looking again and again."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        assert select.select([handle], [], [], PATIENCE)[0], f"process {pid} stays"
        os.close(handle)
