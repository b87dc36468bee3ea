"""The real console program, run as people run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

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


def run(env: Mapping[str, str], *args: str | Path, stdin: str = "") -> Ran:
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
    return lambda *args, **options: run(backend.env, *args, **options)


@pytest.fixture
def alone_env(tmp_path: Path) -> dict[str, str]:
    """An environment with a home of its own and no backend."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
    return env | {"FAL_SERVERLESS_HOME": str(tmp_path / "home")}


@pytest.fixture
def alone(alone_env: dict[str, str]) -> Program:
    """The program where there is no backend, and none may be started."""
    return lambda *args, **options: run(alone_env, *args, **options)
