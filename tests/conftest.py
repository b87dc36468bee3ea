"""Fixtures of all tests: real backends on free ports, each with a home of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from bundles import Write
from fal_serverless import config
from fal_serverless.client import Client
from running import RunningBackend, StartBackend, start_backend


def pytest_configure() -> None:
    """A suite started by `&` in a script ignores Ctrl+C, and by `nohup` the end of the terminal.

    So would all that it starts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Backends:
    """Starts them, and knows all that were started."""

    def __init__(self, make_home: Callable[[], Path]) -> None:
        self._make_home = make_home
        self.running: list[RunningBackend] = []

    def __call__(self, home: Path | None = None, port: int = 0, **settings: str) -> RunningBackend:
        made = start_backend(home or self._make_home(), port, **settings)
        self.running.append(made)
        return made


@pytest.fixture(scope="session")
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartBackend]:
    """A factory of backends; all are stopped in the end."""
    made = Backends(lambda: tmp_path_factory.mktemp("home"))
    yield made
    for one in made.running:
        one.end()
    for one in made.running:
        one.stop()


@pytest.fixture(autouse=True)
def _of_one_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Backends that a test started for itself end with it."""
    asked = "backends" in request.fixturenames
    backends = request.getfixturevalue("backends") if asked else None
    if not isinstance(backends, Backends):
        yield
        return
    # Fixtures of whole files and of all tests have started theirs by now.
    before = len(backends.running)
    yield
    for one in backends.running[before:]:
        one.kill()


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
    environ = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    return config.load({**environ, "FAL_SERVERLESS_HOME": str(tmp_path / "home")})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes a user's file."""

    def make(text: str, name: str = "app.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return make
