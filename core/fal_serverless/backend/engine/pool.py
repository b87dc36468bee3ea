"""The workers of one revision: who runs a call, who waits, when one more is started or one goes.

A call waits here, never inside a worker, so a slow worker has nobody queued behind it while another
is idle. Knows nothing of processes: it starts, uses and stops workers.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import NamedTuple

from fal_serverless.backend.engine.spec import Spec
from fal_serverless.backend.engine.worker import WorkerProcess
from fal_serverless.errors import FalError, QueueFull
from fal_serverless.models import ColdStart

BACKOFF_FIRST, BACKOFF_LAST = 0.5, 30.0
"""Seconds before a kept worker that failed is started again; doubles with each failure."""
STEADY = 30.0
"""Seconds after which a worker's failure has nothing to do with those before it."""

Make = Callable[
    [Spec, Callable[[WorkerProcess], None], Callable[[WorkerProcess], None]], WorkerProcess
]


class Slot(NamedTuple):
    """A place in a worker that is taken for a call."""

    worker: WorkerProcess
    queued: float
    """Seconds until it was free."""
    cold: ColdStart | None
    """Set for the first call in a worker, if it waited for its start."""


class Pool:
    """All methods are for the event loop's thread."""

    def __init__(self, spec: Spec, make: Make, queue_size: int) -> None:
        self.spec = spec
        self._make = make
        self._queue_size = queue_size
        self._workers: dict[str, WorkerProcess] = {}
        self._waiting: deque[asyncio.Future[WorkerProcess]] = deque()
        self._unused: set[str] = set()
        """Workers that never ran a call."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._floor = 0
        self._failures = 0
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def workers(self) -> list[WorkerProcess]:
        return list(self._workers.values())

    # Calls

    async def acquire(self, bounded: bool = True) -> Slot:
        """A place, as soon as there is one. Raises QueueFull; WorkerFailed when none can start."""
        worker = self._choose()
        if worker is not None:
            worker.take()
            self._unused.discard(worker.id)
            return Slot(worker, 0.0, None)
        if bounded and len(self._waiting) >= self._queue_size:
            name, count = self.spec.function, len(self._waiting)
            raise QueueFull(f"'{name}' has {count} calls waiting, which is its limit")
        return await self._wait()

    async def _wait(self) -> Slot:
        began = time.monotonic()
        future: asyncio.Future[WorkerProcess] = self._loop.create_future()
        self._waiting.append(future)
        self._scale()
        try:
            worker = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().give()
            elif future in self._waiting:
                self._waiting.remove(future)
            raise
        queued = time.monotonic() - began
        cold = with_queue(worker.cold, queued) if worker.id in self._unused else None
        self._unused.discard(worker.id)
        return Slot(worker, queued, cold)

    def _choose(self) -> WorkerProcess | None:
        """The least busy worker with a place; of equals the one used last, so others may go."""
        found = [worker for worker in self._workers.values() if worker.has_place]
        return min(found, key=lambda w: (w.running, -w.idle_since), default=None)

    def _serve_waiting(self) -> None:
        while self._waiting:
            worker = self._choose()
            if worker is None:
                return
            future = self._waiting.popleft()
            if not future.done():
                worker.take()
                future.set_result(worker)

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
        self._floor = min(floor, self.spec.max_concurrency)
        self._scale()
        self._tend()

    def _scale(self) -> None:
        """Start what the queue and the floor need, as far as it is allowed."""
        alive = [w for w in self._workers.values() if w.state in ("starting", "ready", "busy")]
        coming = sum(1 for worker in alive if worker.state == "starting")
        per_worker = self.spec.max_multiplexing
        for_queue = -(-len(self._waiting) // per_worker) - coming
        for_floor = self._floor - len(alive) if self._retry is None else 0
        allowed = self.spec.max_concurrency - len(alive)
        for _ in range(min(allowed, max(for_queue, for_floor))):
            worker = self._make(self.spec, self._freed, self._gone)
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
            self._freed(worker)

    def _start_failed(self, error: FalError) -> None:
        """Whoever waits is told, unless other workers may still serve them."""
        self._failures += 1
        self._retry_later()
        if any(w.state in ("starting", "ready", "busy") for w in self._workers.values()):
            return
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(type(error)(error.message, **error.data))

    def _retry_later(self) -> None:
        if self._floor == 0 or self._closing or self._retry is not None:
            return
        delay = min(BACKOFF_LAST, BACKOFF_FIRST * 2 ** min(self._failures, 10))
        self._retry = self._loop.call_later(delay, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if not self._closing:
            self._scale()

    def _freed(self, worker: WorkerProcess) -> None:
        self._serve_waiting()
        if self._waiting:
            self._scale()
        elif worker.running == 0 and self._timer is None:
            self._tend()

    def _gone(self, worker: WorkerProcess) -> None:
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
            return
        now = time.monotonic()
        idle = [w for w in self._workers.values() if w.state == "ready" and w.running == 0]
        ready = [w for w in self._workers.values() if w.state in ("ready", "busy")]
        spare = len(ready) - self._floor
        idle.sort(key=lambda worker: worker.idle_since)
        due = [w for w in idle if w.idle_since + self.spec.keep_alive <= now][: max(0, spare)]
        for worker in due:
            worker.drain()
            self._run(worker.stop(0))
        rest = [worker for worker in idle if worker not in due]
        if rest and spare > len(due):
            wait = rest[0].idle_since + self.spec.keep_alive - now
            self._timer = self._loop.call_later(max(0.0, wait), self._tend)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # End

    async def close(self, drain: float) -> None:
        """Let what waits and runs finish for so many seconds, then stop every worker."""
        self._closing = True
        self._floor = 0
        self._cancel_timer()
        if self._retry is not None:
            self._retry.cancel()
        deadline = time.monotonic() + drain
        if self._waiting:
            await asyncio.wait(tuple(self._waiting), timeout=drain)
        left = max(0.0, deadline - time.monotonic())
        await asyncio.gather(*(worker.stop(left) for worker in self.workers))
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def with_queue(cold: ColdStart, queued: float) -> ColdStart:
    """What a call waited for that a worker was started for."""
    return replace(cold, queue=max(0.0, queued - cold.load - cold.setup))
