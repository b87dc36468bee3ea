"""Keys come first: what is made in the background waits while a key has no frame yet.

Each turn of the event loop that a piece of such work takes is a turn that a key waits, and from key
to frame it waits several times.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

LONGEST = 0.1
"""Seconds that a key may hold others up, whether it has a frame or not."""
CALM = 2.0
"""Seconds without a key after which nobody minds a pause of some milliseconds."""
NEVER = 1_000_000
"""Collections of the young that do not come together before the next look."""
COLLECT = 20.0
"""Seconds from one look for garbage to the next, when it is calm, and …"""
COLLECT_AT_LAST = 120.0
"""… when it is not."""


class Precedence:
    """For one application; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._pressed = -CALM
        self._framed = asyncio.Event()
        """Cleared while a key has no frame."""
        self._framed.set()
        self._collected = clock()
        self._thresholds: tuple[int, int, int] | None = None
        """The collector's, as they were before it was taken over."""

    def pressed(self) -> None:
        """A key came."""
        self._pressed = self._clock()
        self._framed.clear()

    def drawn(self) -> None:
        """A frame was drawn."""
        self._framed.set()

    async def breathe(self) -> None:
        """Give others their turn, and keys as many as they need."""
        await asyncio.sleep(0)
        left = self._pressed + LONGEST - self._clock()
        if left > 0 and not self._framed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._framed.wait()

    def take_over_collecting(self) -> None:
        """Look through all objects when it is calm, not in the middle of a frame: see `collect`.

        Thousands of items that stay are not looked through again and again at all.
        """
        gc.freeze()
        if self._thresholds is None:
            first, second, third = self._thresholds = gc.get_threshold()
            gc.set_threshold(first, second, max(third, NEVER))

    def give_back_collecting(self) -> None:
        if self._thresholds is not None:
            gc.set_threshold(*self._thresholds)
            self._thresholds = None
            gc.unfreeze()

    def collect(self) -> None:
        """If it is time to; called every second or so."""
        now = self._clock()
        is_calm = now - self._pressed > CALM
        if now - self._collected > (COLLECT if is_calm else COLLECT_AT_LAST):
            self._collected = now
            gc.collect()
