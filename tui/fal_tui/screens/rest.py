"""Has the cursor come to rest? What is shown beside it follows then, not with every row."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

SETTLE = 0.05
"""Seconds the cursor rests before it is followed, and …"""
SETTLE_AT_LAST = 0.5
"""… when it does not come to rest."""


class Rest:
    """`later` runs a callable after so many seconds; `act` is what is to be done at rest."""

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], object],
        act: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._later = later
        self._act = act
        self._clock = clock
        self._waiting = False
        self._moved = self._set_out = 0.0
        """When the cursor moved last, and first since it was followed."""

    def moved(self) -> None:
        """The cursor is on another row."""
        self._moved = self._clock()
        if not self._waiting:
            self._waiting, self._set_out = True, self._moved
            self._later(SETTLE, self._look)

    def _look(self) -> None:
        left = min(self._moved + SETTLE, self._set_out + SETTLE_AT_LAST) - self._clock()
        if left > SETTLE / 10:
            self._later(left, self._look)
            return
        self._waiting = False
        self._act()
