"""Records the main path of the real application, in a terminal, over a backend that is thrown away.

Use: .venv/bin/python screenshots/record.py [FILE.svg]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent.absolute()
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from film import Frame, Look, Screen, svg  # noqa: E402

from tui.main_path import NAME, MainPath, environ, stop_backend, write  # noqa: E402
from tui.terminal import Terminal  # noqa: E402

SIZE = (104, 28)
LINGER = {
    "begin": 3.0, "files": 1.2, "form": 1.6, "message": 1.0, "served": 2.6, "listed": 1.4,
    "body": 1.2, "answer": 2.2, "logs": 2.4, "revisions": 2.0, "diff": 4.0, "rolled back": 2.6,
    "undone": 2.2, "modes": 1.6, "question": 2.4, "public": 2.2, "activity": 4.0, "quit": 2.0,
}  # fmt: skip
"""Seconds that one looks at the end of a step."""
LONGEST = 0.9
"""Seconds at most between two changes within a step: who waits for a slow machine sees nothing."""
SHORTEST = 0.08
"""A frame that is seen for less is left out."""
COLOURS = {
    "default": "", "black": "#000000", "red": "#cd3131", "green": "#0dbc79", "brown": "#e5e510",
    "blue": "#2472c8", "magenta": "#bc3fbc", "cyan": "#11a8cd", "white": "#e5e5e5",
}  # fmt: skip
FOREGROUND, BACKGROUND = "#e0e0e0", "#1e1e1e"


class Recorder:
    """Keeps what the terminal showed, and for how long."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.terminal: Terminal | None = None
        self._since = time.monotonic()

    def heard(self, _: bytes) -> None:
        """Something was drawn: the screen before was seen until now."""
        now = time.monotonic()
        self._keep(min(now - self._since, LONGEST))
        self._since = now

    def shown(self, step: str) -> None:
        """Let it settle, then look at it."""
        assert self.terminal is not None
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            self.terminal.listen(0.1)
        self._keep(LINGER[step])
        self._since = time.monotonic()
        print(step, flush=True)

    def _keep(self, seconds: float) -> None:
        assert self.terminal is not None
        screen = screen_of(self.terminal)
        if self.frames and self.frames[-1].screen == screen:
            last = self.frames.pop()
            seconds = max(last.seconds, seconds) if seconds <= LONGEST else last.seconds + seconds
        elif self.frames and self.frames[-1].seconds < SHORTEST:
            self.frames.pop()
        self.frames.append(Frame(screen, seconds))


def screen_of(terminal: Terminal) -> Screen:
    screen = terminal.screen
    return tuple(
        tuple((screen.buffer[y][x].data or " ", look(screen.buffer[y][x])) for x in range(SIZE[0]))
        for y in range(SIZE[1])
    )


def look(cell: object) -> Look:
    """Of one cell of the emulator."""
    fg, bg = (_colour(getattr(cell, name)) for name in ("fg", "bg"))
    fg, bg = fg or FOREGROUND, bg or BACKGROUND
    if getattr(cell, "reverse", False):
        fg, bg = bg, fg
    return fg, bg, bool(getattr(cell, "bold", False)), bool(getattr(cell, "italics", False))


def _colour(name: str) -> str:
    return COLOURS.get(name, f"#{name}")


def warm(folder: Path, env: dict[str, str]) -> None:
    """Build the environment beforehand: the lines of that name folders of this machine."""
    said = _cli(env, "function", "serve", str(folder / NAME), "hello")
    _cli(env, "function", "delete", said.split("'")[1], "--yes")
    _cli(env, "backend", "stop")


def _cli(env: dict[str, str], *words: str) -> str:
    command = [sys.executable, "-m", "fal_serverless.cli.main", *words]
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def record(path: Path) -> None:
    recorder = Recorder()
    with tempfile.TemporaryDirectory(prefix="fal-tui-film-") as made:
        folder = Path(made) / "hello"
        folder.mkdir()
        write(folder, "Hello")
        env = environ(Path(made) / "home", LC_TIME="C")
        warm(folder, env)
        terminal = Terminal(env=env, size=SIZE, cwd=folder)
        recorder.terminal, terminal.heard = terminal, recorder.heard
        walk = MainPath(terminal, folder, recorder.shown)
        try:
            walk.walk()
            walk.quit()
        finally:
            stop_backend(env)
    text = svg(recorder.frames, SIZE[0], BACKGROUND, "fal-tui: serve, call, tail, roll back, undo")
    path.write_text(text)
    seconds = sum(frame.seconds for frame in recorder.frames)
    print(f"{path.name}: {len(recorder.frames)} frames, {seconds:.0f} s, {len(text) // 1024} KiB")


if __name__ == "__main__":
    record(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "main-path.svg")
