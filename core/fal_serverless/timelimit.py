"""Ends what may take for ever: Python's regular expressions do, and they heed signals.

A person types an expression, and one such as `(a+)+$` takes longer for each letter of a line than
for all before it. No expression tells by its looks that it will.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

SHORTEST = 0.001
"""Seconds that a timer is set to at least: 0 would turn it off."""


class TooSlow(Exception):
    """What was done under a time limit took longer."""


class TimeLimit:
    """Around work that should take `seconds` at most: raises TooSlow inside it when it does not.

    It may be entered again and again: then it is for all of the work together. Another limit may
    be entered inside; this one's turn comes at the latest when that one is left.

    Only the main thread gets signals; elsewhere, and where there are none (Windows), work takes as
    long as it takes. TooSlow may be raised between any two steps of the work, so nothing should be
    changed by it that others see.
    """

    def __init__(
        self, seconds: float, said: str = "", clock: Callable[[], float] = time.thread_time
    ) -> None:
        """`said` is TooSlow's message. A `clock` of the thread's own work does not count the time
        that others had the processor.
        """
        self._left = seconds
        self._said = said
        self._clock = clock
        self._is_on = False
        self._entered = 0.0
        self._handler: Any = None
        """Who heard the signal before, and …"""
        self._timer = (0.0, 0.0)
        """… the timer as it was, with seconds left and interval, …"""
        self._replaced = 0.0
        """… and when that was, on the clock on the wall."""

    def __enter__(self) -> Self:
        if not _gets_signals():
            return self
        self._entered, self._replaced = self._clock(), time.monotonic()
        self._timer = signal.setitimer(signal.ITIMER_REAL, 0)
        self._handler = signal.signal(signal.SIGALRM, self._ring)
        self._is_on = True
        signal.setitimer(signal.ITIMER_REAL, max(self._left, SHORTEST))
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_on:
            self._left -= self._clock() - self._entered
            self._restore()

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        left = self._left - (self._clock() - self._entered)
        if left > 0:
            signal.setitimer(signal.ITIMER_REAL, max(left, SHORTEST))
            return
        # Here and not in __exit__: this may be on the way into it, which then is not gone into.
        self._left = 0.0
        self._restore()
        raise TooSlow(self._said)

    def _restore(self) -> None:
        # In this order the signal finds somebody who hears it, whenever it comes.
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)
        self._is_on = False
        left, interval = self._timer
        if not left:
            return
        left -= time.monotonic() - self._replaced
        if left > 0:
            signal.setitimer(signal.ITIMER_REAL, left, interval)
            return
        # It was due meanwhile. A timer would do only where the next limit is not entered at once.
        signal.setitimer(signal.ITIMER_REAL, interval, interval)
        signal.raise_signal(signal.SIGALRM)


def _gets_signals() -> bool:
    """Whether a timer can be set here without harm to one that was not set from Python."""
    return (
        hasattr(signal, "setitimer")
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGALRM) is not None
    )
