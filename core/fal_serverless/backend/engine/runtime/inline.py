"""Calls of a plain function, one at a time: the main thread reads the channel and runs them.

No other thread takes part in a short call, which is most of what a call can save. Only when one
lasts does the reader's thread read in its stead: somebody has to hear that the call is cancelled,
that its stream may go on, or that a call that waits behind it is wanted back.
"""

from __future__ import annotations

import signal
import threading
from collections import deque
from typing import Any

from . import channel as wire
from .calls import CallCancelled, Flow, Request, Served
from .channel import Frame, die
from .reader import Reader
from .threads import INTERRUPT, Plain

TICK = 0.01
"""Seconds between two looks at whether the main thread is still in the same call."""
PARK_AFTER = 100
"""Looks that find no call running, after which nobody looks until the next call."""


class Inline(Plain):
    """`run` is for the main thread, `_assist` for the reader's."""

    takes_ahead = True

    def __init__(self, served: Served, reader: Reader) -> None:
        super().__init__(served)
        self._channel = served.channel
        self._reader = reader
        self._inbox: deque[Frame] = deque()
        self._reading = threading.Lock()
        """For the channel's receiving side and the inbox."""
        self._begun = 0
        """Counts calls; an odd number of steps: one is running."""
        self._parked = True
        self._interruptible = 0
        """The call that a signal may end; 0: none."""
        self._flow: Flow | None = None
        """Of the call that runs."""
        self._main = threading.main_thread().ident or 0

    def run(self) -> None:
        """Until STOP."""
        if INTERRUPT is not None:
            signal.signal(INTERRUPT, self._interrupted)
        self._reader.hand_over(self._assist)
        while True:
            frame = self._next()
            if frame.kind == wire.CALL:
                self._begun += 1
                if self._parked:
                    self._parked = False
                    self._reader.wake()
                self._answer(self._served.request(frame.call, frame.payload))
                self._begun += 1
            elif frame.kind == wire.STOP:
                return

    def _next(self) -> Frame:
        with self._reading:
            while not self._inbox:
                self._receive(wait=True)
            return self._inbox.popleft()

    # One call

    def _answer(self, request: Request) -> None:
        output, served = self._served.output, self._served
        output.sole = request.request_id
        flow = self._flow = Flow()
        kind, payload = wire.REPLY, b""
        try:
            self._interruptible = request.call
            if request.call in self._cancelled:
                raise CallCancelled
            kind, payload = self._run(request, flow)
            self._interruptible = 0
        except BaseException as exc:
            self._interruptible = 0
            kind, payload = wire.REPLY, served.refusal(request, exc)
        output.finish(request.request_id)
        output.sole = ""
        self._flow = None
        self._cancelled.discard(request.call)
        self._channel.send(kind, request.call, payload)

    def _settled(self) -> None:
        self._interruptible = 0

    def _interrupted(self, *_: Any) -> None:
        if self._channel.in_send:
            self._channel.deferred = self._interrupted
        elif self._interruptible in self._cancelled:
            self._interruptible = 0
            raise CallCancelled

    # Beside it

    def _assist(self) -> None:
        idle = 0
        while True:
            seen = self._begun
            if seen % 2 == 0 and idle >= PARK_AFTER:
                self._park(seen)
                idle = 0
            self._reader.wait(TICK)
            if seen % 2 == 0:
                idle += 1
                continue
            idle = 0
            while self._begun == seen:
                self._read_for(seen)

    def _park(self, seen: int) -> None:
        """Wait for a call; it sees that it has to wake us, or we see that it has begun."""
        self._parked = True
        if self._begun == seen:
            self._reader.wait()
        self._parked = False

    def _read_for(self, seen: int) -> None:
        """Hear what comes while the main thread is busy."""
        self._reader.wait(TICK, frames=True)
        if self._begun != seen or not self._reading.acquire(blocking=False):
            return
        try:
            self._receive(wait=False)
        finally:
            self._reading.release()

    # What comes; only with the lock

    def _receive(self, *, wait: bool) -> None:
        try:
            frames = self._channel.receive(wait=wait)
        except EOFError:
            die()
        for frame in frames:
            self._heard(frame)

    def _heard(self, frame: Frame) -> None:
        if frame.kind == wire.CANCEL:
            self._cancel(frame.call)
        elif frame.kind == wire.WITHDRAW:
            self._withdraw(frame.call)
        elif frame.kind == wire.CREDIT:
            flow = self._flow
            if flow is not None and frame.call == self._interruptible:
                flow.give(wire.META.unpack(frame.payload)[0])
        else:
            self._inbox.append(frame)

    def _withdraw(self, call: int) -> None:
        """Give a call back that has not begun; one that has is answered."""
        for frame in self._inbox:
            if frame.call == call and frame.kind == wire.CALL:
                self._inbox.remove(frame)
                self._channel.send(wire.WITHDRAWN, call)
                return

    def _cancel(self, call: int) -> None:
        waiting = any(frame.call == call for frame in self._inbox)
        if self._interruptible != call and not waiting:
            return
        self._cancelled.add(call)
        flow = self._flow
        if flow is not None and self._interruptible == call:
            flow.cancel()
            if INTERRUPT is not None:
                signal.pthread_kill(self._main, INTERRUPT)
