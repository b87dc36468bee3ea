"""Fixtures of all tests: real backends on free ports, each with a home of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

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
