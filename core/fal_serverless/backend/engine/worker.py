"""One worker: a child process that has the function loaded, from start to gone.

It knows its own state and calls, and nothing of other workers: who uses it takes a place, and is
told when one is free again, when a call comes back that has not begun, and when the worker is gone.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from fal_serverless.backend.engine import frames, process, startup
from fal_serverless.backend.engine.calls import Calls
from fal_serverless.backend.engine.exchange import Exchange
from fal_serverless.backend.engine.journal import Herald, Journal
from fal_serverless.backend.engine.limits import OUT_OF_MEMORY, Room
from fal_serverless.backend.engine.ports import Address, Place
from fal_serverless.backend.engine.process import Process, Start
from fal_serverless.backend.engine.spec import Spec
from fal_serverless.backend.engine.startup import Surroundings
from fal_serverless.errors import StartupTimeout, WorkerFailed
from fal_serverless.models import ColdStart, Worker, WorkerState

STOP_GRACE = 3.0
"""Seconds between asking a worker to end and killing it."""
CANCEL_GRACE = 5.0
"""Seconds that a call past its time limit has to end, before its worker is killed."""
KILL_GRACE = 2.0
"""Seconds that a supervisor has to end its worker."""
LAST_FRAMES = 0.5
"""Seconds for what a dead worker's channel still holds; a fork can keep it open for ever."""


class User(Protocol):
    """Who uses a worker, and is told what becomes of its places."""

    def freed(self, worker: WorkerProcess) -> None:
        """A place is free."""

    def returned(self, exchange: Exchange) -> None:
        """A call did not begin, and never will here; `freed` follows."""

    def gone(self, worker: WorkerProcess) -> None:
        """It died, or was stopped."""


class WorkerProcess(Calls):
    """From start to gone. All methods are for the event loop's thread."""

    def __init__(
        self,
        spec: Spec,
        around: Surroundings,
        user: User,
    ) -> None:
        worker_id = f"w-{uuid.uuid4().hex[:8]}"
        super().__init__(
            worker_id,
            spec,
            frames.Link(self._received, self._cut),
            Journal(spec, worker_id, around.log, self._tell_kept),
            spec.seconds("request_timeout", around.request_timeout),
            partial(user.freed, self),
            user.returned,
        )
        self.was_ready = False
        self.ready_at = 0.0
        """By the monotonic clock; 0 before it is."""
        self.cold = ColdStart()
        self.address: Address | None = None
        """Where its own server listens; None: it has none."""
        self._around = around
        self._user = user
        self._started_at = datetime.now(UTC)
        self._herald = Herald(lambda: around.changed(self.record()))
        self._process: Process | None = None
        self._kind = startup.kind_of(spec)
        """Of the template that may start it."""
        self._place: Place | None = None
        self._room: Room | None = None
        self._pid: int | None = None
        """Of the process that runs the function; known when it is loaded."""
        self._setup: asyncio.Future[float] = self._loop.create_future()
        """Seconds of the setup function: set when the function is loaded."""
        self._over: asyncio.Future[str] = self._loop.create_future()
        """Why it is over, or about to be."""
        self._stopping = False
        """Its end was asked for."""
        self._why = ""
        """For what reason, or by whom."""
        self._unheard = asyncio.Event()
        self._ended = asyncio.Event()

    # What others see

    def record(self) -> Worker:
        address = "unix"
        if self.spec.exposed_port is not None:
            address = "{}:{}".format(*self.address) if self.address else ""
        pid = None if self._ended.is_set() else self._pid
        return Worker(
            id=self.id,
            function=self.spec.function,
            revision=self.spec.revision,
            state=self.state,
            pid=pid,
            address=address,
            started_at=self._started_at,
            requests=self.requests,
            running=min(self.running, self._places),
            memory_bytes=None if pid is None else process.memory(pid),
            cold_start=self.cold,
        )

    # Start

    async def start(self) -> None:
        """Until it is ready. Raises WorkerFailed or StartupTimeout; by then it is gone, too."""
        limit = self.spec.seconds("startup_timeout", self._around.startup_timeout)
        began = time.perf_counter()
        self._herald.now()
        try:
            async with asyncio.timeout(limit):
                await self._begin()
                setup = await self._until_ready()
        except TimeoutError as exc:
            said = f"'{self.spec.entrypoint}' was not ready within {limit:g} s{self._hint()}"
            raise await self._give_up(StartupTimeout(said)) from exc
        except WorkerFailed as exc:
            raise await self._give_up(exc) from None
        except Exception as exc:
            said = f"no worker of '{self.spec.entrypoint}' could be started: {exc}"
            raise await self._give_up(WorkerFailed(said)) from exc
        self._is_ready(max(0.0, time.perf_counter() - began - setup), setup)

    async def _begin(self) -> None:
        python = self.spec.environment.python
        environ = startup.child_environ(self._around.environ, python)
        found = await asyncio.to_thread(self._around.isolation)
        orders: dict[str, Any] = {"namespace": found.namespace.kind}
        if self.spec.exposed_port is not None:
            self._place = await self._around.ports.claim(self.spec.exposed_port)
            environ.update(self._place.environ)
            orders.update(self._place.orders)
        self._room = self._around.limits.claim(self.id, self.spec.machine_type)
        orders.update(self._room.orders)
        environ = {**self._room.environ, **environ}
        if self._room.unenforced:
            self._journal.say("WARNING", self._room.unenforced)
        what = Start(python, self._around.run_dir / self.id, environ, orders)
        fork = partial(self._around.templates.fork, self._kind)
        self._process = await process.start(
            what, self._link, self._journal.heard, self._sole_call, fork
        )
        self._journal.say("INFO", f"worker {self.id} started (process {self._process.pid})")
        self._watching = asyncio.ensure_future(self._watch(self._process))
        self._link.send(frames.INIT, 0, startup.first_frame(self.spec, self._around.log_overflow))

    async def _until_ready(self) -> float:
        """The seconds of the setup function. Raises WorkerFailed."""
        await asyncio.wait((self._setup, self._over), return_when=asyncio.FIRST_COMPLETED)
        if self._place is not None and self._process is not None and not self._over.done():
            sessions = {self._process.pid, self._pid or self._process.pid}
            ports = self._around.ports
            self.address = await ports.reach(self._place, sessions, self._over, self._is_slow)
        if self._over.done():
            raise WorkerFailed(self._over.result() + self._hint())
        return self._setup.result()

    def _is_slow(self) -> None:
        name, port = self.spec.entrypoint, self.spec.exposed_port
        if self._hint():
            said = f"{name} does not listen on port {port} yet{self._hint()}"
            self._journal.say("WARNING", said)

    def _is_ready(self, load: float, setup: float) -> None:
        self.cold = ColdStart(load=load, setup=setup)
        self.ready_at = self.idle_since = time.monotonic()
        self.was_ready = True
        self._around.templates.want(self._kind)
        took, load, setup = ((load + setup) * 1000, load * 1000, setup * 1000)
        said = (
            f"worker {self.id} is ready in {took:.0f} ms (load {load:.0f} ms, setup {setup:.0f} ms)"
        )
        self._journal.say("INFO", said)
        self._set("ready")

    def _hint(self) -> str:
        return self._around.ports.hint(self._place) if self._place else ""

    async def _give_up(self, error: WorkerFailed) -> WorkerFailed:
        """End what was started; the error, with the last lines."""
        wanted = self._stopping
        self._stopping = True
        self._end_with(error.message)
        if self._process is None:
            await self._leave_room()
            self._ended.set()
        await self._kill()
        error.data["log"] = self._journal.recent()
        self._journal.say("INFO" if wanted else "ERROR", error.message)
        self._set("stopped" if wanted else "failed")
        return error

    # End

    def drain(self) -> None:
        """No call begins in it from now on."""
        if self.state not in ("stopped", "failed"):
            self._set("draining")

    async def stop(self, drain: float, why: str = "") -> None:
        """Let what runs finish for so many seconds, then end it. `why` is for the log."""
        self._why = self._why or why
        self.drain()
        if self.was_ready:
            await self._finish_calls(drain)
            self._stopping = True
            await self._ask_to_end()
        else:
            self._stopping = True
            said = f"worker {self.id} was stopped before it was ready"
            self._end_with(f"{said}: {why}" if why else said)
        await self._ended.wait()

    def _replace_later(self, number: int) -> None:
        self._loop.call_later(CANCEL_GRACE, self._replace_if_stuck, number)

    def _replace_if_stuck(self, number: int) -> None:
        """A function that does not end keeps its place for ever: its worker has to go."""
        if number not in self._exchanges or self._ended.is_set():
            return
        if self.state != "draining":
            self._journal.say("WARNING", f"worker {self.id} goes: a call in it does not end")
            self.drain()
            self._freed()
        if all(exchange.late for exchange in self._exchanges.values() if exchange.began):
            self._stopping = True
            self._link.close()
        else:
            self._replace_later(number)

    async def _finish_calls(self, drain: float) -> None:
        try:
            async with asyncio.timeout(drain):
                await self._idle.wait()
        except TimeoutError:
            said = f"worker {self.id} ends with {self.running} calls unfinished"
            self._journal.say("WARNING", said)

    async def _ask_to_end(self) -> None:
        if self.spec.exposed_port is None and self.running == 0:
            self._link.send(frames.STOP)
        else:
            self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_GRACE):
                await self._ended.wait()
        except TimeoutError:
            await self._kill()

    async def _kill(self) -> None:
        """By its supervisor, who finds all that came of it; if that fails, as a group."""
        self._link.close()
        await _wait(self._ended, KILL_GRACE)
        self._signal(signal.SIGKILL)
        await self._ended.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and not self._ended.is_set():
            self._process.signal(number)

    async def _watch(self, child: Process) -> None:
        """Until it is gone; then everybody is told who has to know."""
        code = await child.ended()
        # What it said last is in its channel still, and says more than an exit code.
        await _wait(self._unheard, LAST_FRAMES)
        self._link.close()
        ran_out = await self._leave_room()
        note = OUT_OF_MEMORY if ran_out else child.note
        how = self._room.ended(note) if self._room and note else process.ending(code)
        self._end_with(f"worker {self.id} of '{self.spec.entrypoint}' died: {how}")
        if self._place is not None:
            self._around.ports.release(self._place)
        self._ended.set()
        if self._deadline is not None:
            self._deadline.cancel()
        self._fail_calls(self._over.result())
        if self.was_ready:
            wanted = self._stopping
            stopped = f"worker {self.id} stopped: {self._why or 'a call in it did not end'}"
            said = stopped if wanted else self._over.result()
            self._journal.say("INFO" if wanted else "ERROR", said)
            self._set("stopped" if wanted else "failed")
        self._user.gone(self)

    async def _leave_room(self) -> bool:
        """Whether the kernel ended something of it for want of memory."""
        if self._room is None:
            return False
        return await asyncio.to_thread(self._around.limits.release, self._room)

    def _end_with(self, reason: str) -> None:
        self.is_open = False
        if not self._over.done():
            self._over.set_result(reason)

    # What comes over the channel

    def _received(self, kind: int, number: int, payload: bytes) -> None:
        exchange = self._exchanges.get(number)
        if exchange is not None:
            self._answered(exchange, kind, payload)
        elif kind == frames.LOG:
            self._journal.lines(payload)
        elif kind == frames.DROPPED:
            self._journal.dropped(payload)
        elif kind == frames.READY:
            ready = json.loads(payload)
            self._pid = ready["pid"]
            self.takes_ahead = ready["takes_ahead"] and self._places == 1
            self._setup.set_result(float(ready["setup"]))
        elif kind in (frames.FAILED, frames.RETURNED):
            self._end_with(startup.why_over(self.spec, kind, payload, self.was_ready))

    def _tell_kept(self, size: int) -> None:
        """So many bytes of its lines are kept: it may send as many more."""
        self._link.send(frames.KEPT, 0, frames.META.pack(size))

    def _cut(self) -> None:
        """The worker closed its channel: it is ending, or of no use any more."""
        self._unheard.set()
        if not self._ended.is_set():
            self._loop.call_later(STOP_GRACE, self._signal, signal.SIGKILL)

    def _set(self, state: WorkerState) -> None:
        if state == self.state or (state == "busy" and self.state != "ready"):
            return
        flips = {state, self.state} == {"ready", "busy"}
        self.state = state
        self.is_open = state in ("ready", "busy") and not self._over.done()
        if flips:
            self._herald.soon()
        else:
            self._herald.now()


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Until it is set, but not longer."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
