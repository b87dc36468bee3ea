"""How do lines get to the backend? In blocks, and no faster than they are kept.

A line of a function that says little goes at once, since it may be the last before a crash. Of one
that says much, lines wait for each other: until there are enough, for the next frame of any kind,
or for a few milliseconds. So no line comes after its call's answer.

Only so much may be on its way and not known to be kept. Beyond that a function waits in its print,
or its lines are dropped and counted, as the backend ordered.
"""

from __future__ import annotations

import select
import struct
import time
from typing import Callable, List, Tuple

from . import channel as wire
from .channel import Channel

HEAD = struct.Struct("!BdBI")
"""Index in LEVELS, seconds since 1970, bytes of the request id and of the text behind it."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "STDOUT", "STDERR", "TRACE")

LARGE = 48 * 1024
"""Bytes that wait for nothing more."""
WINDOW = 1 << 20
"""Bytes that may be on their way and not known to be kept."""
PATIENCE = 0.01
"""Seconds between two looks at lines that wait; those that waited at the last look go."""
EACH, BURST = 0.005, 0.16
"""Seconds of quiet that let one line go at once, and how much of them counts."""
WATCH = 0.25
"""Seconds that half lines are looked at after one was begun, at least."""
LOOK = 10
"""Milliseconds between two looks at whether there is room, where nobody tells."""

_INDEX = {name: number for number, name in enumerate(LEVELS)}
# Users' libraries replace it, and what they put there may want an event loop of theirs.
_poll = select.poll


def _nobody() -> None:
    """Nobody has to be woken."""


def _nothing() -> bool:
    """There are no half lines."""
    return False


class Lines:
    """Those of one worker. Any thread may add; the channel takes them, in its turns to send."""

    def __init__(self, channel: Channel, drops: bool) -> None:
        self._channel = channel
        self._drops = drops
        self._waiting: List[bytes] = []
        """Packed. Only appended to, and taken from the front: neither needs a lock."""
        self._size = 0
        """Bytes of them, roughly: threads that add at the same time may lose one."""
        self._sent = 0
        """Bytes since the start. What is kept of them, the channel hears."""
        self._dropped = 0
        """Lines, not told of yet."""
        self._quiet_from = 0.0
        """By the clock of the lines: what went at once is paid for by then."""
        self._is_taking = False
        self._takes = 0
        self._seen = 0
        self._named = ("", b"")
        """The last request id, and as it is sent."""
        self._is_ending = False
        self.unwatched = False
        """Whoever ticks sleeps, and has to be woken when a line waits."""
        self.wake: Callable[[], None] = _nobody
        self.watched = False
        """Somebody looks at half lines every few milliseconds."""
        self._watched_since = 0.0
        self.look: Callable[[], bool] = _nothing
        """Lets half lines go that are due; whether there are others."""
        channel.ahead = self._take

    @property
    def waiting(self) -> bool:
        """Something has to be looked at soon."""
        return bool(self._waiting) or self._dropped > 0 or self.watched

    def add(self, level: str, text: str, seconds: float, request_id: str) -> None:
        """Seconds since 1970. Returns when there is room for more."""
        self.put(level, text, seconds, request_id)
        if self._size >= LARGE or self._is_ending:
            self.settle()
            self._channel.flush()
        elif self._may_go(seconds):
            self._quiet_from = max(self._quiet_from, seconds) + EACH
            self._channel.flush()
        elif self.unwatched:
            self.unwatched = False
            self.wake()

    def put(self, level: str, text: str, seconds: float, request_id: str) -> None:
        """As `add`, but it waits for nothing."""
        content = text.encode("utf-8", "backslashreplace")
        name = self._named
        if name[0] != request_id:
            name = self._named = (request_id, request_id.encode("utf-8", "replace")[:255])
        head = HEAD.pack(_INDEX[level], seconds, len(name[1]), len(content))
        self._waiting.append(head + name[1] + content)
        self._size += len(content) + 32

    def watch(self) -> None:
        """A half line was begun: whoever ticks is to look at it."""
        self._watched_since = time.monotonic()
        self.watched = True
        if self.unwatched:
            self.unwatched = False
            self.wake()

    def _may_go(self, now: float) -> bool:
        """Whether a line need not wait for others."""
        quiet = self._quiet_from - now <= BURST
        return quiet and (self._drops or not self._is_really_full())

    def settle(self) -> None:
        """Before an answer and before more lines: room for what waits."""
        if self._waiting and not self._drops and self._is_full():
            self._await_room()

    def tick(self) -> None:
        """Every few milliseconds, on a thread that must not be held up."""
        if not self.waiting:
            return
        if self.watched and not self.look():
            self.watched = time.monotonic() - self._watched_since < WATCH
        if not (self._waiting or self._dropped):
            return
        if self._seen != self._takes:
            self._seen = self._takes
        elif self._drops or not self._is_really_full():
            self._channel.flush()

    def hurry(self) -> None:
        """What waits goes, whether there is room or not."""
        self._channel.flush()

    def end(self) -> None:
        """What waits goes, and from now on every line at once: the interpreter is ending."""
        self._is_ending = True
        self.settle()
        self._channel.flush()

    def forget(self) -> None:
        """In a forked copy of the worker: they are the worker's to send."""
        self._waiting.clear()
        self._dropped = 0
        self.watched = True  # by nobody, and it is not needed
        self._channel.forget()

    def _take(self) -> Tuple[bytes, ...]:
        """All that waits, as frames. By the channel, which lets one thread at a time."""
        if self._is_taking or not (self._waiting or self._dropped):
            # A finalizer may print in the middle of this.
            return ()
        self._is_taking = True
        try:
            return self._taken()
        finally:
            self._is_taking = False

    def _taken(self) -> Tuple[bytes, ...]:
        self._takes += 1
        count = len(self._waiting)
        packed = b"".join(self._waiting[:count])
        del self._waiting[:count]
        self._size = 0
        if self._drops and self._is_really_full():
            self._dropped += count
            return ()
        said = self._told_of_dropped()
        if not count:
            return said
        self._sent += len(packed)
        number = wire.META.pack(count)
        head = wire.HEAD.pack(len(number) + len(packed), wire.LOG, 0)
        return (*said, head, number, packed)

    def _told_of_dropped(self) -> Tuple[bytes, ...]:
        if not self._dropped:
            return ()
        number = wire.META.pack(self._dropped)
        self._dropped = 0
        return (wire.HEAD.pack(len(number), wire.DROPPED, 0), number)

    def _is_full(self) -> bool:
        """By what has been heard."""
        return self._sent - self._channel.kept >= WINDOW

    def _is_really_full(self) -> bool:
        if self._is_full():
            self._channel.hear()
        return self._is_full()

    def _await_room(self) -> None:
        """Whoever else reads the channel does so meanwhile; where nobody does, we do."""
        poll, pause = _poll(), _poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        while self._is_full():
            poll.poll(LOOK)
            if not self._channel.hear():
                pause.poll(1)
