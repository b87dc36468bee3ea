"""The HTTP/1.1 connection: uvicorn's, with a limit on the size of a request's head."""

from __future__ import annotations

import json
import uuid
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fal_serverless.errors import HeadTooLarge, to_json


class LimitedProtocol(HttpToolsProtocol):
    """Answers 431 and closes when request line and headers are over `max_head` bytes (RFC 6585)."""

    max_head = 64 * 1024
    """Set by whoever makes the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._received = 0
        """Bytes since the head began, as far as it is not complete."""
        self._parsed = 0
        """Bytes of what the parser has found of the head."""
        self._refused = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._received += len(data)
        super().data_received(data)
        # A header that never ends is not told by the parser; a whole head was counted exactly.
        if self._in_head and self._received > self.max_head:
            self._refuse()

    def on_message_begin(self) -> None:
        self._in_head, self._parsed = True, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._parsed += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._parsed += len(name) + len(value) + 4
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._received = False, 0
        if self._parsed > self.max_head:
            self._refuse()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        if not self._refused:
            super().on_message_complete()

    def _refuse(self) -> None:
        if self._refused:
            return
        self._refused = True
        request_id = uuid.uuid4().hex
        error = HeadTooLarge(f"request line and headers are over {self.max_head} bytes")
        body = json.dumps(to_json(error, request_id)).encode()
        head = (
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nx-fal-request-id: {request_id}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def limited(max_head: int) -> type[LimitedProtocol]:
    """The protocol class with its limit, as uvicorn wants it."""
    return type("LimitedProtocol", (LimitedProtocol,), {"max_head": max_head})
