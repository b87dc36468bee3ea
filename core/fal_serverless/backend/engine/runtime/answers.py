"""How does a return value become an answer?

- bytes, bytearray, memoryview: application/octet-stream.
- An object with a `content_type`, and content as a str or bytes subclass, `.body` or `.data`: that.
- A generator or iterator, sync or async: text/event-stream when the caller accepts it; otherwise by
  its first piece text/plain, application/octet-stream, or application/x-ndjson for other values.
- Anything else: application/json.
"""

from __future__ import annotations

from collections import abc
from typing import Any

from .codec import Codec

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"


def is_stream(value: Any) -> bool:
    return isinstance(value, (abc.Iterator, abc.AsyncIterator))


def whole(value: Any, codec: Codec) -> tuple[str, bytes]:
    """Content type and body. Raises TypeError, naming the type, for what is not JSON."""
    kind = getattr(value, "content_type", None)
    if isinstance(kind, str):
        content = _content(value)
        if content is not None:
            return kind, content
    if isinstance(value, (bytes, bytearray, memoryview)):
        return BYTES, bytes(value)
    try:
        return JSON, codec.encode(value)
    except NotImplementedError as exc:
        raise TypeError(f"the return value holds a {exc}, which is not JSON") from None
    except (TypeError, ValueError, RecursionError) as exc:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(f"the return value, a {kind}, is not JSON: {exc}") from None


def _content(value: Any) -> bytes | None:
    for found in (value, getattr(value, "body", None), getattr(value, "data", None)):
        if isinstance(found, str):
            return found.encode()
        if isinstance(found, (bytes, bytearray, memoryview)):
            return bytes(found)
    return None


class Pieces:
    """Writes the pieces of one stream. `content_type` is known from its first piece on.

    Of a stream without any, that is ''.
    """

    def __init__(self, first: Any, accept: str, codec: Codec) -> None:
        self._codec = codec
        if EVENTS in accept:
            self.content_type = EVENTS
        elif isinstance(first, (bytes, bytearray, memoryview)):
            self.content_type = BYTES
        else:
            self.content_type = TEXT if isinstance(first, str) else LINES

    def write(self, piece: Any) -> bytes:
        if self.content_type == EVENTS:
            return self._event(piece)
        if isinstance(piece, str):
            return piece.encode()
        kind, content = whole(piece, self._codec)
        return content + b"\n" if kind == JSON else content

    def _event(self, piece: Any) -> bytes:
        if isinstance(piece, str):
            text = piece
        else:
            text = whole(piece, self._codec)[1].decode("utf-8", "replace")
        if text.endswith("\n\n") and text.startswith(("data:", "event:", "id:", "retry:", ":")):
            return text.encode()
        lines = "".join(f"data: {line}\n" for line in text.split("\n"))
        return f"{lines}\n".encode()
