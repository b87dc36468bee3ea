"""Calls of a plain function when several may run at once: each on a thread of its own.

The main thread is one of them. None can be interrupted: a call that is cancelled ends with its next
piece, or when its function returns.
"""

from __future__ import annotations

import inspect
import queue
import signal
import threading
from typing import Any

from . import channel as wire
from .calls import CallCancelled, Flow, Request, Served, quietly_closed
from .channel import Frame, die
from .reader import Reader

INTERRUPT = getattr(signal, "SIGURG", None)
"""Ignored where nobody handles it, so that one which comes too late does no harm."""

NO_MORE = object()
"""In the place of a piece: a function may well yield None."""


class Plain:
    """How one call of a plain function comes to its answer."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._cancelled: set[int] = set()

    def _run(self, request: Request, flow: Flow) -> tuple[int, bytes]:
        """The last frame of the answer."""
        value = self._served.invoke(request)
        if inspect.isawaitable(value):
            value = _awaited(value)
        source = self._served.stream_of(value)
        if source is not None:
            return self._stream(request, flow, source), b""
        return wire.REPLY, self._served.whole(request, value)

    def _stream(self, request: Request, flow: Flow, value: Any) -> int:
        if hasattr(value, "__anext__"):
            value = _in_loop(value)
        with quietly_closed(value):
            piece = next(value, NO_MORE)
            pieces = self._served.pieces(request, "" if piece is NO_MORE else piece)
            try:
                while piece is not NO_MORE:
                    self._send(request, flow, pieces.write(piece))
                    piece = next(value, NO_MORE)
            except BaseException as exc:
                self._settled()
                if not isinstance(exc, CallCancelled):
                    self._served.output.failure(exc)
                return wire.BROKEN
            self._settled()
            return wire.END

    def _settled(self) -> None:
        """What is left of the call must not be interrupted."""

    def _send(self, request: Request, flow: Flow, content: bytes) -> None:
        if content:
            flow.take(len(content))
            self._served.output.settle()
            self._served.channel.send(wire.CHUNK, request.call, content)


class Threads(Plain):
    """Hands calls from the reader's thread to those that run them."""

    takes_ahead = False

    def __init__(self, served: Served, reader: Reader, count: int) -> None:
        super().__init__(served)
        self._reader = reader
        self._count = count
        self._inbox: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._flows: dict[int, Flow] = {}

    def run(self) -> None:
        """Until STOP."""
        self._reader.hand_over(self._read)
        others = [threading.Thread(target=self._work, daemon=True) for _ in range(self._count - 1)]
        for thread in others:
            thread.start()
        self._work()
        for thread in others:
            thread.join()

    def _read(self) -> None:
        """On the reader's thread."""
        try:
            while True:
                self._reader.wait(frames=True)
                for frame in self._served.channel.receive(wait=False):
                    self._handle(frame)
        except EOFError:
            die()

    def _handle(self, frame: Frame) -> None:
        if frame.kind == wire.CALL:
            self._flows[frame.call] = Flow()
            self._inbox.put(frame)
        elif frame.kind == wire.STOP:
            self._inbox.put(None)
        flow = self._flows.get(frame.call)
        if flow is not None and frame.kind == wire.CANCEL:
            self._cancelled.add(frame.call)
            flow.cancel()
        elif flow is not None and frame.kind == wire.CREDIT:
            flow.give(wire.META.unpack(frame.payload)[0])

    def _work(self) -> None:
        while True:
            frame = self._inbox.get()
            if frame is None:
                self._inbox.put(None)
                return
            self._answer(self._served.request(frame.call, frame.payload))

    def _answer(self, request: Request) -> None:
        kind, payload = wire.REPLY, b""
        with self._served.output.of_call(request.request_id):
            try:
                if request.call in self._cancelled:
                    raise CallCancelled
                kind, payload = self._run(request, self._flows[request.call])
            except BaseException as exc:
                payload = self._served.refusal(request, exc)
        del self._flows[request.call]
        self._cancelled.discard(request.call)
        self._served.channel.send(kind, request.call, payload)


def _awaited(value: Any) -> Any:
    import asyncio

    async def result() -> Any:
        return await value

    return asyncio.run(result())


def _in_loop(value: Any) -> Any:
    """An async generator from a plain function, piece by piece in a loop of its own."""
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                yield loop.run_until_complete(value.__anext__())
            except StopAsyncIteration:
                return
    finally:
        try:
            loop.run_until_complete(_left(value))
        finally:
            loop.close()


async def _left(value: Any) -> None:
    """One that is left early runs its `finally` now, wherever in a step it was."""
    import asyncio

    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
        await asyncio.wait([task])
    close = getattr(value, "aclose", None)
    if close is not None:
        await close()
