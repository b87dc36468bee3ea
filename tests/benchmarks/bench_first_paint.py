"""Is fal-tui on the screen almost as soon as the smallest Textual application?

Starts both in a pseudo-terminal, several times in turn, and takes the time until the first whole
frame: for fal-tui header, cached list and footer. Prints the ratio, and fails above LIMIT.

    python tests/benchmarks/bench_first_paint.py [runs]
"""

from __future__ import annotations

import os
import pty
import select
import signal
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fal_serverless.models import Function

LIMIT = 1.3
SIZE = (36, 120)
"""Rows and columns."""
PATIENCE = 20.0

MINIMAL = """
from textual.app import App
from textual.widgets import Static


class Minimal(App):
    def compose(self):
        yield Static("READY-TO-SEE")


Minimal().run()
"""
WHOLE = "from fal_tui.__main__ import main; main([])"


def first_frame(code: str, needle: bytes, environ: dict[str, str]) -> float:
    """Seconds from the start of the process until `needle` was written to the terminal."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", code], environ)
    try:
        _resize(terminal)
        return _wait_for(terminal, needle, started)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def _resize(terminal: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))


def _wait_for(terminal: int, needle: bytes, started: float) -> float:
    seen = b""
    while needle not in seen:
        if time.perf_counter() - started > PATIENCE:
            raise SystemExit(f"{needle!r} was not drawn in {PATIENCE} s: {seen[-500:]!r}")
        if select.select([terminal], [], [], 0.5)[0]:
            seen += os.read(terminal, 65536)
    return time.perf_counter() - started


def prepare(home: Path) -> dict[str, str]:
    """A home with a cached list, and a context that nobody answers for."""
    from fal_serverless.config import Context, load, save_context
    from fal_serverless.models import Function
    from fal_tui import cache, render
    from fal_tui.palette import PLAIN

    environ = {**os.environ, "FAL_SERVERLESS_HOME": str(home), "FAL_SERVERLESS_CONTEXT": "none"}
    environ["TERM"] = "xterm-256color"
    paths = load({"FAL_SERVERLESS_HOME": str(home)}).paths
    save_context(paths, Context("none", "http://127.0.0.1:9"))
    functions = tuple(_function(Function, number) for number in range(60))
    kept = cache.place(paths.cache, "none")
    cache.write(kept, functions)
    cache.write_rows(kept, [render.lasting_row(each, PLAIN) for each in functions])
    return environ


def _function(make: type[Function], number: int) -> Function:
    name = f"function-{number}"
    return make(
        name=name,
        anonymous=False,
        entrypoint=name,
        user="1",
        revisions=1,
        latest="0" * 36,
        live="0" * 36,
        aliases=(name,),
        auth="private",
        url="",
        path_url="",
        served_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def frames(runs: int) -> tuple[list[float], list[float]]:
    """Seconds of the smallest application and of ours, by turns."""
    with tempfile.TemporaryDirectory() as home:
        environ = prepare(Path(home))
        small, whole = [], []
        for _ in range(runs):
            small.append(first_frame(MINIMAL, b"READY-TO-SEE", environ))
            whole.append(first_frame(WHOLE, b"function-0", environ))
    return small, whole


def ratio(runs: int) -> float:
    small, whole = frames(runs)
    return statistics.median(whole) / statistics.median(small)


def main() -> None:
    small, whole = frames(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
    least, ours = statistics.median(small), statistics.median(whole)
    print(f"minimal Textual application  {least * 1000:6.0f} ms (best {min(small) * 1000:.0f})")
    print(f"fal-tui, first paint         {ours * 1000:6.0f} ms (best {min(whole) * 1000:.0f})")
    print(f"ratio                        {ours / least:6.2f}    (limit {LIMIT})")
    sys.exit(0 if ours / least <= LIMIT else 1)


if __name__ == "__main__":
    main()
