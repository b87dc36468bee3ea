"""The calls in one worker: those that run, those that wait for their turn, and their limit of time.

What the worker is, and how it starts and ends, is its heir's business.
"""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from fal_serverless.backend.engine import frames, process
from fal_serverless.backend.engine.exchange import Exchange, ReplyStream
from fal_serverless.backend.engine.frames import Link
from fal_serverless.backend.engine.journal import Journal
from fal_serverless.backend.engine.spec import Spec
from fal_serverless.errors import RequestTimeout, WorkerFailed
from fal_serverless.models import WorkerState

WEIGHT = 0.05
"""Of the newest call, in what a call typically takes."""


class Calls(ABC):
    """Places in a worker, and what is in them. All methods are for the event loop's thread."""

    def __init__(
        self,
        worker_id: str,
        spec: Spec,
        link: Link,
        journal: Journal,
        request_timeout: float,
        freed: Callable[[], object],
        returned: Callable[[Exchange], object],
    ) -> None:
        """`request_timeout`: seconds a call may run. `freed`, `returned`: see `worker.User`."""
        self.id = worker_id
        self.spec = spec
        self.state: WorkerState = "starting"
        self.is_open = False
        """Calls may begin in it: it is ready or busy, and not about to end."""
        self.running = 0
        """Places taken, and calls that wait in it for their turn."""
        self.takes_ahead = False
        """Calls may wait in it. Known when it is ready."""
        self.wanted_back = 0
        """Calls that it was asked for and has not given back or answered yet."""
        self.typical = math.inf
        """Seconds that a call takes, with the newest ones weighing most; inf: none is known."""
        self.busy_since = 0.0
        """When the newest of its calls had its turn, by the monotonic clock."""
        self.requests = 0
        self.idle_since = time.monotonic()
        self._places = spec.max_multiplexing
        self._limit = request_timeout
        self._freed = freed
        self._returned = returned
        self._link = link
        self._journal = journal
        self._last_number = 0
        self._exchanges: dict[int, Exchange] = {}
        """In the order they were sent, which is the order they begin in."""
        self._deadline: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._idle = asyncio.Event()
        self._idle.set()

    @abstractmethod
    def _set(self, state: WorkerState) -> None:
        """Enter a state, if it can be entered from the one it is in."""

    @abstractmethod
    def _replace_later(self, number: int) -> None:
        """The worker has to go if that call does not end soon: nobody waits for it any more."""

    # Places and calls

    @property
    def has_place(self) -> bool:
        return self.is_open and self.running < self._places

    @property
    def ahead(self) -> int:
        """Calls that wait in it for their turn."""
        return max(0, self.running - self._places)

    def take(self) -> None:
        """A place; the taker gives it back."""
        self.running += 1
        self.requests += 1
        if self.running == 1:
            self._idle.clear()
            if self.state == "ready":
                self._set("busy")

    def give(self) -> None:
        self.running -= 1
        if self.running == 0:
            self.idle_since = time.monotonic()
            self._idle.set()
            if self.state == "busy":
                self._set("ready")
        self._freed()

    def begin(self, exchange: Exchange) -> None:
        """Run a call in a place, or behind those that run. The place is free when it is done."""
        self.take()
        self._last_number = number = self._last_number % 0xFFFFFFFF + 1
        exchange.worker, exchange.worker_id, exchange.number = self, self.id, number
        self._exchanges[number] = exchange
        if self.running <= self._places:
            self._turn(exchange, time.monotonic())
        if exchange.alias:
            self._journal.call_begins(exchange.request_id, exchange.alias)
        self._link.call(number, exchange.meta, exchange.body)

    def cancel(self, exchange: Exchange) -> None:
        """Nobody waits for a call that was begun here."""
        self._link.send(frames.CANCEL, exchange.number)
        if self.spec.pickled:
            # Nobody else will ask for this worker: it need not be spared what does not end.
            exchange.late = True
            self._replace_later(exchange.number)

    def withdraw(self, most: int) -> None:
        """Ask for the last so many of the waiting calls; each comes back or is answered."""
        waiting = [
            exchange
            for exchange in self._exchanges.values()
            if not (exchange.began or exchange.wanted_back or exchange.cancelled)
        ]
        for exchange in waiting[-most:]:
            exchange.wanted_back = True
            self.wanted_back += 1
            self._link.send(frames.WITHDRAW, exchange.number)

    def _turn(self, exchange: Exchange, now: float) -> None:
        """It runs from now on, as far as we can know."""
        exchange.began = self.busy_since = now
        if self._deadline is None:
            self._deadline = self._loop.call_later(self._limit, self._look_for_late)

    def _look_for_late(self) -> None:
        """The limit is the same for all, so the one that began first is due first."""
        self._deadline = None
        now = time.monotonic()
        for exchange in list(self._exchanges.values()):
            if exchange.late or not exchange.began:
                continue
            left = exchange.began + self._limit - now
            if left > 0:
                self._deadline = self._loop.call_later(left, self._look_for_late)
                return
            self._timed_out(exchange)

    def _timed_out(self, exchange: Exchange) -> None:
        if exchange.status:
            return
        said = f"'{self.spec.function}' did not answer within {self._limit:g} s"
        exchange.fail(RequestTimeout(said))
        exchange.late = True
        self._link.send(frames.CANCEL, exchange.number)
        self._replace_later(exchange.number)

    def _finish(self, exchange: Exchange) -> None:
        """The worker is done with it, so its place is free."""
        self._take_out(exchange)
        if exchange.began:
            now, known = time.monotonic(), self.typical
            spent = now - exchange.began
            self.typical = known + WEIGHT * (spent - known) if known < math.inf else spent
            if self.running > self._places:
                self._next_turn(now)
        self.give()

    def _next_turn(self, now: float) -> None:
        """The call that waits longest in it begins."""
        for exchange in self._exchanges.values():
            if not exchange.began:
                self._turn(exchange, now)
                return

    def _take_out(self, exchange: Exchange) -> None:
        del self._exchanges[exchange.number]
        if exchange.wanted_back:
            exchange.wanted_back = False
            self.wanted_back -= 1
        if exchange.alias:
            self._journal.call_ends(exchange.request_id)

    def _give_back(self, exchange: Exchange) -> None:
        """It has not begun here, even if the one before it is done and its turn had come."""
        self._take_out(exchange)
        if exchange.began and self.running > self._places:
            self._next_turn(time.monotonic())
        exchange.worker, exchange.worker_id, exchange.began = None, "", 0.0
        self.requests -= 1
        self._returned(exchange)
        self.give()

    # What became of them

    def _fail_calls(self, said: str) -> None:
        """What has begun has failed; what waited its turn in here may run elsewhere."""
        log = self._journal.recent()
        for exchange in list(self._exchanges.values()):
            if not exchange.began:
                continue
            error = WorkerFailed(said, log=log)
            if exchange.stream is not None:
                exchange.stream.break_off(error)
            else:
                exchange.fail(error)
            self._take_out(exchange)
            self.give()
        for exchange in list(self._exchanges.values()):
            self._give_back(exchange)

    def _answered(self, exchange: Exchange, kind: int, payload: bytes) -> None:
        if kind == frames.REPLY:
            if not exchange.late and not exchange.cancelled:
                exchange.status, exchange.content_type, exchange.content = frames.answer(payload)
            # The place first: the next call is on its way while this one's answer is written.
            self._finish(exchange)
            if exchange.status:
                exchange.heard(exchange)
        elif kind == frames.STREAM:
            self._stream_begins(exchange, payload)
        elif kind == frames.WITHDRAWN:
            self._give_back(exchange)
        elif exchange.stream is not None:
            if kind == frames.CHUNK:
                exchange.stream.feed(payload)
                return
            if kind == frames.END:
                exchange.stream.end()
            else:
                said = f"'{self.spec.function}' failed in the middle of its answer"
                exchange.stream.break_off(WorkerFailed(said))
            self._finish(exchange)

    def _stream_begins(self, exchange: Exchange, payload: bytes) -> None:
        status, kind, _ = frames.answer(payload)
        exchange.stream = ReplyStream(self._link, exchange.number)
        if exchange.late or exchange.cancelled:
            exchange.stream.cancel()
        else:
            exchange.status, exchange.content_type = status, kind
            exchange.heard(exchange)

    def _sole_call(self) -> process.Caller:
        """The call that what comes through a pipe belongs to, if only one can have said it."""
        running = [exchange for exchange in self._exchanges.values() if exchange.began]
        if len(running) != 1:
            return process.NOBODY
        return running[0].request_id, running[0].alias
