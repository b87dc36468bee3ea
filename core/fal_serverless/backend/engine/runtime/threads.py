"""Calls of a plain function: on the main thread, and on more threads when several may run at once.

The user's code runs on the main thread where it can: it is the fastest way, and libraries that want
signals or the main thread work. Only there can a call be interrupted, by a signal as by ctrl+c.
"""

from __future__ import annotations

import inspect
import queue
import signal
import threading
from typing import Any

from . import channel as wire
from .calls import CallCancelled, Flow, Request, Served, quietly_closed
from .channel import Frame

INTERRUPT = getattr(signal, "SIGURG", None)
"""Ignored where nobody handles it, so that one which comes too late does no harm."""

NO_MORE = object()
"""In the place of a piece: a function may well yield None."""


class Threads:
    """Hands calls from the reader thread to those that run them."""

    def __init__(self, served: Served, count: int) -> None:
        self._served = served
        self._count = count
        self._inbox: queue.SimpleQueue[Frame | None] = queue.SimpleQueue()
        self._flows: dict[int, Flow] = {}
        self._cancelled: set[int] = set()
        self._interruptible = 0
        """The call that a signal may end; 0: none."""
        self._main = threading.main_thread().ident or 0

    def handle(self, frame: Frame) -> None:
        """On the reader thread."""
        if frame.kind == wire.CALL:
            self._flows[frame.call] = Flow()
            self._inbox.put(frame)
        elif frame.kind == wire.CANCEL:
            self._cancel(frame.call)
        elif frame.kind == wire.CREDIT:
            flow = self._flows.get(frame.call)
            if flow is not None:
                flow.give(wire.META.unpack(frame.payload)[0])
        elif frame.kind == wire.STOP:
            self._inbox.put(None)

    def run(self) -> None:
        """Until STOP."""
        if INTERRUPT is not None and self._count == 1:
            signal.signal(INTERRUPT, self._interrupted)
        others = [threading.Thread(target=self._work, daemon=True) for _ in range(self._count - 1)]
        for thread in others:
            thread.start()
        self._work()
        for thread in others:
            thread.join()

    def _cancel(self, call: int) -> None:
        flow = self._flows.get(call)
        if flow is None:
            return
        self._cancelled.add(call)
        flow.cancel()
        if self._interruptible == call and INTERRUPT is not None:
            signal.pthread_kill(self._main, INTERRUPT)

    def _interrupted(self, *_: Any) -> None:
        if self._served.channel.in_send:
            self._served.channel.deferred = self._interrupted
        elif self._interruptible in self._cancelled:
            self._interruptible = 0
            raise CallCancelled

    def _work(self) -> None:
        while True:
            frame = self._inbox.get()
            if frame is None:
                self._inbox.put(None)
                return
            self._answer(self._served.request(frame.call, frame.payload))

    def _answer(self, request: Request) -> None:
        output = self._served.output
        if self._count == 1:
            output.sole = request.request_id
        kind, payload = wire.REPLY, b""
        with output.of_call(request.request_id):
            try:
                kind, payload = self._run(request)
            except BaseException as exc:
                self._interruptible = 0
                payload = self._served.refusal(request, exc)
        output.sole = ""
        del self._flows[request.call]
        self._cancelled.discard(request.call)
        self._served.channel.send(kind, request.call, payload)

    def _run(self, request: Request) -> tuple[int, bytes]:
        """The last frame of the answer."""
        if self._count == 1:
            self._interruptible = request.call
        if request.call in self._cancelled:
            raise CallCancelled
        value = self._served.invoke(request)
        if inspect.isawaitable(value):
            value = _awaited(value)
        source = self._served.stream_of(value)
        if source is not None:
            return self._stream(request, source), b""
        payload = self._served.whole(request, value)
        self._interruptible = 0
        return wire.REPLY, payload

    def _stream(self, request: Request, value: Any) -> int:
        if hasattr(value, "__anext__"):
            value = _in_loop(value)
        flow = self._flows[request.call]
        with quietly_closed(value):
            piece = next(value, NO_MORE)
            pieces = self._served.pieces(request, "" if piece is NO_MORE else piece)
            try:
                while piece is not NO_MORE:
                    self._send(request, flow, pieces.write(piece))
                    piece = next(value, NO_MORE)
            except BaseException as exc:
                self._interruptible = 0
                if not isinstance(exc, CallCancelled):
                    self._served.output.failure(exc)
                return wire.BROKEN
            self._interruptible = 0
            return wire.END

    def _send(self, request: Request, flow: Flow, content: bytes) -> None:
        if content:
            flow.take(len(content))
            self._served.channel.send(wire.CHUNK, request.call, content)


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
        loop.close()
