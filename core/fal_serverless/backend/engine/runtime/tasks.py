"""Calls of an async function: tasks of one event loop on the main thread."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from typing import Any, AsyncIterator

from . import channel as wire
from .calls import WINDOW, CallCancelled, Request, Served
from .channel import Frame, die


class _Running:
    """One call; touched in the loop only."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.task = task
        self.left = WINDOW
        self.more = asyncio.Event()

    async def take(self, size: int) -> None:
        while self.left <= 0:
            self.more.clear()
            await self.more.wait()
        self.left -= size

    def give(self, size: int) -> None:
        self.left += size
        self.more.set()


class Tasks:
    """Reads the channel in the loop and runs at most so many calls at once."""

    takes_ahead = True

    def __init__(self, served: Served, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self._served = served
        self._loop = loop
        self._count = count
        self._running: dict[int, _Running] = {}
        self._waiting: deque[Frame] = deque()
        """Calls that came ahead of their turn."""
        self._stopped = asyncio.Event()

    def run(self) -> None:
        """Until STOP, and until what runs then is done."""
        channel = self._served.channel
        self._loop.add_reader(channel.fileno(), self._read)
        channel.on_held = self._read_soon
        try:
            self._loop.run_until_complete(self._until_stopped())
        finally:
            channel.on_held = _nothing
            self._loop.remove_reader(channel.fileno())

    async def _until_stopped(self) -> None:
        await self._stopped.wait()
        while self._running:
            await asyncio.wait([running.task for running in self._running.values()])

    def _read_soon(self) -> None:
        """From any thread: a print that had to wait has read frames that are for us."""
        self._loop.call_soon_threadsafe(self._read)

    def _read(self) -> None:
        try:
            frames = self._served.channel.receive(wait=False)
        except EOFError:
            die()
        for frame in frames:
            self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        if frame.kind == wire.CALL:
            self._waiting.append(frame)
            self._begin()
        elif frame.kind == wire.STOP:
            self._stopped.set()
        elif frame.kind == wire.WITHDRAW:
            self._withdraw(frame.call)
        elif frame.call in self._running:
            running = self._running[frame.call]
            if frame.kind == wire.CANCEL:
                # Not at once: a task that is cancelled before its first step answers nothing.
                self._loop.call_soon(running.task.cancel)
            elif frame.kind == wire.CREDIT:
                running.give(wire.META.unpack(frame.payload)[0])
        elif frame.kind == wire.CANCEL:
            self._drop(frame.call)

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._count:
            frame = self._waiting.popleft()
            request = self._served.request(frame.call, frame.payload)
            self._running[frame.call] = _Running(self._loop.create_task(self._answer(request)))

    def _taken_out(self, call: int) -> Frame | None:
        found = next((frame for frame in self._waiting if frame.call == call), None)
        if found is not None:
            self._waiting.remove(found)
        return found

    def _withdraw(self, call: int) -> None:
        """Give a call back that has not begun; one that has is answered."""
        if self._taken_out(call) is not None:
            self._served.channel.send(wire.WITHDRAWN, call)

    def _drop(self, call: int) -> None:
        """A call that was cancelled before it began."""
        frame = self._taken_out(call)
        if frame is not None:
            request = self._served.request(frame.call, frame.payload)
            self._served.channel.send(
                wire.REPLY, call, self._served.refusal(request, CallCancelled())
            )

    async def _answer(self, request: Request) -> None:
        kind, payload = wire.REPLY, b""
        with self._served.output.of_call(request.request_id):
            try:
                kind, payload = await self._run(request)
            except asyncio.CancelledError:
                payload = self._served.refusal(request, CallCancelled())
            except BaseException as exc:
                payload = self._served.refusal(request, exc)
        del self._running[request.call]
        self._served.channel.send(kind, request.call, payload)
        self._begin()

    async def _run(self, request: Request) -> tuple[int, bytes]:
        """The last frame of the answer."""
        value = self._served.invoke(request)
        if inspect.isawaitable(value):
            value = await value
        source = self._served.stream_of(value)
        if source is not None:
            return await self._stream(request, source), b""
        return wire.REPLY, self._served.whole(request, value)

    async def _stream(self, request: Request, value: Any) -> int:
        running = self._running[request.call]
        source = value if hasattr(value, "__anext__") else _stepwise(value)
        pieces = None
        try:
            async for piece in source:
                if pieces is None:
                    pieces = self._served.pieces(request, piece)
                content = pieces.write(piece)
                if content:
                    await running.take(len(content))
                    self._served.output.settle()
                    self._served.channel.send(wire.CHUNK, request.call, content)
        except BaseException as exc:
            if pieces is None:
                raise
            if not isinstance(exc, asyncio.CancelledError):
                self._served.output.failure(exc)
            return wire.BROKEN
        finally:
            await _close(source)
        if pieces is None:
            self._served.pieces(request, "")
        return wire.END


def _nothing() -> None:
    """Nobody is there any more for whom frames could be."""


async def _stepwise(value: Any) -> AsyncIterator[Any]:
    """A plain generator; the loop runs between its pieces."""
    try:
        for piece in value:
            yield piece
            await asyncio.sleep(0)
    finally:
        close = getattr(value, "close", None)
        if close is not None:
            close()


async def _close(source: Any) -> None:
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()
