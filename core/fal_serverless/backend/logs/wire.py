"""What goes between a writer of logs and the store's process: frames over a socket.

A frame is a head (payload length, kind, number) and the payload. Every question stands for itself,
so a store that was killed and started again can be asked anew.

1. Writer: HELLO with its name, which is its own for as long as it lives.
2. Writer: BATCH, numbered from 1: a list of rows and blocks. Store: ACK with that number, when all
   batches up to it are in the file, and with the number of entries ever written. A batch that is
   there already is acknowledged, not written. When it cannot be written, REFUSED with its number
   and why; it and all after it have to be sent again.
3. Reader: FIND with a selection. Store: FOUND, the ids that match and the last id there is.
4. Reader: SHOW with ids. Store: PAGE, those entries up to the last id looked at, with none of them
   removed; without an entry: all up to that id have been removed.
5. Reader: NEXT with a selection and the last id seen. Store: PAGE with what came after, at once or
   when there is something; with `wait` false at once, also when it is empty.
6. Reader: DROP, the answer to the question of that number is not wanted any more.
7. Store: FAILED, an error as JSON: why the question of that number has no answer.
8. Store: TOLD, a line for whoever runs the backend.

The numbers of questions are the reader's. Entries are server-sent events: `id: N`, a newline,
`data: {…}`, twice a newline, one after the other, ready to be passed on.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import msgspec

from fal_serverless.backend.logs.selection import Selection

HEAD = struct.Struct("!IBI")
"""Payload length, kind, number."""

HELLO, BATCH, FIND, SHOW, NEXT, DROP = 1, 2, 3, 4, 5, 6
ACK, FOUND, PAGE, REFUSED, FAILED, TOLD = 10, 11, 12, 13, 14, 15

PAGE_HEAD = struct.Struct("!Q?")
"""The last id looked at, and whether there was nothing more at that time."""

COUNT = struct.Struct("!Q")
"""Entries ever written."""

BEGIN, SEAM, END = b"id: ", b"\ndata: ", b"\n\n"
_HEAD = re.compile(rb"(\n\n)?id: \d+\ndata: ")


class Found(msgspec.Struct, array_like=True):
    """The answer to FIND."""

    ids: list[int]
    """Ascending."""
    last: int
    """The last id there was: where a tail goes on."""


class Next(msgspec.Struct, array_like=True):
    """A question for more."""

    selection: Selection
    seen: int
    wait: bool


def frame(kind: int, number: int, payload: bytes = b"") -> bytes:
    return HEAD.pack(len(payload), kind, number) + payload


def frames(buffer: bytearray) -> Iterator[tuple[int, int, bytes]]:
    """Kind, number and payload of every whole frame, which are taken out of the buffer."""
    start, end = 0, len(buffer)
    try:
        while end - start >= HEAD.size:
            length, kind, number = HEAD.unpack_from(buffer, start)
            stop = start + HEAD.size + length
            if stop > end:
                return
            with memoryview(buffer) as view:
                payload = bytes(view[start + HEAD.size : stop])
            start = stop
            yield kind, number, payload
    finally:
        del buffer[:start]


def position(seen: int) -> bytes:
    """An event without content: a tail that is taken up again goes on from there."""
    return b"%b%d%b" % (BEGIN, seen, END)


def json_values(events: bytes) -> bytes:
    """Entries as JSON, commas between them. JSON has no raw newlines: heads are unmistakable."""
    return _HEAD.sub(b",", events.removesuffix(END))[1:]


def json_list(events: bytes) -> bytes:
    return b"[" + json_values(events) + b"]"
