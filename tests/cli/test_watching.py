"""`function serve --watch`: what a change does."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from typing import IO

import pytest

from bundles import HEAD, Write
from cli.conftest import CONSOLE, Program
from running import RunningBackend

TEXT = HEAD + "import beside\n@isolated(serve=True)\ndef f() -> int:\n    return beside.N\n"


@pytest.fixture
def watched(backend: RunningBackend, write: Write) -> Iterator[subprocess.Popen[str]]:
    write("N = 1\n", "beside.py")
    process = subprocess.Popen(
        [CONSOLE, "function", "serve", write(TEXT), "f", "--alias", "watched", "--watch"],
        env=backend.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def until(stream: IO[str], pattern: str) -> list[str]:
    """The lines up to the first that matches."""
    lines = []
    for line in stream:
        lines.append(line)
        if re.match(pattern, line):
            return lines
    raise AssertionError(f"no line is like {pattern}: {lines}")


def test_a_change_is_named_and_served_and_errors_do_not_end_it(
    program: Program, watched: subprocess.Popen[str], write: Write
) -> None:
    err = watched.stderr
    assert err is not None
    until(err, r"deployed watched → [0-9a-f]{8} in \d+\.\d\d s")
    until(err, "Watching app.py, beside.py")
    write("N = 2\n", "beside.py")
    until(err, "Changed: beside.py")
    until(err, "Watching")
    assert program("function", "invoke", "watched").out == "2"
    write("def (")
    assert "Error: app.py:1: SyntaxError" in "".join(until(err, "Watching"))
    write(TEXT + "# mended\n")
    lines = until(err, "Watching")
    assert lines[0] == "Changed: app.py\n" and len(program("fn", "revisions", "watched").lines) == 4
    watched.send_signal(signal.SIGINT)
    assert watched.wait(timeout=20) == 130
