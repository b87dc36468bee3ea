"""The way to the backend: who looks for one must not start it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fal_serverless import launcher
from fal_serverless.config import Config
from fal_serverless.errors import Unreachable
from fal_serverless.launcher import BackendInfo
from fal_tui.connecting import connect


async def test_a_backend_that_ends_while_it_is_looked_for_is_not_started_anew(
    here: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = BackendInfo(1, 3483, "http://127.0.0.1:3483", "0.1.0", datetime.now(UTC))
    found: list[BackendInfo | None] = [info, None]

    async def running(_: Config) -> BackendInfo | None:
        return found.pop(0)

    async def ensure(*_: Any, **__: Any) -> BackendInfo:
        raise AssertionError("a backend was started")

    monkeypatch.setattr(launcher, "running", running)
    monkeypatch.setattr(launcher, "ensure", ensure)
    context = here.context("local")
    _, client = await connect(here, context, start=False)
    await client.close()
    with pytest.raises(Unreachable, match=r"ctrl\+r starts it"):
        await connect(here, context, start=False)
