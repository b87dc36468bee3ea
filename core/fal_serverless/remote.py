"""`f(x)`: calls an isolated function on the backend of the context in use.

One thread of the process talks to the backend, in an event loop of its own, so that calls work
from any thread, from a prompt, and inside a running event loop. Lines of the function are written
to this program's stdout and stderr as they come. When it goes, its calls are cancelled.

What a call gives: a plain function's result; for an `async def` an awaitable; for a generator an
iterator, whose items come as they are asked for.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from fal_serverless import config as configuration
from fal_serverless import launcher
from fal_serverless.errors import CallFailed, NotFound, Unreachable
from fal_serverless.models import CallEvent, LogEntry
from fal_serverless.outcome import Raised, read
from fal_serverless.source import sending

if TYPE_CHECKING:
    from fal_serverless.client import Client
    from fal_serverless.isolated import IsolatedFunction

T = TypeVar("T")

AT_ONCE = 200
"""Calls of one program that run at once; each has a connection. More wait here."""
FAREWELL = 2.0
"""Seconds at the end of the program to tell the backend that nobody waits."""


def run(function: IsolatedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call it and wait. Raises what the function raises, FalError for what is in the way."""
    if _inside_worker():
        return function.func(*args, **kwargs)
    plain = inspect.unwrap(function.func)
    if inspect.isasyncgenfunction(plain):
        return _items_of(function, args, kwargs)
    if inspect.iscoroutinefunction(plain):
        return _awaited(function, args, kwargs)
    future = submit(function, args, kwargs)
    try:
        return future.result()
    except BaseException:
        # Ctrl+C, mostly: nobody waits any more. What has ended is not harmed by it.
        future.cancel()
        raise


def submit(
    function: IsolatedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Future[Any]:
    """Begin the call. `cancel` works as long as it runs, and ends it in the worker, too.

    What cannot be sent raises here, not in the future.
    """
    job = Job(
        sending.sendable(function), sending.arguments(sending.name_of(function), args, kwargs)
    )
    return _line().begin(job)


async def _awaited(
    function: IsolatedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    return await asyncio.wrap_future(submit(function, args, kwargs))


async def _items_of(
    function: IsolatedFunction, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncGenerator[Any, None]:
    items = await _awaited(function, args, kwargs)
    try:
        while True:
            found = await asyncio.wrap_future(items.ask())
            if found is None:
                return
            yield found.item
    finally:
        items.close()


def _inside_worker() -> bool:
    """A function that calls another one runs it beside itself, as a plain call."""
    return "_fal_worker" in sys.modules


@dataclass(frozen=True)
class Job:
    """A call that is to be made."""

    function: sending.Sendable
    arguments: bytes


@dataclass(frozen=True)
class Item:
    """One of a generator's; a box, because it may be None."""

    item: Any


class Line:
    """The thread that talks to the backend, and the client it uses."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._context: tuple[str, str] | None = None
        self._client: Client | None = None
        self._clients: list[Client] = []
        """Calls may still run over an old one, so all are closed in the end."""
        self._connecting = asyncio.Lock()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="fal-serverless", daemon=True)
        self._thread.start()

    def begin(self, job: Job) -> Future[Any]:
        future: Future[Any] = Future()
        self._loop.call_soon_threadsafe(self._start, job, future)
        return future

    def do(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something in the line's own loop; cancelled when that has ended."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            late: Future[T] = Future()
            late.cancel()
            return late

    def stop(self) -> None:
        """End what runs, and the thread."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(FAREWELL)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        rest = asyncio.all_tasks(self._loop)
        for task in rest:
            task.cancel()
        with suppress(BaseException):
            self._loop.run_until_complete(self._leave(rest))
        self._loop.close()

    async def _leave(self, rest: set[asyncio.Task[Any]]) -> None:
        if rest:
            await asyncio.wait(rest, timeout=FAREWELL / 2)
        await self._loop.shutdown_asyncgens()
        for client in self._clients:
            await client.close()

    # One call

    def _start(self, job: Job, future: Future[Any]) -> None:
        if future.cancelled():
            future.set_running_or_notify_cancel()
            return
        task = self._loop.create_task(self._fulfil(job, future))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        future.add_done_callback(lambda done: self._withdraw(done, task))

    def _withdraw(self, future: Future[Any], task: asyncio.Task[None]) -> None:
        """The future is over; when it was cancelled, so is the call."""
        if future.cancelled():
            future.set_running_or_notify_cancel()
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(task.cancel)

    async def _fulfil(self, job: Job, future: Future[Any]) -> None:
        try:
            async with self._places:
                outcome = await self._outcome(job)
        except asyncio.CancelledError:
            future.cancel()
            raise
        except Exception as exc:
            _settle(future, Raised(exc))
        else:
            _settle(future, outcome)

    async def _outcome(self, job: Job) -> Any:
        """What the call comes to: its value, Raised, or the Items of a generator."""
        events, event, content = await self._begun(job)
        if event.kind in ("yielded", "exhausted"):
            return Items(self, job.function.name, events, event, content)
        # To its end, so that the connection can be used again.
        await anext(events, None)
        return read(job.function.name, event.kind, content)

    async def _begun(
        self, job: Job, attempts: int = 3
    ) -> tuple[AsyncGenerator[CallEvent, None], CallEvent, bytes]:
        """The call's events, and the first one that is no log line, with its whole content."""
        client = await self._ready(job.function)
        events = client.call(job.function.digest, job.arguments)
        try:
            return events, *await _next_content(events)
        except NotFound:
            # It was forgotten just now: nothing has run yet.
            if attempts == 1:
                raise
        return await self._begun(job, attempts - 1)

    async def _ready(self, function: sending.Sendable) -> Client:
        """A client whose backend has the function. The backend may be another one by now."""
        async with self._connecting:
            client = await self._connected()
            try:
                known = await client.has_sent(function.digest)
            except Unreachable:
                client = await self._reconnected()
                known = await client.has_sent(function.digest)
            if not known:
                await client.send(function.digest, function.pack())
            return client

    async def _connected(self) -> Client:
        settings = configuration.load()
        wanted = (settings.settings.context, str(settings.paths.config))
        if self._client is None or self._context != wanted:
            return await self._reconnected()
        return self._client

    async def _reconnected(self) -> Client:
        settings = configuration.load()
        _, self._client = await launcher.connect(settings)
        self._clients.append(self._client)
        self._context = (settings.settings.context, str(settings.paths.config))
        return self._client


class Items:
    """The items of a remote generator, as they come; each is fetched when it is asked for.

    `close` ends the generator in its worker.
    """

    def __init__(
        self,
        line: Line,
        name: str,
        events: AsyncGenerator[CallEvent, None],
        event: CallEvent,
        content: bytes,
    ) -> None:
        self._line = line
        self._name = name
        self._events = events
        self._first: tuple[CallEvent, bytes] | None = (event, content)
        self._over = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        found = self.ask().result()
        if found is None:
            raise StopIteration
        return found.item

    def ask(self) -> Future[Item | None]:
        """The next item; None: that was all."""
        future: Future[Item | None] = Future()
        asking = self._line.do(self._fetch())
        asking.add_done_callback(lambda done: _pass_on(done, future))
        return future

    def close(self) -> None:
        if not self._over:
            self._over = True
            self._line.do(self._end())

    def __del__(self) -> None:
        self.close()

    async def _end(self) -> None:
        await self._events.aclose()

    async def _fetch(self) -> Item | Raised | None:
        if self._over:
            return None
        if self._first is None:
            event, content = await _next_content(self._events)
        else:
            (event, content), self._first = self._first, None
        self._over = event.kind != "yielded"
        if self._over:
            await self._events.aclose()
        if event.kind == "exhausted":
            return None
        value = read(self._name, event.kind, content)
        return value if isinstance(value, Raised) else Item(value)


def _pass_on(done: Future[Any], future: Future[Any]) -> None:
    """The future of a fetch as one that raises what the generator raised."""
    if done.cancelled():
        future.cancel()
        future.set_running_or_notify_cancel()
        return
    error = done.exception()
    _settle(future, Raised(error) if error is not None else done.result())


def _settle(future: Future[Any], outcome: Any) -> None:
    # It may have been cancelled just now.
    with suppress(InvalidStateError):
        if isinstance(outcome, Raised):
            future.set_exception(outcome.error)
        else:
            future.set_result(outcome)


async def _next_content(events: AsyncIterator[CallEvent]) -> tuple[CallEvent, bytes]:
    """The next event that is more than a log line, with all parts of its content."""
    parts: list[bytes] = []
    async for event in events:
        if event.kind == "log":
            if event.entry is not None:
                show(event.entry)
            continue
        parts.append(event.content)
        if event.kind != "part":
            return event, b"".join(parts)
    raise CallFailed("the backend closed the connection before the call was done")


def show(entry: LogEntry) -> None:
    """A line of the function where it would have gone; what else is said, on stderr."""
    stream = sys.stdout if entry.level == "STDOUT" else sys.stderr
    # A program may have none, or a closed one.
    with suppress(AttributeError, ValueError, OSError):
        stream.write(entry.message + "\n")
        stream.flush()


_the_line: Line | None = None
_making = threading.Lock()


def _start_anew() -> None:
    """In a fork: the thread did not come along, and a lock may be held by nobody."""
    global _the_line, _making
    _the_line, _making = None, threading.Lock()


os.register_at_fork(after_in_child=_start_anew)


def _line() -> Line:
    """This process's own."""
    global _the_line
    with _making:
        if _the_line is None:
            _the_line = Line()
            atexit.register(_the_line.stop)
        return _the_line
