"""What does a reader get for an entry? An event, and one for those that are gone."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import msgspec

from fal_serverless.backend.logs.file import Stream
from fal_serverless.backend.logs.rows import moment
from fal_serverless.backend.logs.wire import BEGIN, END, SEAM
from fal_serverless.models import Level, Source


class Line(msgspec.Struct):
    """An entry as `models.LogEntry` has it; cheaper to make."""

    id: int
    time: datetime
    level: Level
    source: Source
    message: str
    user: str
    function: str
    alias: str
    revision: str
    worker: str
    request_id: str


def event(row: Any, stream: Stream) -> bytes:
    """One entry, as a tail sends it."""
    number, time, _, worker, request_id, message = row
    user, function, alias, revision, level, source = stream
    line = Line(
        number,
        moment(time),
        level,
        source,
        message,
        user,
        function,
        alias,
        revision,
        worker,
        request_id,
    )
    content = _encode(line)
    if not content.isascii():
        # Readers that split text into lines take these for line ends.
        content = content.replace(b"\xc2\x85", b"\\u0085")
        content = content.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return b"%b%d%b%b%b" % (BEGIN, number, SEAM, content, END)


def removed(number: int, count: str, user: str) -> bytes:
    """An entry in place of others, the last of which had the id `number`."""
    said = f"{count} entries are left out here: they were removed before they were read"
    row = (number, round(time.time() * 1_000_000), 0, "", "", said)
    return event(row, Stream(user, "", "", "", "WARNING", "system"))


_encode = msgspec.json.Encoder().encode
