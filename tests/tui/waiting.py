"""Until something has happened in an application that a test drives by a pilot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

PATIENCE = 60.0
POLL = 0.02


async def until(pilot: Any, happened: Callable[[], object]) -> None:
    """Raises TimeoutError after PATIENCE; what is on a screen sends no event to wait for."""
    async with asyncio.timeout(PATIENCE):
        while not happened():
            await pilot.pause(POLL)
