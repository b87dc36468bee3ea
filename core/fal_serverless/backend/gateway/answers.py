"""What every answer of ours carries, and what our errors look like to callers.

Knows neither ASGI nor connections.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import time
from collections.abc import Sequence

from fal_serverless.errors import (
    FalError,
    NotAuthenticated,
    QueueFull,
    TooManyCalls,
    WorkerFailed,
    to_json,
)

Pairs = Sequence[tuple[bytes, bytes]]

CORS: Pairs = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"*"),
    (b"access-control-allow-headers", b"*, authorization"),
    (b"access-control-expose-headers", b"*"),
    (b"access-control-max-age", b"600"),
)
"""Open, as in the original service: keys decide who may call, not pages' origins."""

_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What must not be in the value of a header (RFC 9110, 5.5)."""
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_bits = random.Random(os.urandom(16)).getrandbits


def request_id(given: bytes | None) -> str:
    """The caller's, when it has the form of one; else a new one."""
    if given and _REQUEST_ID.fullmatch(given):
        return given.decode()
    # It names a call and guards nothing. Milliseconds come first (as in UUID 7, RFC 9562, 5.7), so
    # that the log store's index of them grows at one end.
    return f"{time.time_ns() // 1_000_000:012x}{_bits(80):020x}"


def header_value(text: str) -> bytes:
    """As it is sent. Raises ValueError for what would end the header."""
    if _BAD_VALUE.search(text):
        raise ValueError(f"{text!r} cannot be the value of a header")
    return text.encode("latin-1")


def failure(error: FalError, request_id: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body for one of our own errors, as JSON; its status is its own."""
    headers = [(b"content-type", b"application/json")]
    if isinstance(error, NotAuthenticated):
        headers.append((b"www-authenticate", b'Key realm="fal-serverless", Basic'))
    if isinstance(error, QueueFull):
        headers.append((b"retry-after", b"1"))
    if isinstance(error, TooManyCalls):
        seconds = math.ceil(error.data.get("retry_after", 1))
        headers.append((b"retry-after", b"%d" % seconds))
    if "allow" in error.data:
        headers.append((b"allow", str(error.data["allow"]).encode()))
    return headers, json.dumps(to_json(_for_callers(error), request_id)).encode()


def _for_callers(error: FalError) -> FalError:
    """Without what only the owner may see: how a worker died, and what it printed before."""
    if isinstance(error, WorkerFailed) and "log" in error.data:
        return type(error)("the function's worker failed; the endpoint's log tells why")
    return type(error)(error.message)
