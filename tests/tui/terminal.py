"""A program in a pseudo-terminal: what is on its screen, by a terminal emulator."""

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
from collections.abc import Callable
from pathlib import Path

import pyte

PATIENCE = 60.0


class Terminal:
    """`fal-tui` with arguments, in a terminal of so many columns and rows.

    `heard` is told all that the program writes.
    """

    def __init__(
        self,
        *words: str,
        env: dict[str, str],
        size: tuple[int, int] = (120, 36),
        cwd: Path | None = None,
        heard: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.heard = heard
        window = struct.pack("HHHH", size[1], size[0], 0, 0)
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, window)
            os.chdir(cwd or ".")
            command = [sys.executable, "-m", "fal_tui", *words]
            looks = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            # Some test runners set these, and they count for more than the terminal's size.
            kept = {name: env[name] for name in env if name not in ("COLUMNS", "LINES")}
            os.execve(sys.executable, command, {**kept, **looks})

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self._lines())

    def _lines(self) -> list[str]:
        # pyte's own `display` fails on half of a wide character, which a resize can leave.
        screen = self.screen
        return [
            "".join(screen.buffer[y][x].data for x in range(screen.columns))
            for y in range(screen.lines)
        ]

    def has_cursor(self, label: str) -> bool:
        """Whether the field of that name shows a text cursor: a cell like neither neighbour."""
        for y, line in enumerate(self._lines()):
            if f"│ {label} " in line:
                colours = [self.screen.buffer[y][x].bg for x in range(len(line))]
                return any(
                    a != b != c for a, b, c in zip(colours, colours[1:], colours[2:], strict=False)
                )
        return False

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, needle: str) -> None:
        """Read until it is on the screen."""
        self.wait_for(lambda: needle in self.text, repr(needle))

    def until_gone(self, needle: str) -> None:
        self.wait_for(lambda: needle not in self.text, f"an end of {needle!r}")

    def wait_for(self, seen: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE
        while not seen():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}:\n{self.text}")
            self.listen(0.5)

    def listen(self, seconds: float) -> None:
        """Take what the program writes next, if it does within that time."""
        if select.select([self._fd], [], [], seconds)[0]:
            data = os.read(self._fd, 65536)
            self._stream.feed(data)
            self.heard(data)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Its exit code; what it still writes is on the screen."""
        handle = os.pidfd_open(self.pid)
        while select.select([handle, self._fd], [], [], PATIENCE)[0] != [handle]:
            try:
                self.listen(0)
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
        line = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        assert select.select([handle], [], [], PATIENCE)[0], f"process {pid} stays: {line}"
        os.close(handle)
