"""Who reads the channel while the main thread runs the user's code? One thread beside it.

From the start it watches for the end of the backend, which ends the worker. What more it does is
told to it by `hand_over`: read every frame, or read only while a call keeps the main thread busy.
In all its waits it also sees to it that no line waits for long.
"""

from __future__ import annotations

import os
import select
import threading
from typing import Callable

from .channel import Channel, die
from .lines import PATIENCE, Lines

_HANGUP = getattr(select, "POLLRDHUP", 0)
"""Linux tells a closed peer apart from one that sends; elsewhere POLLHUP does, unasked."""
_GONE = _HANGUP | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Reader:
    """The thread."""

    def __init__(self, channel: Channel, lines: Lines) -> None:
        self._channel = channel
        self._lines = lines
        self._work: Callable[[], None] | None = None
        self._wakes, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._poll = select.poll()
        self._poll.register(channel.fileno(), _HANGUP)
        self._poll.register(self._wakes, select.POLLIN)
        lines.wake = self.wake

    def start(self) -> None:
        threading.Thread(target=self._run, name="fal-reader", daemon=True).start()

    def hand_over(self, work: Callable[[], None]) -> None:
        """From now on the thread does this."""
        self._work = work
        self.wake()

    def wake(self) -> None:
        """End a wait that has no limit."""
        try:
            os.write(self._wake, b"w")
        except BlockingIOError:
            # It is full of wakes already.
            return

    def wait(self, seconds: float | None = None, *, frames: bool = False) -> bool:
        """Until it is woken or the time is over; with `frames`, until there is one to read.

        Whether it was woken; without a limit it may also end for nothing. Does not return when the
        backend has closed the channel.
        """
        self._poll.modify(self._channel.fileno(), _HANGUP | (select.POLLIN if frames else 0))
        found = self._poll.poll(self._limit(seconds))
        self._lines.unwatched = False
        self._lines.tick()
        for descriptor, events in found:
            if descriptor == self._wakes:
                os.read(self._wakes, 4096)
                return True
            if events & _GONE:
                die()
        return False

    def _limit(self, seconds: float | None) -> float | None:
        """Milliseconds. Where there is no limit, a line that comes to wait wakes us."""
        if seconds is None:
            self._lines.unwatched = True
            if not self._lines.waiting:
                return None
            self._lines.unwatched = False
            seconds = PATIENCE
        return seconds * 1000

    def _run(self) -> None:
        while self._work is None:
            self.wait()
        self._work()
