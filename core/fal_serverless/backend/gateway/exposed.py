"""Calls of `exposed_port` functions: everything passes to the function's own server, and back.

The general way, on a connection of its own: long bodies both ways, `Expect`, answers that come
before the request is whole. Short requests go by `passage`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httptools

from fal_serverless.backend.gateway.answers import Pairs
from fal_serverless.backend.gateway.exchange import ClientGone, Exchange
from fal_serverless.backend.gateway.forwarding import Origin, request_head, strip_hop_by_hop
from fal_serverless.endpoint import Target
from fal_serverless.errors import WorkerFailed

READ_SIZE = 256 * 1024
"""Bytes read from the function's server at once; also what is buffered of a fast one."""

CONTINUE_WAIT = 1.0
"""Seconds that a caller who asked for "100 Continue" waits for a server that never says it."""


async def forward(exchange: Exchange, target: Target, address: tuple[str, int], limit: int) -> None:
    """Pass the request on and the answer back. Raises WorkerFailed, TooLarge, ClientGone."""
    exchange.check_length(limit)
    link = await dial(address)
    # Sent over a descriptor of its own: when that fails, what the server said before it closed
    # can still be read from the other one.
    with link.dup() as own:
        reader, writer = await attach(link)
        try:
            await _both_ways(exchange, target, Sender(own), reader, limit)
        finally:
            writer.transport.abort()


async def _both_ways(
    exchange: Exchange, target: Target, sender: Sender, reader: Reader, limit: int
) -> None:
    go_ahead = asyncio.Event()
    upload = asyncio.ensure_future(_upload(exchange, target, sender, limit, go_ahead))
    download = asyncio.ensure_future(_download(exchange, reader, go_ahead.set))
    try:
        await asyncio.wait((upload, download), return_when=asyncio.FIRST_COMPLETED)
        if upload.done() and not download.done():
            upload.result()
            await _unless_gone(exchange, download)
        download.result()
    finally:
        for task in (upload, download):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


class Sender:
    """Writes to a socket as fast as it takes it, and keeps nothing."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        """Raises ConnectionError."""
        await self._loop.sock_sendall(self._link, data)


class Reader(asyncio.StreamReader):
    """What a function's server sent. Unlike its base it gives out what came before a reset.

    A server that answers early and closes, with some of the request unread, makes one.
    """

    broken: Exception | None = None
    """Why it ended, when it was not closed in order."""

    def set_exception(self, exc: Exception) -> None:
        self.broken = exc
        self.feed_eof()


async def connect(address: tuple[str, int]) -> tuple[Reader, asyncio.StreamWriter]:
    """To a function's server. Raises WorkerFailed."""
    return await attach(await dial(address))


async def dial(address: tuple[str, int]) -> socket.socket:
    """A connected socket. Raises WorkerFailed."""
    link = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    link.setblocking(False)
    try:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(link, address)
    except OSError as exc:
        link.close()
        raise WorkerFailed("the function's server does not accept connections any more") from exc
    except BaseException:
        link.close()
        raise
    return link


async def attach(link: socket.socket) -> tuple[Reader, asyncio.StreamWriter]:
    """Streams on a connected socket, which is theirs from then on."""
    loop = asyncio.get_running_loop()
    reader = Reader(READ_SIZE, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_connection(lambda: protocol, sock=link)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _unless_gone(exchange: Exchange, download: asyncio.Future[None]) -> None:
    gone = asyncio.ensure_future(exchange.gone())
    try:
        await asyncio.wait((download, gone), return_when=asyncio.FIRST_COMPLETED)
        if not download.done():
            raise ClientGone
    finally:
        gone.cancel()


# Up


async def _upload(
    exchange: Exchange,
    target: Target,
    sender: Sender,
    limit: int,
    go_ahead: asyncio.Event,
) -> None:
    has_length = exchange.header(b"content-length") is not None
    chunked = not has_length and exchange.header(b"transfer-encoding") is not None
    more = [(b"connection", b"close")]
    if chunked:
        more.append((b"transfer-encoding", b"chunked"))
    head = head_of(exchange, target, more)
    # A server may answer and close before it has read all; its answer still counts.
    with suppress(ConnectionError):
        await sender.send(head)
        if (exchange.header(b"expect") or b"").lower() == b"100-continue":
            # Reading the body has the caller send it: whether to is for the server to decide.
            with suppress(TimeoutError):
                await asyncio.wait_for(go_ahead.wait(), CONTINUE_WAIT)
        async for chunk in exchange.chunks(limit):
            await sender.send(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            await sender.send(b"0\r\n\r\n")


def head_of(exchange: Exchange, target: Target, more: Pairs) -> bytes:
    """Request line and headers as the function's server gets them."""
    client = (exchange.scope.get("client") or ("",))[0]
    scheme = exchange.scope.get("scheme", "http")
    believed = exchange.is_believed
    origin = Origin(client, scheme, target.prefix, exchange.request_id, believed)
    path = target.path.encode("latin-1")
    return request_head(
        exchange.method.encode(), path, exchange.query, exchange.headers, origin, more
    )


# Down


class Message:
    """An answer, as far as httptools has found it; interim ones (1xx) only call `interim`."""

    def __init__(self, interim: Callable[[], object]) -> None:
        self.status = 0
        """0: its head is not complete."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        """Of the body, in order; drained by whoever reads it."""
        self.complete = False
        self._interim = interim
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises WorkerFailed."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return
        except httptools.HttpParserError as exc:
            raise WorkerFailed(f"the function's server did not answer in HTTP: {exc}") from exc

    def on_message_begin(self) -> None:
        if not self.status:
            self.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head come trailers, which nobody was told of.
        if not self.status:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._interim()
        elif not self.status:
            self.status = status

    def on_body(self, body: bytes) -> None:
        if self.status and not self.complete:
            self.chunks.append(body)

    def on_message_complete(self) -> None:
        self.complete = self.status > 0


async def _download(exchange: Exchange, reader: Reader, go_ahead: Callable[[], object]) -> None:
    message = Message(interim=go_ahead)
    while not message.status:
        data = await reader.read(READ_SIZE)
        if not data:
            raise WorkerFailed("the function's server closed the connection without an answer")
        message.feed(data)
    go_ahead()
    await answer(exchange, message, reader)


async def answer(exchange: Exchange, message: Message, reader: Reader) -> None:
    """Pass on an answer whose head is there, and the rest as it comes. Raises WorkerFailed."""
    dropped = {b"x-fal-request-id"}
    if message.status == 204:
        # It has no body, so it must not have its length (RFC 9110, 8.6).
        dropped.add(b"content-length")
    headers = [pair for pair in strip_hop_by_hop(message.headers) if pair[0] not in dropped]
    await exchange.start(message.status, headers)
    if exchange.method != "HEAD" and message.status not in (204, 304):
        async for chunk in _body(reader, message):
            await exchange.write(chunk, more=True)
    await exchange.write(b"", more=False)


async def _body(reader: Reader, message: Message) -> AsyncIterator[bytes]:
    while True:
        if message.chunks:
            yield b"".join(message.chunks)
            message.chunks.clear()
        if message.complete:
            return
        data = await reader.read(READ_SIZE)
        if not data:
            break
        message.feed(data)
    if reader.broken is None and ends_with_connection(message.headers):
        return
    raise WorkerFailed("the function's server closed the connection in the middle of its answer")


def ends_with_connection(headers: Pairs) -> bool:
    """Without a length the end of the connection is the end of the body (RFC 9112, 6.3)."""
    names = {name for name, _ in headers}
    return b"content-length" not in names and b"transfer-encoding" not in names
