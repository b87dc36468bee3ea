"""Peers that are a program of an environment of their own, told a port."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.load import Place, Target
from benchmarks.peers.environments import python_of
from benchmarks.peers.peer import APPS, Running, Shop

Command = Callable[[Path, int], list[str]]
"""An interpreter and a port -> what is run."""


def direct(port: int, *, spaced: bool = False) -> Place:
    """A program that answers at its root and asks nobody who they are."""
    return Place(port, (Target(f"127.0.0.1:{port}"),), spaced=spaced)


@dataclass
class Program:
    """One command, one environment."""

    name: str
    title: str
    group: str
    """Of pyproject.toml: what is installed for it."""
    command: Command
    environ: dict[str, str] = field(default_factory=dict)
    spaced: bool = False
    """See `Place`."""
    _python: Path = Path()
    _folder: Path = Path()

    def prepare(self, shop: Shop) -> None:
        self._python = python_of(shop, self.group)
        self._folder = shop.room(self.name)

    def start(self) -> Running:
        port = processes.free_port()
        env = {**os.environ, "PYTHONPATH": str(APPS), **self.environ}
        process = processes.start(self.command(self._python, port), env, self._folder)
        return Running(
            (process.pid,), direct(port, spaced=self.spaced), lambda: processes.end(process)
        )


def uvicorn(app: str) -> Command:
    """One process, the fast loop and parser, no access log."""

    def command(python: Path, port: int) -> list[str]:
        options = (
            "--loop uvloop --http httptools --lifespan off --no-access-log --log-level warning"
        )
        at = ("--host", "127.0.0.1", "--port", str(port))
        return [str(python), "-m", "uvicorn", f"{app}:app", *at, *options.split()]

    return command


def script(name: str) -> Command:
    return lambda python, port: [str(python), str(APPS / f"{name}.py"), str(port)]


def _bentoml(python: Path, port: int) -> list[str]:
    program = [str(python), "-m", "bentoml", "serve", "bentoml_echo:Echo"]
    return [*program, "--host", "127.0.0.1", "--port", str(port), "--working-dir", str(APPS)]


RAW_ASGI = Program("raw_asgi", "raw ASGI on uvicorn", "peers-asgi", uvicorn("raw_asgi"))
FASTAPI_DEF = Program("fastapi_def", "FastAPI def", "peers-asgi", uvicorn("fastapi_def"))
FASTAPI_ASYNC = Program("fastapi_async", "FastAPI async", "peers-asgi", uvicorn("fastapi_async"))
LITSERVE = Program("litserve", "LitServe", "peers-litserve", script("litserve_echo"))
BENTOML = Program(
    "bentoml",
    "BentoML",
    "peers-bentoml",
    _bentoml,
    {"BENTOML_DO_NOT_TRACK": "True"},
    spaced=True,
)
RAY_SERVE = Program(
    "ray_serve",
    "Ray Serve",
    "peers-ray",
    script("ray_echo"),
    {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_DOCKER_CPU_WARNING": "1"},
)
