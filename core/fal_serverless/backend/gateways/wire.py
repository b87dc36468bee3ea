"""What goes between the backend and a further gateway: frames over a socket, and connections.

Frames are those of a worker's channel (`engine.frames`) with kinds of their own; payloads are
msgpack.

1. Backend: TABLE, numbered: what came and went of endpoints and keys. The first has all there is.
   Gateway: SEEN with that number, when every request that it reads from then on knows of it.
2. Gateway: CALL with an id of its own. Backend: ANSWER, or FAILED, or STREAM and then CHUNK for
   each piece while it has CREDIT left, and END, or FAILED when the rest will never come.
3. Gateway: CANCEL, nobody waits for that answer any more; none comes.
4. Gateway: CREDIT, so many bytes of a stream were passed on.
5. Gateway: ROWS, lines for the log, and what is to be counted.
6. Backend: DRAIN. The gateway takes no more connections, finishes what it has, and ends.

Connections go over a second socket, as messages: the first has the descriptor and how many bytes
were read of it, all have some of these bytes.
"""

from __future__ import annotations

import socket
import struct

import msgspec

from fal_serverless.backend.credentials import Known
from fal_serverless.backend.logs.rows import LogRow
from fal_serverless.backend.records import Endpoint
from fal_serverless.models import ColdStart

TABLE, DRAIN, ANSWER, STREAM, CHUNK, END, FAILED = 1, 2, 3, 4, 5, 6, 7
SEEN, CALL, CANCEL, CREDIT, ROWS = 11, 12, 13, 14, 15

SIZE = struct.Struct("!I")
WINDOW = 1 << 20
"""Bytes of a stream that may be on their way."""
PART = 64 * 1024
"""Bytes of one message on the second socket."""


class Table(msgspec.Struct, array_like=True):
    """A change."""

    endpoints: list[tuple[Endpoint, bool]]
    """New or changed; whether what it points at is a served function."""
    lost_endpoints: list[tuple[str, str]]
    """User and label."""
    keys: list[Known]
    lost_keys: list[str]


class Call(msgspec.Struct, array_like=True):
    user: str
    revision: str
    alias: str
    request_id: str
    meta: bytes
    body: bytes


class Answer(msgspec.Struct, array_like=True):
    """Of a stream `content` is empty: it comes in pieces."""

    status: int
    content_type: str
    worker: str
    queued: float
    cold: ColdStart | None
    content: bytes = b""


Counted = tuple[str, str, str, int, float, ColdStart | None]
"""User, function and label of a call, its status, milliseconds, and what it waited for."""


class Rows(msgspec.Struct, array_like=True):
    rows: list[LogRow]
    counts: list[Counted]


def give(link: socket.socket, connection: int, read: bytes) -> None:
    """Send a connection with what was read of it. Raises OSError."""
    parts = [read[start : start + PART] for start in range(0, len(read), PART)] or [b""]
    socket.send_fds(link, [SIZE.pack(len(read)) + parts[0]], [connection])
    for part in parts[1:]:
        link.send(part)


class Receiver:
    """The other end of `give`."""

    def __init__(self, link: socket.socket) -> None:
        link.setblocking(False)
        self._link = link
        self._connection = -1
        self._missing = 0
        self._read = b""

    def next(self) -> tuple[int, bytes] | None:
        """A descriptor and what was read of it; None: not yet. Raises EOFError, OSError."""
        while True:
            try:
                part, descriptors, _, _ = socket.recv_fds(self._link, PART + SIZE.size, 1)
            except BlockingIOError:
                return None
            if not part:
                raise EOFError
            if descriptors:
                self._connection = descriptors[0]
                (self._missing,) = SIZE.unpack_from(part)
                part = part[SIZE.size :]
                self._read = b""
            self._read += part
            self._missing -= len(part)
            if self._missing == 0:
                return self._connection, self._read
