"""Functions that a Python program sent to be called: run now, kept only while somebody calls.

They are no revisions: no list shows them, no endpoint answers for them, and nothing of them
outlives the backend. A program names what it sent by a digest of its own making, so that it is sent
once. What is in the pickles is never looked at here.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from fal_serverless.backend.bundles import BundleStore
from fal_serverless.backend.engine import Call, LocalEngine, Reply, Spec
from fal_serverless.backend.environment import EnvironmentStore
from fal_serverless.backend.logs.store import LogStore
from fal_serverless.errors import FalError, InvalidOption, NotFound
from fal_serverless.isolated import make_options
from fal_serverless.models import BundleInfo, CallEvent, Level, LogEntry, Source

IDLE = 300.0
"""Seconds without a call after which a sent function is forgotten; its workers go before that."""
MOST_IDLE = 32
"""Functions that may be idle at once; those used longest ago go first. A closure that is another
one at each call would fill the machine with workers otherwise."""
FRESH = 5.0
"""Seconds in which a function is not made room of: its call may be on the way."""
PART = 512 * 1024
"""Bytes of content in one event."""
MOST_LINES = 10_000
"""Log lines that may wait for a caller who reads slowly; more are left out, and counted."""
AHEAD = 8
"""Events with content that may wait for a caller."""

ITEM, FAILURE = b"i", b"f"
"""Tags of the items in a stream; see the worker's `pickled.py`."""


@dataclass(eq=False)
class SentFunction:
    """One function of one user."""

    user: str
    digest: str
    revision: str
    """What workers and log lines carry where others have a revision's id."""
    info: BundleInfo
    spec: Spec | None = None
    """None: its environment was not asked for yet."""
    preparing: asyncio.Lock = field(default_factory=asyncio.Lock)
    callers: set[Outbox] = field(default_factory=set)
    hearing: ExitStack = field(default_factory=ExitStack)
    timer: asyncio.TimerHandle | None = None
    used_at: float = 0.0
    """Of the event loop's clock."""


class Outbox:
    """What goes to one caller: content as fast as it is read, log lines at once."""

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self._events: deque[CallEvent] = deque()
        self._lines = 0
        self._left_out = 0
        self._last: LogEntry | None = None
        """The last one left out."""
        self._more = asyncio.Event()
        self._room = asyncio.Event()

    def hear(self, entry: LogEntry) -> None:
        """Lines of this call, and those that nobody knows the call of."""
        if entry.request_id not in ("", self.request_id):
            return
        if self._lines >= MOST_LINES:
            self._left_out += 1
            self._last = entry
            return
        self._own_up()
        self._put(CallEvent("log", entry))

    async def send(self, event: CallEvent) -> None:
        while len(self._events) - self._lines >= AHEAD:
            self._room.clear()
            await self._room.wait()
        self._own_up()
        self._put(event)

    def wake(self) -> None:
        self._more.set()

    def take(self) -> CallEvent | None:
        """The next event, None when there is none yet."""
        self._room.set()
        if not self._events:
            return None
        event = self._events.popleft()
        self._lines -= event.kind == "log"
        return event

    async def wait(self) -> None:
        self._more.clear()
        await self._more.wait()

    def _own_up(self) -> None:
        """Say how many lines are missing at this place."""
        if self._left_out and self._last is not None:
            said = f"… {self._left_out} lines are left out here; the log has them"
            self._left_out = 0
            line = replace(self._last, level="WARNING", source="builder", message=said)
            self._put(CallEvent("log", line))

    def _put(self, event: CallEvent) -> None:
        self._events.append(event)
        self._lines += event.kind == "log"
        self._more.set()


class SentFunctions:
    """All of one backend. For the event loop's thread."""

    def __init__(
        self,
        bundles: BundleStore,
        environments: EnvironmentStore,
        engine: LocalEngine,
        logs: LogStore,
        idle: float = IDLE,
        fresh: float = FRESH,
    ) -> None:
        bundles.sweep(set())
        self._bundles = bundles
        self._environments = environments
        self._engine = engine
        self._logs = logs
        self._idle = idle
        self._fresh = fresh
        self._sent: dict[tuple[str, str], SentFunction] = {}
        """In the order of their last use."""
        self._leaving: set[asyncio.Task[None]] = set()

    def find(self, user: str, digest: str) -> SentFunction:
        """Raises NotFound: it has to be sent first, or again. Being asked for keeps it."""
        found = self._sent.get((user, digest))
        if found is None:
            raise NotFound(
                f"no function '{digest[:12]}' was sent here, or it was idle for too long"
            )
        self._put_off(found)
        return found

    async def keep(self, user: str, digest: str, data: bytes) -> None:
        """Unpack a bundle. Raises BadInput for what is none, InvalidOption for what cannot run."""
        revision = str(uuid.uuid4())
        info = await asyncio.to_thread(self._bundles.unpack, revision, data)
        try:
            _check(info)
        except FalError:
            await asyncio.to_thread(self._bundles.remove, revision)
            raise
        if (user, digest) in self._sent:
            # Somebody else was quicker with the same.
            await asyncio.to_thread(self._bundles.remove, revision)
            return
        made = SentFunction(user, digest, revision, info)
        self._sent[user, digest] = made
        made.hearing.enter_context(self._logs.tap(revision, lambda entry: _tell(made, entry)))
        self._put_off(made)
        self._make_room()

    async def call(self, sent: SentFunction, arguments: bytes) -> AsyncGenerator[CallEvent, None]:
        """Yields log lines and then what came of it. Closing it early cancels the call.

        Raises BuildFailed, WorkerFailed, StartupTimeout, RequestTimeout, QueueFull.
        """
        out = Outbox(uuid.uuid4().hex)
        sent.callers.add(out)
        work = asyncio.create_task(self._run(sent, arguments, out))
        work.add_done_callback(lambda _: out.wake())
        try:
            while True:
                event = out.take()
                if event is not None:
                    yield event
                elif work.done():
                    work.result()
                    return
                else:
                    await out.wait()
        finally:
            sent.callers.discard(out)
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work
            self._put_off(sent)

    def revisions(self, user: str) -> set[str]:
        """What workers of the user's sent functions carry as their revision."""
        return {sent.revision for sent in self._sent.values() if sent.user == user}

    def uses(self) -> dict[str, tuple[str, str]]:
        """Of functions that run or have a worker: revision -> its user, its environment's key.

        An environment that only idle ones use may go: it is made again when it is needed.
        """
        running = {worker.revision for worker in self._engine.workers()}
        return {
            sent.revision: (sent.user, sent.spec.environment.key)
            for sent in self._sent.values()
            if sent.spec is not None and (sent.callers or sent.revision in running)
        }

    def close(self) -> None:
        """When no worker is left."""
        for sent in self._sent.values():
            if sent.timer is not None:
                sent.timer.cancel()
        self._sent.clear()
        self._bundles.sweep(set())

    # One call

    async def _run(self, sent: SentFunction, arguments: bytes, out: Outbox) -> None:
        started = time.perf_counter()
        ended = "cancelled"
        try:
            spec = await self._prepared(sent)
            reply = await self._engine.call(spec, Call(out.request_id, body=arguments))
            ended = await self._deliver(sent, reply, out)
        except FalError as exc:
            ended = exc.message
            raise
        finally:
            spent = (time.perf_counter() - started) * 1000
            said = f"call {sent.info.entrypoint}() from Python: {ended}, {spent:.1f} ms"
            self._say(sent, said, "request", request_id=out.request_id)

    async def _prepared(self, sent: SentFunction) -> Spec:
        """With an environment that exists: it may have been removed since the last call."""
        async with sent.preparing:
            info = sent.info
            wanted = info.options.get("requirements", ())
            known = sent.spec
            if known is not None and self._environments.exists(known.environment.key):
                return known
            environment = await self._environments.ensure(
                info.python_version, wanted, lambda line: self._say(sent, line, "builder")
            )
            sent.spec = Spec(
                revision=sent.revision,
                function=info.entrypoint,
                user=sent.user,
                entrypoint=info.entrypoint,
                options=info.options,
                parameters=info.parameters,
                folder=self._bundles.folder(sent.revision),
                environment=environment,
                is_async=info.is_async,
                pickled=True,
            )
            return sent.spec

    async def _deliver(self, sent: SentFunction, reply: Reply, out: Outbox) -> str:
        """Hand the answer to the caller; how it ended, for the log."""
        if not isinstance(reply.body, bytes):
            return await self._deliver_items(sent, reply.body, out)
        if reply.status == 200:
            await _send(out, "returned", reply.body)
            return "returned"
        return await self._deliver_failure(sent, reply.body, out)

    async def _deliver_items(
        self, sent: SentFunction, items: AsyncIterator[bytes], out: Outbox
    ) -> str:
        closing: Any = items
        async with aclosing(closing):
            async for item in items:
                tag, content = item[:1], item[1:]
                if tag == FAILURE:
                    return await self._deliver_failure(sent, content, out)
                await _send(out, "yielded" if tag == ITEM else "exhausted", content)
        return "returned"

    async def _deliver_failure(self, sent: SentFunction, content: bytes, out: Outbox) -> str:
        """The log gets the traceback; its caller gets it with the exception, not twice."""
        sent.callers.discard(out)
        head = _failure_head(content)
        for line in str(head.get("traceback", "")).splitlines():
            self._say(sent, line, "user", "ERROR", out.request_id)
        await _send(out, "raised", content)
        return f"raised {head.get('type')}"

    # Keeping and forgetting

    def _put_off(self, sent: SentFunction) -> None:
        """Count the idle time from now, unless it was dropped."""
        name = (sent.user, sent.digest)
        if self._sent.get(name) is not sent:
            return
        self._sent[name] = self._sent.pop(name)
        if sent.timer is not None:
            sent.timer.cancel()
        patience = max(self._idle, float(sent.info.options.get("keep_alive", 0)))
        loop = asyncio.get_running_loop()
        sent.used_at = loop.time()
        sent.timer = loop.call_later(patience, self._forget_if_idle, sent)

    def _forget_if_idle(self, sent: SentFunction) -> None:
        if sent.callers:
            self._put_off(sent)
        else:
            self._drop(sent)

    def _make_room(self) -> None:
        before = asyncio.get_running_loop().time() - self._fresh
        idle = [s for s in self._sent.values() if not s.callers and s.used_at < before]
        for sent in idle[: max(0, len(idle) - MOST_IDLE)]:
            self._drop(sent)

    def _drop(self, sent: SentFunction) -> None:
        """From now on nobody finds it; its workers end, and then its files go."""
        self._sent.pop((sent.user, sent.digest), None)
        if sent.timer is not None:
            sent.timer.cancel()
        task = asyncio.create_task(self._forget(sent))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _forget(self, sent: SentFunction) -> None:
        await self._engine.retire(sent.revision, "it was not called for a while")
        sent.hearing.close()
        await asyncio.to_thread(self._bundles.remove, sent.revision)

    def _say(
        self,
        sent: SentFunction,
        message: str,
        source: Source,
        level: Level = "INFO",
        request_id: str = "",
    ) -> None:
        entry = LogEntry(
            id=0,
            time=datetime.now(UTC),
            level=level,
            source=source,
            message=message,
            user=sent.user,
            function=sent.info.entrypoint,
            revision=sent.revision,
            request_id=request_id,
        )
        self._logs.append(entry)


def _check(info: BundleInfo) -> None:
    """Checked by our client already, maybe not by another. Raises InvalidOption."""
    options = make_options({k: v for k, v in info.options.items() if k != "setup_function"})
    if options.exposed_port is not None:
        raise InvalidOption(
            f"'{info.entrypoint}' is a server on port {options.exposed_port}, not a call; serve it"
        )


def _tell(sent: SentFunction, entry: LogEntry) -> None:
    """To callers go the lines of the function and of its build."""
    if entry.source in ("user", "builder"):
        for caller in tuple(sent.callers):
            caller.hear(entry)


async def _send(out: Outbox, kind: Any, content: bytes) -> None:
    start = 0
    while len(content) - start > PART:
        await out.send(CallEvent("part", content=content[start : start + PART]))
        start += PART
    await out.send(CallEvent(kind, content=content[start:]))


def _failure_head(content: bytes) -> dict[str, Any]:
    """Type, message and traceback of a failure; the pickle behind them stays closed."""
    length = int.from_bytes(content[:4], "big")
    head = json.loads(content[4 : 4 + length] or b"{}")
    return head if isinstance(head, dict) else {}
