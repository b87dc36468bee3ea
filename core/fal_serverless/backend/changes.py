"""Telling clients that something changed, so that they fetch it: a broadcast that never blocks.

A subscriber who is slow gets each changed thing once, however often it changed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from fal_serverless.models import Change


class Changes:
    """Call from the event loop's thread."""

    def __init__(self) -> None:
        self._subscribers: dict[asyncio.Event, dict[Change, None]] = {}

    def publish(self, change: Change) -> None:
        for wake, waiting in self._subscribers.items():
            waiting[change] = None
            wake.set()

    async def subscribe(self) -> AsyncGenerator[Change, None]:
        """First a `resync`, then what changes from then on."""
        wake = asyncio.Event()
        waiting: dict[Change, None] = {Change("resync"): None}
        self._subscribers[wake] = waiting
        try:
            while True:
                while waiting:
                    change = next(iter(waiting))
                    del waiting[change]
                    yield change
                wake.clear()
                await wake.wait()
        finally:
            del self._subscribers[wake]
