"""Was a file, or a local module that it reaches, saved with another content?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from fal_serverless.errors import FalError
from fal_serverless.source import reached

POLL = 0.3
"""Seconds between two looks."""
REST = 0.15
"""Seconds without a further change until one counts as finished."""

Prints = Mapping[str, bytes]
"""Name of a file -> digest of its content."""


class Saves:
    """Of one file. What was there when it was made is the beginning."""

    def __init__(self, path: Path, poll: float = POLL) -> None:
        self._path = path
        self._poll = poll
        self._seen = self._look()

    async def next(self) -> list[str]:
        """Waits until something else is there, and rests; the names of what changed."""
        while True:
            await asyncio.sleep(self._poll)
            now = await asyncio.to_thread(self._look)
            if now == self._seen:
                continue
            now = await self._rested(now)
            changed, self._seen = different(self._seen, now), now
            if changed:
                return changed

    async def _rested(self, now: Prints) -> Prints:
        while True:
            await asyncio.sleep(min(REST, self._poll))
            later = await asyncio.to_thread(self._look)
            if later == now:
                return now
            now = later

    def _look(self) -> Prints:
        try:
            members = reached(self._path)
        except FalError:
            members = {self._path.name: self._path}
        python = {name: path for name, path in members.items() if path.suffix == ".py"}
        return {name: _digest(path) for name, path in python.items()}


def different(before: Prints, after: Prints) -> list[str]:
    names = {*before, *after}
    return sorted(name for name in names if before.get(name) != after.get(name))


def _digest(path: Path) -> bytes:
    try:
        return blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError:
        return b""
