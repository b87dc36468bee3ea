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
    bundle = await bundled(backend, FUNCTIONS / path, name, options)
    async for event in client.serve(bundle, alias=alias, auth=auth):
        if event.served is not None:
            return event.served
    raise AssertionError("a serve ended without a word")


_known: dict[str, bytes] = {}
"""Bundles of the files in `tests/functions`, which stay as they are while tests run."""


async def bundled(backend: RunningBackend, path: Path, name: str, options: dict[str, Any]) -> bytes:
    asked = repr((path, name, sorted(options.items())))
    if asked not in _known:
        bundle = await source.bundle(path, name, config=backend.config, **options)
        if not path.is_relative_to(FUNCTIONS):
            return bundle
        _known[asked] = bundle
    return _known[asked]


async def wait_for_log(client: Client, label: str, text: str) -> LogEntry:
    """The first line of an endpoint that holds `text`, past or to come."""
    async for entry in client.tail(LogQuery(label=label)):
        if text in entry.message:
            return entry
    raise AssertionError("the log stream ended")
