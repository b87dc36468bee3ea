"""WebSockets (and whatever else upgrades to one): after the head, bytes pass both ways untouched.

uvicorn hands the connection over with the request's head written again; endpoint, key and worker
are found as for every other call, then nothing of the protocol is read any more. So frames, close
codes and subprotocols are the function's own affair.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn import Config
from uvicorn.server import ServerState

from fal_serverless.backend.gateway.exchange import Exchange, Scope
from fal_serverless.backend.gateway.exposed import (
    READ_SIZE,
    Message,
    Reader,
    answer,
    connect,
    head_of,
)
from fal_serverless.endpoint import Target
from fal_serverless.errors import WorkerFailed

SWITCHED = 101
LINGER = 5.0
"""Seconds that a function's server may take to read what was sent before the connection closed."""


class Tunnel(asyncio.StreamReaderProtocol):
    """A client's connection from its upgrade request on. Made by uvicorn, as its `ws` protocol."""

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any]
    ) -> None:
        self._loop_here = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader(READ_SIZE, self._loop_here)
        super().__init__(self._reader, loop=self._loop_here)
        self._front = config.loaded_app
        self._server = server_state
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # uvloop's transports are transports by what they do, not by their class.
        self._transport_here = cast(asyncio.Transport, transport)
        self._writer = asyncio.StreamWriter(
            self._transport_here, self, self._reader, self._loop_here
        )

    def data_received(self, data: bytes) -> None:
        if self._task is not None:
            super().data_received(data)
            return
        scope = scope_of(data, self._transport_here)
        self._task = self._loop_here.create_task(self._run(scope))
        # uvicorn waits for its tasks when it stops, and ends their connections.
        self._server.tasks.add(self._task)
        self._task.add_done_callback(self._server.tasks.discard)
        self._server.connections.add(cast(Any, self))

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(cast(Any, self))
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """uvicorn's word for: end now."""
        self._transport_here.close()

    async def _run(self, scope: Scope) -> None:
        try:
            with suppress(ConnectionError):
                await self._front.tunnel(scope, self._reader, self._writer)
        finally:
            self._transport_here.close()


class _Head:
    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


def scope_of(head: bytes, transport: asyncio.Transport) -> Scope:
    """The request as ASGI has it."""
    found = _Head()
    parser = httptools.HttpRequestParser(found)
    with suppress(httptools.HttpParserUpgrade):
        parser.feed_data(head)
    path, _, query = found.url.partition(b"?")
    client = transport.get_extra_info("peername")
    return {
        "type": "http",
        "method": parser.get_method().decode(),
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "headers": found.headers,
        "client": tuple(client[:2]) if client else None,
        "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
    }


async def no_body() -> MutableMapping[str, Any]:
    """An upgrade request has none."""
    return {"type": "http.request", "body": b"", "more_body": False}


class RawAnswer:
    """An ASGI `send` that writes HTTP/1.1 itself: for answers instead of an upgrade."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            lines = [_status_line(message["status"])]
            lines += [b"%b: %b\r\n" % pair for pair in message["headers"]]
            self._writer.writelines([*lines, b"connection: close\r\n\r\n"])
        else:
            self._writer.write(message.get("body", b""))
            await self._writer.drain()


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


class Splice:
    """The way of a lease's address for an upgrade; stands where `exposed.forward` stands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def __call__(
        self, exchange: Exchange, target: Target, address: tuple[str, int], limit: int
    ) -> None:
        reader, writer = await connect(address)
        try:
            wanted = exchange.header(b"upgrade") or b"websocket"
            more = [(b"connection", b"upgrade"), (b"upgrade", wanted)]
            writer.write(head_of(exchange, target, more))
            head = await _answer_head(reader)
            if _status(head) != SWITCHED:
                await _refused(exchange, head, reader)
                return
            exchange.begin(SWITCHED)
            self._writer.write(_with_id(head, exchange.request_id))
            await self._splice(reader, writer)
        finally:
            # What is written still goes out, but nobody waits for it for ever.
            writer.close()
            asyncio.get_running_loop().call_later(LINGER, writer.transport.abort)

    async def _splice(self, reader: Reader, writer: asyncio.StreamWriter) -> None:
        down = asyncio.ensure_future(_pump(reader, self._writer))
        up = asyncio.ensure_future(_pump(self._reader, writer))
        try:
            await asyncio.wait((down, up), return_when=asyncio.FIRST_COMPLETED)
            # Whoever closed first said all; what the other still sends has no reader.
        finally:
            for task in (down, up):
                task.cancel()
            await asyncio.wait((down, up))


async def _refused(exchange: Exchange, head: bytes, reader: Reader) -> None:
    """The server answers and does not switch: then this connection is for that answer only.

    Anything the caller sent on would reach the server past the gateway.
    """
    message = Message(interim=lambda: None)
    message.feed(head)
    await answer(exchange, message, reader)


async def _answer_head(reader: Reader) -> bytes:
    """The final answer's; interim ones (1xx, but not 101) are passed over. Raises WorkerFailed."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
            raise WorkerFailed("the function's server did not answer the upgrade") from exc
        if _status(head) >= 200 or _status(head) == SWITCHED:
            return head


def _status(head: bytes) -> int:
    """Raises WorkerFailed for what is no HTTP."""
    found = re.match(rb"HTTP/1\.[01] ([1-5]\d\d)[ \r]", head)
    if found is None:
        raise WorkerFailed("the function's server did not answer the upgrade in HTTP")
    return int(found[1])


def _with_id(head: bytes, request_id: str) -> bytes:
    line, rest = head.split(b"\r\n", 1)
    return b"%b\r\nx-fal-request-id: %b\r\n%b" % (line, request_id.encode(), rest)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until one side is closed."""
    with suppress(ConnectionError):
        while data := await reader.read(READ_SIZE):
            writer.write(data)
            await writer.drain()
