"""The program as people run it: the installed console script, or faster, in this process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from fal_serverless.cli import main
from running import RunningBackend

CONSOLE = Path(sys.executable).with_name("fal-serverless")


@dataclass(frozen=True)
class Ran:
    """What a finished program left."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Program = Callable[..., Ran]
"""Arguments of fal-serverless -> what came of it."""


def run_here(env: Mapping[str, str], *args: str | Path, stdin: str = "") -> Ran:
    """The program with this environment, without a process of its own for it."""
    out, err = _stream(), _stream()
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch.object(sys, "stdin", _stream(stdin)),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = main.run([str(arg) for arg in args])
    return Ran(code, _text(out), _text(err))


def _stream(text: str = "") -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def run(env: Mapping[str, str], *args: str | Path, stdin: str = "") -> Ran:
    """The installed program."""
    done = subprocess.run(
        [CONSOLE, *args],
        env=env,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def program(backend: RunningBackend) -> Program:
    """The program, on the backend of this test run."""
    return lambda *args, **options: run_here(backend.env, *args, **options)


@pytest.fixture
def alone_env(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of its own and no backend."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
    return env | {"FAL_SERVERLESS_HOME": str(tmp_path / "home")}


@pytest.fixture
def alone(alone_env: dict[str, str]) -> Program:
    """The program where there is no backend, and none may be started."""
    return lambda *args, **options: run_here(alone_env, *args, **options)
