"""`function serve --watch`: what counts as a change, and what a change does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from bundles import HEAD, Write
from cli.conftest import CONSOLE, Program
from fal_serverless.cli import watching
from running import RunningBackend

TEXT = HEAD + "import beside\n@isolated(serve=True)\ndef f() -> int:\n    return beside.N\n"


def test_a_look_sees_content_not_time(write: Write) -> None:
    beside = write("N = 1\n", "beside.py")
    look = watching.Look(write(TEXT))
    before = look.snapshot()
    os.utime(beside, (1, 1))
    assert look.snapshot() == before
    write("N = 2\n", "beside.py")
    assert watching.differing(before, look.snapshot()) == ["beside.py"]


def test_data_files_are_not_watched(write: Write, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    for name in ("__init__.py", "cache.json"):
        (tmp_path / "beside" / name).touch()
    assert list(watching.Look(write(TEXT)).snapshot()) == ["app.py", "beside/__init__.py"]


def test_a_file_that_is_gone_or_broken_is_still_watched(write: Write) -> None:
    write("N = 1\n", "beside.py")
    path = write(TEXT)
    look = watching.Look(path)
    look.snapshot()
    write("def (")
    assert set(look.snapshot()) == {"app.py", "beside.py"}
    path.unlink()
    assert look.snapshot()["app.py"] == ""


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
