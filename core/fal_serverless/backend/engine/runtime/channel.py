"""How does a worker talk to its backend? Frames over one socket.

A frame is a head (payload length, kind, call id) and the payload. The backend keeps its own copy of
these numbers.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from typing import Any, Callable, Iterator, List, NamedTuple, Sequence

HEAD = struct.Struct("!IBI")
"""Payload length, kind, call id (0: no call)."""
META = struct.Struct("!I")
"""Length of the JSON in front of a body; count in front of lines; the number that is told."""

INIT, CALL, CANCEL, CREDIT, STOP, WITHDRAW, KEPT = 1, 2, 3, 4, 5, 6, 7
READY, FAILED, RETURNED, REPLY, STREAM, CHUNK, END, BROKEN, LOG = 10, 11, 12, 13, 14, 15, 16, 17, 18
WITHDRAWN, DROPPED = 19, 20

BLOCK = 1 << 18
"""Bytes asked of the socket at once."""


class Frame(NamedTuple):
    kind: int
    call: int
    payload: bytes


_leave = os._exit
"""As it was: what stands in its place sends first."""


def _nothing() -> Sequence[bytes]:
    return ()


class Channel:
    """The worker's end. Any thread may send; one reads, and others when it does not."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._block = bytearray(BLOCK)
        self._part = bytearray()
        """The beginning of a frame whose rest has not come."""
        self._held: List[Frame] = []
        """Read by somebody whom they are not for."""
        self._receiving = threading.Lock()
        self._sending = threading.RLock()
        self._main = threading.main_thread().ident
        self.in_send = 0
        """Over 0: the main thread sends or reads a frame, which must not be left half."""
        self.deferred: Callable[[], None] | None = None
        """What a signal handler wanted meanwhile; called after the frame."""
        self.ahead: Callable[[], Sequence[bytes]] = _nothing
        """Takes the frames that go before the next one."""
        self.kept = 0
        """Bytes of lines that the backend has told to be kept."""
        self.on_held: Callable[[], object] = _nothing
        """Told when there are frames which somebody else has read; `receive` has them."""

    def send(self, kind: int, call: int = 0, *parts: bytes) -> None:
        """Whole frames in the order of the calls; when nobody listens any more, the end."""
        self._send(HEAD.pack(sum(map(len, parts)), kind, call), *parts)

    def flush(self) -> None:
        """Send what would go before the next frame; not from within a frame."""
        if not self.in_send or threading.get_ident() != self._main:
            self._send()

    def _send(self, *parts: bytes) -> None:
        on_main = self._begin()
        try:
            with self._sending:
                content = b"".join((*self.ahead(), *parts))
                if content:
                    self._socket.sendall(content)
        except OSError:
            die()
        finally:
            self._done(on_main)

    def _begin(self) -> bool:
        """Whether this is the main thread, which from now on is not interrupted."""
        on_main = threading.get_ident() == self._main
        if on_main:
            self.in_send += 1
        return on_main

    def _done(self, on_main: bool) -> None:
        if not on_main:
            return
        self.in_send -= 1
        if self.deferred is not None and self.in_send == 0:
            deferred, self.deferred = self.deferred, None
            deferred()

    def send_json(self, kind: int, value: Any, call: int = 0) -> None:
        self.send(kind, call, json.dumps(value).encode())

    def frames(self) -> Iterator[Frame]:
        """What the backend sends, until it closes."""
        while True:
            try:
                yield from self.receive()
            except EOFError:
                return

    def receive(self, *, wait: bool = True) -> list[Frame]:
        """The frames that have come; without `wait` maybe none.

        Raises EOFError when the backend has closed.
        """
        with self._receiving:
            if self._held:
                frames, self._held = self._held, []
                return frames
            return self._receive(wait)

    def hear(self) -> bool:
        """Look for news of lines; False: somebody else reads, and will hear of them.

        What comes beside is held for whom it is for.
        """
        on_main = self._begin()
        try:
            heard = self._receiving.acquire(blocking=False)
            if heard:
                self._hold()
        finally:
            self._done(on_main)
        return heard

    def _hold(self) -> None:
        try:
            frames = self._receive(wait=False)
            self._held += frames
        except EOFError:
            die()
        finally:
            self._receiving.release()
        if frames:
            self.on_held()

    def _receive(self, wait: bool) -> list[Frame]:
        try:
            size = self._socket.recv_into(self._block, 0, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            size = 0
        if not size:
            raise EOFError
        if self._part:
            self._part += memoryview(self._block)[:size]
            frames, used = self._whole_frames(self._part)
            del self._part[:used]
            return frames
        block = bytes(memoryview(self._block)[:size])
        frames, used = self._whole_frames(block)
        if used < size:
            self._part += block[used:]
        return frames

    def _whole_frames(self, data: bytes | bytearray) -> tuple[list[Frame], int]:
        """The frames at the beginning, and how many bytes they are."""
        frames: list[Frame] = []
        start, end = 0, len(data)
        while end - start >= HEAD.size:
            length, kind, call = HEAD.unpack_from(data, start)
            stop = start + HEAD.size + length
            if stop > end:
                break
            if kind == KEPT:
                self.kept += META.unpack_from(data, start + HEAD.size)[0]
            else:
                frames.append(Frame(kind, call, bytes(data[start + HEAD.size : stop])))
            start = stop
        return frames, start

    def fileno(self) -> int:
        return self._socket.fileno()

    def forget(self) -> None:
        """In a forked copy of the worker: the channel is not its own."""
        os.close(self._socket.detach())


def die() -> None:
    """End at once; the supervisor ends what this worker has started."""
    _leave(1)
