"""One worker: a child process that has the function loaded, and what goes over its channel.

It knows its own state and calls, and nothing of other workers: who uses it takes a place, and is
told when one is free again and when the worker is gone.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from fal_serverless.backend.engine import frames, process
from fal_serverless.backend.engine.exchange import Exchange, ReplyStream
from fal_serverless.backend.engine.ports import Address, Place, Ports
from fal_serverless.backend.engine.process import Process, Start
from fal_serverless.backend.engine.spec import Call, Reply, Spec
from fal_serverless.config import function_environ
from fal_serverless.errors import RequestTimeout, StartupTimeout, WorkerFailed
from fal_serverless.models import ColdStart, Level, LogEntry, Source, Worker, WorkerState

KEPT_LINES = 50
"""Lines of a worker's log that travel with the error when it fails."""
STOP_GRACE = 3.0
"""Seconds between asking a worker to end and killing it."""
CANCEL_GRACE = 5.0
"""Seconds that a call past its time limit has to end, before its worker is killed."""
QUIET = 0.1
"""Seconds between two tellings of ready or busy; every other state is told at once."""
PROBE_FIRST, PROBE_LAST = 0.01, 0.1
"""Seconds between two looks whether the function's server accepts; it grows."""


@dataclass(frozen=True)
class Surroundings:
    """What a worker uses of the engine."""

    run_dir: Path
    environ: Mapping[str, str]
    """The backend's own; workers get the part that config allows."""
    ports: Ports
    startup_timeout: float
    request_timeout: float
    log: Callable[[LogEntry], None]
    changed: Callable[[Worker], None]


class WorkerProcess:
    """From start to gone. All methods are for the event loop's thread."""

    def __init__(
        self,
        spec: Spec,
        around: Surroundings,
        freed: Callable[[WorkerProcess], None],
        gone: Callable[[WorkerProcess], None],
    ) -> None:
        self.id = f"w-{uuid.uuid4().hex[:8]}"
        self.spec = spec
        self.state: WorkerState = "starting"
        self.cold = ColdStart()
        self.address: Address | None = None
        """Where its own server listens; None: it has none."""
        self.running = 0
        """Places taken."""
        self.requests = 0
        self.idle_since = time.monotonic()
        self.was_ready = False
        self._around = around
        self._freed = freed
        self._gone = gone
        self._started_at = datetime.now(UTC)
        self._process: Process | None = None
        self._link = frames.Link(self._received, self._cut)
        self._place: Place | None = None
        self._ids = itertools.count(1)
        self._exchanges: dict[int, Exchange] = {}
        self._aliases: dict[str, str] = {}
        self._recent: deque[str] = deque(maxlen=KEPT_LINES)
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[float] = self._loop.create_future()
        """Seconds of the setup function."""
        self._over: asyncio.Future[str] = self._loop.create_future()
        """Why it is over, or about to be."""
        self._ended = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False
        self._telling: asyncio.TimerHandle | None = None

    # What others see

    @property
    def capacity(self) -> int:
        return self.spec.max_multiplexing

    @property
    def has_place(self) -> bool:
        return self.state in ("ready", "busy") and self.running < self.capacity

    def record(self) -> Worker:
        address = "unix"
        if self.spec.exposed_port is not None:
            address = "{}:{}".format(*self.address) if self.address else ""
        pid = self._process.pid if self._process and not self._ended.is_set() else None
        return Worker(
            id=self.id,
            function=self.spec.function,
            revision=self.spec.revision,
            state=self.state,
            pid=pid,
            address=address,
            started_at=self._started_at,
            requests=self.requests,
            running=self.running,
            memory_bytes=None if pid is None else memory(pid),
            cold_start=self.cold,
        )

    # Start

    async def start(self) -> None:
        """Until it is ready. Raises WorkerFailed, StartupTimeout; then it is gone, too."""
        limit = self.spec.seconds("startup_timeout", self._around.startup_timeout)
        began = time.perf_counter()
        self._tell()
        try:
            async with asyncio.timeout(limit) as deadline:
                await self._begin()
                setup = await self._until_ready()
        except TimeoutError as exc:
            if not deadline.expired():
                raise
            said = f"'{self.spec.entrypoint}' was not ready within {limit:g} s"
            raise await self._give_up(StartupTimeout(said)) from exc
        except WorkerFailed as exc:
            raise await self._give_up(exc) from None
        except BaseException as exc:
            await self._give_up(WorkerFailed(f"the worker could not be started: {exc}"))
            raise
        load = max(0.0, time.perf_counter() - began - setup)
        self.cold = ColdStart(load=load, setup=setup)
        self.idle_since = time.monotonic()
        self.was_ready = True
        self._say("INFO", f"worker {self.id} is ready (load {load:.3f} s, setup {setup:.3f} s)")
        self._set("ready")

    async def _begin(self) -> None:
        spec = self.spec
        environ = child_environ(self._around.environ, spec.environment.python)
        if spec.exposed_port is not None:
            self._place = await self._around.ports.claim(spec.exposed_port)
            environ.update(self._place.environ)
        folder = self._around.run_dir / self.id
        start = Start(spec.environment.python, folder, environ)
        self._process = await process.start(start, self._link, self._heard)
        self._watching = asyncio.ensure_future(self._watch(self._process))
        self._link.send(frames.INIT, 0, json.dumps(init(spec)).encode())

    async def _until_ready(self) -> float:
        await asyncio.wait((self._ready, self._over), return_when=asyncio.FIRST_COMPLETED)
        delay = PROBE_FIRST
        while not self._over.done():
            if self._place is None or self._process is None:
                return self._ready.result()
            self.address = await self._around.ports.find(self._place, self._process.pid)
            if self.address is not None:
                return self._ready.result()
            await asyncio.wait((self._over,), timeout=delay)
            delay = min(delay * 1.3, PROBE_LAST)
        raise WorkerFailed(self._over.result() + self._hint())

    def _hint(self) -> str:
        return self._around.ports.hint(self._place) if self._place else ""

    async def _give_up(self, error: WorkerFailed) -> WorkerFailed:
        if not self._over.done():
            self._over.set_result(error.message)
        self._stopping = True
        self._set("failed")
        await self._kill()
        error.data["log"] = list(self._recent)
        self._say("ERROR", error.message)
        return error

    # Places and calls

    def take(self) -> None:
        """A place; the taker gives it back, or `call` does."""
        self.running += 1
        self.requests += 1
        self._idle.clear()
        self._set("busy")

    def give(self) -> None:
        self.running -= 1
        self.idle_since = time.monotonic()
        if self.running == 0:
            self._idle.set()
            if self.state == "busy":
                self._set("ready")
        self._freed(self)

    async def call(self, call: Call, alias: str, cold: ColdStart | None, queued: float) -> Reply:
        """Run the function, in a place taken before, which is free when the function is done.

        Raises RequestTimeout; WorkerFailed when the worker dies. Cancelled: so is the call.
        """
        number = next(self._ids) & 0xFFFFFFFF
        limit = self.spec.seconds("request_timeout", self._around.request_timeout)
        future: asyncio.Future[tuple[int, str, bytes | ReplyStream]] = self._loop.create_future()
        exchange = Exchange(future, call.request_id)
        exchange.timer = self._loop.call_later(limit, self._timed_out, number, limit)
        self._exchanges[number] = exchange
        if alias:
            self._aliases[call.request_id] = alias
        meta = encode((call.request_id, call.query, call.content_type, call.accept))
        self._link.send(frames.CALL, number, frames.META.pack(len(meta)), meta, call.body)
        try:
            status, kind, body = await future
        except asyncio.CancelledError:
            self._link.send(frames.CANCEL, number)
            raise
        finally:
            exchange.timer.cancel()
        return Reply(status, [("content-type", kind)], body, self.id, cold, queued)

    def _timed_out(self, number: int, limit: float) -> None:
        exchange = self._exchanges.get(number)
        if exchange is None or exchange.future.done():
            return
        said = f"'{self.spec.function}' did not answer within {limit:g} s"
        exchange.future.set_exception(RequestTimeout(said))
        exchange.late = True
        self._link.send(frames.CANCEL, number)
        self._loop.call_later(CANCEL_GRACE, self._replace_if_stuck, number)

    def _replace_if_stuck(self, number: int) -> None:
        """A function that does not end keeps its place for ever: its worker has to go."""
        if number not in self._exchanges or self._ended.is_set():
            return
        if self.state != "draining":
            self._say("WARNING", f"worker {self.id} goes: a call in it does not end")
            self._set("draining")
            self._freed(self)
        if all(exchange.late for exchange in self._exchanges.values()):
            self._stopping = True
            self._signal(signal.SIGKILL)
        else:
            self._loop.call_later(CANCEL_GRACE, self._replace_if_stuck, number)

    # End

    async def stop(self, drain: float) -> None:
        """Let what runs finish for so many seconds, then end it."""
        if self.state not in ("stopped", "failed"):
            self._set("draining")
        try:
            async with asyncio.timeout(drain):
                await self._idle.wait()
        except TimeoutError:
            self._say("WARNING", f"worker {self.id} ends with {self.running} calls unfinished")
        self._stopping = True
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
        if self._process is not None:
            self._signal(signal.SIGKILL)
            await self._ended.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and not self._ended.is_set():
            self._process.signal(number)

    async def _watch(self, child: Process) -> None:
        code = await child.ended()
        self._link.close()
        said = f"worker {self.id} of '{self.spec.entrypoint}' died: {process.ending(code)}"
        if not self._over.done():
            self._over.set_result(said)
        if self._place is not None:
            self._around.ports.release(self._place)
        self._ended.set()
        self._fail_calls(said)
        if self._stopping:
            self._set("failed" if self.state == "failed" else "stopped")
        else:
            self._set("failed")
            if self.was_ready:
                self._say("ERROR", self._over.result())
        self._gone(self)

    def _fail_calls(self, said: str) -> None:
        log = list(self._recent)
        for number in list(self._exchanges):
            exchange = self._exchanges[number]
            if exchange.stream is not None:
                exchange.stream.break_off(WorkerFailed(said, log=log))
            elif not exchange.future.done():
                exchange.future.set_exception(WorkerFailed(said, log=log))
            self._finish(number)

    # What comes over the channel

    def _received(self, kind: int, number: int, payload: bytes) -> None:
        if kind == frames.REPLY:
            status, content_type, body = frames.answer(payload)
            exchange = self._exchanges[number]
            if not exchange.future.done():
                exchange.future.set_result((status, content_type, body))
            self._finish(number)
        elif kind == frames.LOG:
            level, at, request_id, text = frames.log_line(payload)
            self._log(level, "user", text, request_id, datetime.fromtimestamp(at, UTC))
        elif kind == frames.READY:
            self._ready.set_result(float(json.loads(payload)["setup"]))
        elif kind in (frames.FAILED, frames.RETURNED):
            self._is_over(kind, payload)
        else:
            self._streamed(kind, number, payload)

    def _streamed(self, kind: int, number: int, payload: bytes) -> None:
        exchange = self._exchanges[number]
        if kind == frames.STREAM:
            status, content_type, _ = frames.answer(payload)
            exchange.stream = ReplyStream(self._link, number)
            if exchange.future.done():
                exchange.stream.cancel()
            else:
                exchange.future.set_result((status, content_type, exchange.stream))
        elif exchange.stream is not None:
            if kind == frames.CHUNK:
                exchange.stream.feed(payload)
                return
            if kind == frames.BROKEN:
                said = f"'{self.spec.function}' failed in the middle of its answer"
                exchange.stream.break_off(WorkerFailed(said))
            else:
                exchange.stream.end()
            self._finish(number)

    def _finish(self, number: int) -> None:
        """The worker is done with it, so its place is free."""
        exchange = self._exchanges.pop(number)
        self._aliases.pop(exchange.request_id, None)
        self.give()

    def _is_over(self, kind: int, payload: bytes) -> None:
        if not self._over.done():
            self._over.set_result(self._reason(kind, payload))

    def _reason(self, kind: int, payload: bytes) -> str:
        name = self.spec.entrypoint
        listening = f" on port {self.spec.exposed_port}"
        if kind == frames.RETURNED:
            if self.state == "starting":
                return f"{name} returned without listening{listening}"
            return f"{name} returned, and does not listen{listening} any more"
        failure = json.loads(payload)
        if failure["stage"] == "load":
            return f"{name} cannot be loaded: {failure['error']}"
        what = f"the setup function of {name}" if failure["stage"] == "setup" else name
        return f"{what} raised {failure['error']}"

    def _cut(self) -> None:
        """The worker closed its channel: it is ending, or it is of no use any more."""
        if self.spec.exposed_port is None and not self._ended.is_set():
            self._loop.call_later(STOP_GRACE, self._signal, signal.SIGKILL)

    # Telling

    def _heard(self, level: Level, text: str) -> None:
        self._log(level, "user", text)

    def _say(self, level: Level, text: str) -> None:
        self._log(level, "system", text)

    def _log(
        self,
        level: Level,
        source: Source,
        text: str,
        request_id: str = "",
        at: datetime | None = None,
    ) -> None:
        if source == "user":
            self._recent.append(text)
        entry = LogEntry(
            id=0,
            time=at or datetime.now(UTC),
            level=level,
            source=source,
            message=text,
            user=self.spec.user,
            function=self.spec.function,
            alias=self._aliases.get(request_id, ""),
            revision=self.spec.revision,
            worker=self.id,
            request_id=request_id,
        )
        self._around.log(entry)

    def _set(self, state: WorkerState) -> None:
        if state == self.state or (state == "busy" and self.state != "ready"):
            return
        flips = {state, self.state} == {"ready", "busy"}
        self.state = state
        if not flips:
            self._tell()
        elif self._telling is None:
            self._telling = self._loop.call_later(QUIET, self._tell)

    def _tell(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._around.changed(self.record())


encode = msgspec.json.Encoder().encode


def init(spec: Spec) -> dict[str, Any]:
    """The first frame: what to load, from where."""
    return {
        "folder": str(spec.folder),
        "sources": str(spec.folder / "sources"),
        "overlay": [str(folder) for folder in spec.environment.overlay],
        "entrypoint": spec.entrypoint,
        "from_source": spec.from_source,
        "is_async": spec.is_async,
        "exposed_port": spec.exposed_port,
        "max_multiplexing": spec.max_multiplexing,
    }


def child_environ(environ: Mapping[str, str], python: Path) -> dict[str, str]:
    """What a function sees, with the programs of its own environment first."""
    made = function_environ(environ)
    made["PATH"] = f"{python.parent}:{made.get('PATH', '/usr/bin:/bin')}"
    made["VIRTUAL_ENV"] = str(python.parent.parent)
    made["PYTHONUNBUFFERED"] = "1"
    return made


def memory(pid: int) -> int | None:
    """Bytes resident of one process; None where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * 4096


def with_queue(cold: ColdStart, queued: float) -> ColdStart:
    """What a call waited for that a worker was started for."""
    return replace(cold, queue=max(0.0, queued - cold.load - cold.setup))
