"""How long until a served function answers, and until the command line helps?

From nothing running: `function serve` starts the backend, makes the environment (uv's cache is warm
after a first round that does not count) and the worker; then one POST. Beside it, in the same run,
the same with the backend running, and bare interpreter starts for scale. Fails above the limits.

    python tests/benchmarks/bench_serve.py [runs]
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

SERVE_LIMIT = 3.0
"""Seconds from the command to the first answer, with the backend's start."""
HELP_LIMIT = 0.3
"""Seconds of `--help`."""

FILE = """\
from fal_serverless import isolated


@isolated(serve=True)
def call_text(text):
    return text
"""
PROGRAM = [sys.executable, "-m", "fal_serverless.cli.main"]


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


class Bench:
    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.file = folder / "app.py"
        self.file.write_text(FILE)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
        self.env["FAL_SERVERLESS_HOME"] = str(self.home)

    def fal(self, *args: str) -> str:
        done = subprocess.run(
            [*PROGRAM, *args], env=self.env, capture_output=True, text=True, check=True
        )
        return done.stdout

    def serve_and_call(self) -> None:
        serve = ("function", "serve", str(self.file), "call_text", "--alias", "call")
        url = self.fal(*serve, "--auth", "public").split()[-1]
        port = url.rpartition(":")[2]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/1/call", b'{"text": "hi"}')
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert (answer.status, answer.read()) == (200, b'"hi"')

    def from_nothing(self) -> float:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        return timed(self.serve_and_call)

    def stop(self) -> None:
        if self.home.exists():
            self.fal("backend", "stop")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.from_nothing()
        figures = {
            "python -c pass": [timed(lambda: subprocess.run([sys.executable, "-c", "pass"],
                                                            check=True)) for _ in range(runs)],
            "fal-serverless --help": [timed(lambda: bench.fal("--help")) for _ in range(runs)],
            "serve to first 200, from nothing": [bench.from_nothing() for _ in range(runs)],
            "serve to first 200, backend runs": [timed(bench.serve_and_call) for _ in range(runs)],
        }  # fmt: skip
        bench.stop()
    bare = statistics.median(figures["python -c pass"])
    for name, seconds in figures.items():
        middle = statistics.median(seconds)
        print(f"{name:34} {middle:6.3f} s   {middle / bare:6.1f} bare interpreters")
    slow = statistics.median(figures["serve to first 200, from nothing"]) > SERVE_LIMIT
    sys.exit(slow or statistics.median(figures["fal-serverless --help"]) > HELP_LIMIT)


if __name__ == "__main__":
    main()
