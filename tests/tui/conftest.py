"""The application over a fake backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.config import Config, load
from fal_tui.app import FalTui, Start
from fal_tui.screenshot import Camera, camera
from tui.fake_backend import FakeBackend, two_functions

Opening = Callable[..., AbstractAsyncContextManager[Camera]]


@pytest.fixture
def fake() -> FakeBackend:
    return two_functions()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load({"FAL_SERVERLESS_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"})


@pytest.fixture
def opened(fake: FakeBackend, config: Config) -> Opening:
    """Opens the application; `size` and fields of Start may be given."""

    @asynccontextmanager
    async def opening(size: tuple[int, int] = (160, 45), **start: Any) -> AsyncIterator[Camera]:
        app = FalTui(config, config.context(), start=Start(**start), connect=fake.connect)
        async with camera(app, size) as found:
            yield found

    return opening
