"""The workers of one revision: who runs a call, who waits, when one more is started or one goes.

A call waits here until a worker has a place for it. Only where all workers are busy with calls that
take no time does a call go ahead to one of them, so that the worker has it when it is done with the
last; it is taken back when another worker is idle before its turn has come. Knows nothing of
processes: it starts, uses and stops workers.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from typing import NamedTuple

from fal_serverless.backend.engine.exchange import Exchange
from fal_serverless.backend.engine.spec import Load, Spec
from fal_serverless.backend.engine.worker import User, WorkerProcess
from fal_serverless.errors import FalError, QueueFull, WorkerFailed
from fal_serverless.models import ColdStart

BACKOFF_FIRST, BACKOFF_LAST = 0.5, 30.0
"""Seconds before a kept worker that failed is started again; doubles with each failure."""
STEADY = 30.0
"""Seconds after which a worker's failure has nothing to do with those before it."""
AHEAD = 12
"""Calls that may be in a worker ahead of their turn."""
SHORT = 0.005
"""Seconds that calls may take on average where others are sent ahead behind them."""
LARGEST_AHEAD = 256 * 1024
"""Bytes of the body of a call that is sent ahead: it may have to be sent again."""
EVEN_OUT = 0.002
"""Seconds that a worker may be idle while a call waits its turn in another."""


Make = Callable[[Spec, User], WorkerProcess]


class Slot(NamedTuple):
    """A place in a worker that is taken for something else than a call."""

    worker: WorkerProcess
    queued: float
    """Seconds until it was free."""
    cold: ColdStart | None
    """Set for the first user of a worker, if he waited for its start."""


class Turn:
    """Somebody waits for a place, as an exchange does. One of the two is called, once."""

    def __init__(
        self, granted: Callable[[Slot], object], failed: Callable[[FalError], object]
    ) -> None:
        self.granted = granted
        self.fail = failed
        self.queued_at = 0.0


class Pool:
    """All methods are for the event loop's thread."""

    def __init__(self, spec: Spec, make: Make, queue_size: int) -> None:
        self.spec = spec
        self._make = make
        self._queue_size = queue_size
        self._places = spec.max_multiplexing
        self._most = spec.max_concurrency
        self._ahead = min(AHEAD, queue_size // self._most)
        """In one worker: those in all of them are no more than may wait."""
        self._workers: dict[str, WorkerProcess] = {}
        self._waiting: deque[Exchange | Turn] = deque()
        self._unused: set[str] = set()
        """Workers that never ran a call."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._floor = 0
        self._failures = 0
        self._closing = False
        self._over = False
        """No worker is started any more, so nobody may wait."""
        self._emptied = asyncio.Event()
        """Nobody waits; looked at when it closes."""
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._evening: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def workers(self) -> list[WorkerProcess]:
        return list(self._workers.values())

    # Calls

    def submit(self, exchange: Exchange) -> None:
        """Run a call as soon as there is a place. Raises QueueFull."""
        worker = self._choose() or (self._choose_ahead(exchange) if not self._waiting else None)
        if worker is None:
            self._check_room()
            self._wait(exchange)
        elif self._unused:
            self._begin(worker, exchange)
        else:
            worker.begin(exchange)

    def cancel(self, exchange: Exchange) -> None:
        """Nobody waits for it any more; it is not heard from again."""
        exchange.cancelled = True
        if exchange.worker is not None:
            exchange.worker.cancel(exchange)
        elif exchange in self._waiting:
            self._waiting.remove(exchange)
            self._tell_emptied()

    def seek(self, turn: Turn, *, bounded: bool = True) -> None:
        """Find a place as soon as there is one. Raises QueueFull."""
        worker = self._choose()
        if worker is not None:
            self._begin(worker, turn)
            return
        if bounded:
            self._check_room()
        self._wait(turn)

    def leave(self, turn: Turn) -> None:
        """Who waited does not want it any more."""
        if turn in self._waiting:
            self._waiting.remove(turn)
            self._tell_emptied()

    async def acquire(self, *, bounded: bool = True) -> Slot:
        """A place, as soon as there is one. Raises QueueFull; WorkerFailed when none can start."""
        future: asyncio.Future[Slot] = self._loop.create_future()
        turn = Turn(future.set_result, future.set_exception)
        self.seek(turn, bounded=bounded)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self.leave(turn)
            if future.done() and future.exception() is None:
                future.result().worker.give()
            raise

    def load(self) -> Load | None:
        """None: there is nothing of it."""
        if not self._workers and not self._waiting:
            return None
        states = Counter(str(worker.state) for worker in self._workers.values())
        return Load(self.spec, states, self.waiting)

    @property
    def waiting(self) -> int:
        """Calls without a place, those that wait in a worker included."""
        return len(self._waiting) + sum(worker.ahead for worker in self._workers.values())

    def _check_room(self) -> None:
        count = self.waiting
        if count >= self._queue_size:
            name = self.spec.function
            raise QueueFull(f"'{name}' has {count} calls waiting, which is its limit")

    def _wait(self, who: Exchange | Turn) -> None:
        if self._over:
            raise self._stopped()
        who.queued_at = time.monotonic()
        self._waiting.append(who)
        self._scale()

    def _choose(self) -> WorkerProcess | None:
        """The least busy worker with a place; of equals the one used last, so others may go."""
        best, places = None, self._places
        for worker in self._workers.values():
            free = worker.is_open and worker.running < places
            if free and (best is None or _before(worker, best)):
                best = worker
        return best

    def _choose_ahead(self, exchange: Exchange) -> WorkerProcess | None:
        """The worker whose calls before it will be over first, if it is worth it to send it."""
        if len(self._workers) < self._most or len(exchange.body) > LARGEST_AHEAD:
            return None
        best, slow = None, time.monotonic() - SHORT
        for worker in self._workers.values():
            if worker.state != "busy" or not worker.takes_ahead or worker.typical > SHORT:
                return None
            if not worker.is_open or worker.running > self._ahead or worker.busy_since < slow:
                continue
            if best is None or worker.running < best.running:
                best = worker
        return best

    def _begin(self, worker: WorkerProcess, who: Exchange | Turn) -> None:
        queued = time.monotonic() - who.queued_at if who.queued_at else 0.0
        cold = None
        if worker.id in self._unused:
            self._unused.discard(worker.id)
            cold = with_queue(worker.cold, queued) if who.queued_at else None
        if isinstance(who, Exchange):
            who.queued, who.cold = queued, cold
            worker.begin(who)
        else:
            worker.take()
            who.granted(Slot(worker, queued, cold))

    def _serve_waiting(self) -> None:
        waiting = self._waiting
        while waiting:
            first = waiting[0]
            worker = self._choose()
            if worker is None and isinstance(first, Exchange):
                worker = self._choose_ahead(first)
            if worker is None:
                return
            self._begin(worker, waiting.popleft())
        self._tell_emptied()

    # Calls ahead of their turn

    def returned(self, exchange: Exchange) -> None:
        """A call that had not begun in its worker: it goes before those that were in none."""
        if exchange.cancelled:
            return
        if self._over:
            exchange.fail(self._stopped())
            return
        exchange.queued_at = exchange.queued_at or time.monotonic()
        before = takewhile(lambda who: _came_before(who, exchange), self._waiting)
        self._waiting.insert(sum(1 for _ in before), exchange)

    def _even_out(self) -> None:
        """Take calls back for workers that are idle."""
        self._evening = None
        slow, wanted = time.monotonic() - SHORT, False
        for _ in range(sum(1 for worker in self._workers.values() if worker.has_place)):
            fullest = max(self._workers.values(), key=_wanted_from)
            if not _wanted_from(fullest):
                break
            fullest.withdraw(AHEAD if fullest.busy_since < slow else 1)
            wanted = True
        if not wanted and self._timer is None:
            self._tend()

    # How many

    async def warm(self) -> None:
        """Until one worker is ready, or was found busy. Raises WorkerFailed, StartupTimeout."""
        if any(worker.state in ("ready", "busy") for worker in self._workers.values()):
            return
        worker = (await self.acquire(bounded=False)).worker
        # The place was only borrowed to wait for it.
        self._unused.add(worker.id)
        worker.requests -= 1
        worker.give()

    def keep(self, floor: int) -> None:
        """Keep so many workers, but never more than the function allows."""
        self._floor = min(floor, self._most)
        self._scale()
        self._tend()

    def _scale(self) -> None:
        """Start what the queue and the floor need, as far as it is allowed."""
        alive = [w for w in self._workers.values() if w.state in ("starting", "ready", "busy")]
        allowed = self._most - len(alive)
        if allowed <= 0:
            return
        coming = sum(1 for worker in alive if worker.state == "starting")
        count = len(self._waiting) + sum(_wanted_from(worker) for worker in alive)
        for_queue = -(-count // self._places) - coming
        for_floor = self._floor - len(alive) if self._retry is None else 0
        for _ in range(min(allowed, max(for_queue, for_floor))):
            worker = self._make(self.spec, self)
            self._workers[worker.id] = worker
            self._unused.add(worker.id)
            self._run(self._start(worker))

    async def _start(self, worker: WorkerProcess) -> None:
        try:
            await worker.start()
        except FalError as exc:
            self._forget(worker)
            self._start_failed(exc)
        else:
            self.freed(worker)

    def _start_failed(self, error: FalError) -> None:
        """Whoever waits is told, unless other workers may still serve them."""
        self._failures += 1
        self._retry_later()
        if not any(w.state in ("starting", "ready", "busy") for w in self._workers.values()):
            self._fail_waiting(error)

    def _fail_waiting(self, error: FalError) -> None:
        while self._waiting:
            self._waiting.popleft().fail(type(error)(error.message, **error.data))
        self._tell_emptied()

    def _retry_later(self) -> None:
        if self._floor == 0 or self._closing or self._retry is not None:
            return
        delay = min(BACKOFF_LAST, BACKOFF_FIRST * 2 ** min(self._failures, 10))
        self._retry = self._loop.call_later(delay, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if not self._closing:
            self._scale()

    def freed(self, worker: WorkerProcess) -> None:
        """A place in it is free."""
        if self._waiting:
            self._serve_waiting()
            if self._waiting:
                self._scale()
        elif worker.running == 0:
            if self._evening is None and len(self._workers) > 1:
                self._evening = self._loop.call_later(EVEN_OUT, self._even_out)
            if self._timer is None:
                self._tend()

    def gone(self, worker: WorkerProcess) -> None:
        """It died, or was stopped. One that never got ready is seen to by its start."""
        if worker.id not in self._workers or worker.id in self._starting():
            return
        self._forget(worker)
        lived = time.monotonic() - worker.ready_at
        if worker.state != "failed" or lived >= STEADY:
            # That it got ready is no sign of health: it may do that and die, again and again.
            self._failures = 0
        if worker.state == "failed":
            self._failures += 1
            self._retry_later()
        self._scale()

    def _starting(self) -> set[str]:
        return {w.id for w in self._workers.values() if not w.was_ready}

    def _forget(self, worker: WorkerProcess) -> None:
        self._workers.pop(worker.id, None)
        self._unused.discard(worker.id)

    # Keep-alive

    def _tend(self) -> None:
        """Stop workers idle for too long, and look again when the next one may be."""
        self._cancel_timer()
        if self._closing:
            self._tell_emptied()
            return
        if self._evening is not None:
            # Who is idle may be about to get what waits in another; then it is looked at again.
            return
        now = time.monotonic()
        idle = [w for w in self._workers.values() if w.state == "ready" and w.running == 0]
        ready = [w for w in self._workers.values() if w.state in ("ready", "busy")]
        spare = len(ready) - self._floor
        idle.sort(key=lambda worker: worker.idle_since)
        due = [w for w in idle if w.idle_since + self.spec.keep_alive <= now][: max(0, spare)]
        for worker in due:
            worker.drain()
            why = f"idle for {self.spec.keep_alive:g} s"
            if worker is due[-1] and len(ready) == len(due) and len(self._workers) == len(due):
                why += f"; '{self.spec.function}' is scaled to zero"
            self._run(worker.stop(0, why))
        rest = [worker for worker in idle if worker not in due]
        if rest and spare > len(due):
            wait = rest[0].idle_since + self.spec.keep_alive - now
            self._timer = self._loop.call_later(max(0.0, wait), self._tend)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # End

    async def close(self, drain: float, why: str) -> None:
        """Let what waits and runs finish for so many seconds, then stop every worker."""
        self._closing = True
        self._floor = 0
        self._cancel_timer()
        if self._retry is not None:
            self._retry.cancel()
        deadline = time.monotonic() + drain
        await self._until_empty(drain)
        self._over = True
        self._fail_waiting(self._stopped())
        left = max(0.0, deadline - time.monotonic())
        await asyncio.gather(*(worker.stop(left, why) for worker in self.workers))
        if self._evening is not None:
            self._evening.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _stopped(self) -> WorkerFailed:
        return WorkerFailed(f"'{self.spec.function}' was stopped")

    async def _until_empty(self, seconds: float) -> None:
        """Nobody waits for a place, and no call is on its way back from a worker."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting or any(w.wanted_back for w in self._workers.values()):
                    self._emptied.clear()
                    await self._emptied.wait()

    def _tell_emptied(self) -> None:
        if not self._waiting:
            self._emptied.set()

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _before(one: WorkerProcess, other: WorkerProcess) -> bool:
    if one.running != other.running:
        return one.running < other.running
    return one.idle_since > other.idle_since


def _came_before(who: Exchange | Turn, exchange: Exchange) -> bool:
    """Whether it was sent to the same worker earlier, and came back too."""
    return isinstance(who, Exchange) and 0 < who.number < exchange.number


def _wanted_from(worker: WorkerProcess) -> int:
    """How many calls in it wait for their turn and were not asked for yet."""
    return worker.ahead - worker.wanted_back


def with_queue(cold: ColdStart, queued: float) -> ColdStart:
    """What a call waited for that a worker was started for."""
    return replace(cold, queue=max(0.0, queued - cold.load - cold.setup))
