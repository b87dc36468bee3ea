"""Serving a file in tests, the way the command line does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fal_serverless import source
from fal_serverless.client import Client
from fal_serverless.models import AuthMode, LogEntry, LogQuery, Served
from running import FUNCTIONS, RunningBackend


async def serve(
    backend: RunningBackend,
    client: Client,
    path: str | Path,
    name: str,
    alias: str | None = None,
    auth: AuthMode | None = None,
    **options: Any,
) -> Served:
    """Bundle a file of `tests/functions` (or any other) and serve it."""
    bundle = await source.bundle(FUNCTIONS / path, name, config=backend.config, **options)
    async for event in client.serve(bundle, alias=alias, auth=auth):
        if event.served is not None:
            return event.served
    raise AssertionError("a serve ended without a word")


async def wait_for_log(client: Client, label: str, text: str) -> LogEntry:
    """The first line of an endpoint that holds `text`, past or to come."""
    async for entry in client.tail(LogQuery(label=label)):
        if text in entry.message:
            return entry
    raise AssertionError("the log stream ended")
