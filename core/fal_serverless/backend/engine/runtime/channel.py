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
from typing import Any, Callable, Iterator, NamedTuple

HEAD = struct.Struct("!IBI")
"""Payload length, kind, call id (0: no call)."""
LOG_HEAD = struct.Struct("!BdB")
"""Index in LEVELS, seconds since 1970, length of the request id, which comes before the text."""
META = struct.Struct("!I")
"""Length of the JSON in front of a body."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "STDOUT", "STDERR")

INIT, CALL, CANCEL, CREDIT, STOP, WITHDRAW = 1, 2, 3, 4, 5, 6
READY, FAILED, RETURNED, REPLY, STREAM, CHUNK, END, BROKEN, LOG = 10, 11, 12, 13, 14, 15, 16, 17, 18
WITHDRAWN = 19

BLOCK = 1 << 18
"""Bytes asked of the socket at once."""


class Frame(NamedTuple):
    kind: int
    call: int
    payload: bytes


class Channel:
    """The worker's end. Any thread may send; one reads."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._block = bytearray(BLOCK)
        self._part = bytearray()
        """The beginning of a frame whose rest has not come."""
        self._sending = threading.RLock()
        self._main = threading.main_thread().ident
        self.in_send = 0
        """Over 0: the main thread is in the middle of a frame, which must not be left half."""
        self.deferred: Callable[[], None] | None = None
        """What a signal handler wanted meanwhile; called after the frame."""

    def send(self, kind: int, call: int = 0, *parts: bytes) -> None:
        """Whole frames in the order of the calls; when nobody listens any more, the end."""
        head = HEAD.pack(sum(map(len, parts)), kind, call)
        on_main = threading.get_ident() == self._main
        if on_main:
            self.in_send += 1
        try:
            with self._sending:
                self._socket.sendall(b"".join((head, *parts)))
        except OSError:
            die()
        finally:
            if on_main:
                self.in_send -= 1
        if on_main and self.deferred is not None and self.in_send == 0:
            deferred, self.deferred = self.deferred, None
            deferred()

    def send_json(self, kind: int, value: Any, call: int = 0) -> None:
        self.send(kind, call, json.dumps(value).encode())

    def log(self, level: str, text: str, time: float, request_id: str) -> None:
        name = request_id.encode("utf-8", "replace")[:255]
        head = LOG_HEAD.pack(LEVELS.index(level), time, len(name))
        self.send(LOG, 0, head, name, text.encode("utf-8", "backslashreplace"))

    def frames(self) -> Iterator[Frame]:
        """What the backend sends, until it closes."""
        while True:
            try:
                yield from self.receive()
            except EOFError:
                return

    def receive(self, *, wait: bool = True) -> list[Frame]:
        """The frames that have come; without `wait` maybe none. One thread at a time.

        Raises EOFError when the backend has closed.
        """
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
            frames, used = _whole_frames(self._part)
            del self._part[:used]
            return frames
        block = bytes(memoryview(self._block)[:size])
        frames, used = _whole_frames(block)
        if used < size:
            self._part += block[used:]
        return frames

    def fileno(self) -> int:
        return self._socket.fileno()

    def forget(self) -> None:
        """In a forked copy of the worker: the channel is not its own."""
        os.close(self._socket.detach())


def _whole_frames(data: bytes | bytearray) -> tuple[list[Frame], int]:
    """The frames at the beginning, and how many bytes they are."""
    frames: list[Frame] = []
    start, end = 0, len(data)
    while end - start >= HEAD.size:
        length, kind, call = HEAD.unpack_from(data, start)
        stop = start + HEAD.size + length
        if stop > end:
            break
        frames.append(Frame(kind, call, bytes(data[start + HEAD.size : stop])))
        start = stop
    return frames, start


def die() -> None:
    """End at once; the supervisor ends what this worker has started."""
    os._exit(1)
