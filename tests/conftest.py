"""Fixtures of all tests: real backends on free ports, each with a home of its own."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bundles import Write
from fal_serverless import config
from fal_serverless.client import Client
from running import RunningBackend, StartBackend, start_backend


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartBackend]:
    """A factory of backends; all are stopped in the end."""
    running: list[RunningBackend] = []

    def start(home: Path | None = None, port: int = 0, **settings: str) -> RunningBackend:
        made = start_backend(home or tmp_path_factory.mktemp("home"), port, **settings)
        running.append(made)
        return made

    yield start
    for one in running:
        one.stop()


@pytest.fixture(scope="session")
def backend(backends: StartBackend) -> RunningBackend:
    """One backend for all tests that do not stop it; use aliases of your own."""
    return backends()


@pytest_asyncio.fixture
async def client(backend: RunningBackend) -> AsyncIterator[Client]:
    async with backend.client() as made:
        yield made


@pytest.fixture
def here(tmp_path: Path) -> config.Config:
    """A configuration of nobody else, and no virtual environment but ours."""
    environ = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    return config.load({**environ, "FAL_SERVERLESS_HOME": str(tmp_path / "home")})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes a user's file."""

    def make(text: str, name: str = "app.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return make
