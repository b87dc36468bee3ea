"""One request and its answer, seen from the gateway: what came, what was sent, for the log line.

Knows ASGI and nothing of endpoints, keys or workers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from fal_serverless.backend.gateway.answers import CORS, Pairs, failure, request_id
from fal_serverless.errors import FalError, TooLarge
from fal_serverless.models import ColdStart

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ClientGone(Exception):
    """The caller hung up; nobody is there to be answered."""


class Exchange:
    """The raw ASGI request, with its answer counted and its body bounded."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self._receive = receive
        self._send = send
        self.method: str = scope["method"]
        self.headers: Pairs = scope["headers"]
        self.query: bytes = scope["query_string"]
        self.request_id = request_id(self.header(b"x-fal-request-id"))
        self.started = time.perf_counter()
        self.status = 0
        """0: nothing was answered yet."""
        self.cold: ColdStart | None = None
        self.worker = ""
        self.is_believed = False
        """It came by a proxy whose word counts for where it is from."""
        self.own_cors = False
        """Our CORS headers go on every answer: it is a served function."""
        self.deadline: asyncio.Timeout | None = None
        """When an answer must have begun; lifted by its beginning."""

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def is_preflight(self) -> bool:
        """A browser's question before the request: it never carries a key (Fetch, 3.3.2)."""
        return (
            self.method == "OPTIONS"
            and self.header(b"origin") is not None
            and self.header(b"access-control-request-method") is not None
        )

    def milliseconds(self) -> float:
        return (time.perf_counter() - self.started) * 1000

    def check_length(self, limit: int) -> None:
        """Raises TooLarge for a body that is declared to be over `limit` bytes."""
        declared = self.header(b"content-length")
        if declared and declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes. Raises TooLarge over `limit` bytes, ClientGone."""
        self.check_length(limit)
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            if chunk:
                yield chunk
            if not message.get("more_body", False):
                return

    async def body(self, limit: int) -> bytes:
        return b"".join([chunk async for chunk in self.chunks(limit)])

    async def gone(self) -> None:
        """Returns when the caller has hung up; only after the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def begin(self, status: int) -> None:
        """An answer begins: it may take as long as it wants from here."""
        self.status = status
        if self.deadline is not None:
            self.deadline.reschedule(None)

    async def start(self, status: int, headers: Pairs) -> None:
        self.begin(status)
        if status == 304:
            # Its length is of the body it does not have. uvicorn knows that of HEAD only.
            self.scope["method"] = "HEAD"
        sent = [*headers, (b"x-fal-request-id", self.request_id.encode())]
        if self.own_cors:
            sent += CORS
        await self._send({"type": "http.response.start", "status": status, "headers": sent})

    async def write(self, chunk: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    async def answer(self, status: int, headers: Pairs, body: bytes) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, [*headers, length])
        await self.write(b"" if self.method == "HEAD" else body, more=False)

    async def fail(self, error: FalError) -> None:
        """Answer with one of our own errors, as JSON."""
        headers, body = failure(error, self.request_id)
        await self.answer(error.status, headers, body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request body is over the limit of {limit} bytes")
