"""Calls of `exposed_port` functions: everything passes to the function's own server, and back.

Added on the way: `X-Forwarded-*` and the request id. Removed: hop-by-hop headers (RFC 9110, 7.6.1)
and our credentials, which were taken out before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httptools

from fal_serverless.backend.gateway.exchange import ClientGone, Exchange, Pairs
from fal_serverless.endpoint import Target
from fal_serverless.errors import WorkerFailed

READ_SIZE = 256 * 1024
"""Bytes read from the function's server at once; also what is buffered of a fast one."""

HOP_BY_HOP = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
}


async def forward(exchange: Exchange, target: Target, address: tuple[str, int], limit: int) -> None:
    """Pass the request on and the answer back. Raises WorkerFailed, TooLarge, ClientGone."""
    reader, writer = await connect(address)
    upload = asyncio.ensure_future(_upload(exchange, target, writer, limit))
    download = asyncio.ensure_future(_download(exchange, reader))
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
        writer.transport.abort()


async def connect(
    address: tuple[str, int],
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To a function's server. Raises WorkerFailed."""
    try:
        return await asyncio.open_connection(*address, limit=READ_SIZE)
    except OSError as exc:
        raise WorkerFailed("the function's server does not accept connections any more") from exc


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
    exchange: Exchange, target: Target, writer: asyncio.StreamWriter, limit: int
) -> None:
    has_length = exchange.header(b"content-length") is not None
    chunked = not has_length and exchange.header(b"transfer-encoding") is not None
    writer.write(request_head(exchange, target, chunked=chunked))
    # A server may answer and close before it has read all; its answer still counts.
    with suppress(ConnectionError):
        async for chunk in exchange.chunks(limit):
            writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
            await writer.drain()
        if chunked:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


def request_head(
    exchange: Exchange, target: Target, *, chunked: bool, upgrade: bool = False
) -> bytes:
    """Request line and headers as the function's server gets them."""
    query = b"?" + exchange.query if exchange.query else b""
    line = b"%b %b%b HTTP/1.1\r\n" % (exchange.method.encode(), target.path.encode(), query)
    kept = strip_hop_by_hop(exchange.headers)
    pairs = [pair for pair in kept if pair[0] not in (b"x-fal-request-id", b"x-forwarded-prefix")]
    pairs += _forwarded(exchange, target)
    if upgrade:
        pairs.append((b"connection", b"upgrade"))
        pairs.append((b"upgrade", exchange.header(b"upgrade") or b"websocket"))
    else:
        pairs.append((b"connection", b"close"))
    if chunked:
        pairs.append((b"transfer-encoding", b"chunked"))
    return line + b"".join(b"%b: %b\r\n" % pair for pair in pairs) + b"\r\n"


def strip_hop_by_hop(headers: Pairs) -> list[tuple[bytes, bytes]]:
    """Without hop-by-hop headers and those that `Connection` names."""
    named: set[bytes] = set()
    for name, value in headers:
        if name.lower() == b"connection":
            named |= {token.strip().lower() for token in value.split(b",")}
    dropped = HOP_BY_HOP | named
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def _forwarded(exchange: Exchange, target: Target) -> list[tuple[bytes, bytes]]:
    scope = exchange.scope
    client = scope.get("client")
    pairs = [
        (b"x-fal-request-id", exchange.request_id.encode()),
        (b"x-forwarded-proto", scope.get("scheme", "http").encode()),
        (b"x-forwarded-host", exchange.header(b"host") or b""),
    ]
    if client:
        before = exchange.header(b"x-forwarded-for")
        here = client[0].encode()
        pairs.append((b"x-forwarded-for", b"%b, %b" % (before, here) if before else here))
    if target.prefix:
        pairs.append((b"x-forwarded-prefix", target.prefix.encode()))
    return pairs


# Down


class _Parts:
    """What httptools found in the bytes so far; drained by `_download`."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_complete = False
        self.complete = False
        self.chunks: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.head_complete = True

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)

    def on_message_complete(self) -> None:
        self.complete = True


async def _download(exchange: Exchange, reader: asyncio.StreamReader) -> None:
    status, parts, parser = await _read_head(reader)
    headers = strip_hop_by_hop(parts.headers)
    await exchange.start(status, [pair for pair in headers if pair[0] != b"x-fal-request-id"])
    if exchange.method == "HEAD" or status in (204, 304):
        await exchange.write(b"", more=False)
        return
    async for chunk in _body(reader, parts, parser):
        await exchange.write(chunk, more=True)
    await exchange.write(b"", more=False)


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, _Parts, Any]:
    """The final answer's head; interim ones (1xx) are passed over."""
    data = b""
    while True:
        parts = _Parts()
        parser = httptools.HttpResponseParser(parts)
        while not parts.head_complete:
            data = data or await reader.read(READ_SIZE)
            if not data:
                raise WorkerFailed("the function's server closed the connection without an answer")
            data = _feed(parser, data)
        if parser.get_status_code() >= 200:
            return parser.get_status_code(), parts, parser


async def _body(reader: asyncio.StreamReader, parts: _Parts, parser: Any) -> AsyncIterator[bytes]:
    while True:
        if parts.chunks:
            yield b"".join(parts.chunks)
            parts.chunks.clear()
        if parts.complete:
            return
        data = await reader.read(READ_SIZE)
        if not data:
            break
        _feed(parser, data)
    if _ends_with_connection(parts.headers):
        return
    raise WorkerFailed("the function's server closed the connection in the middle of its answer")


def _feed(parser: Any, data: bytes) -> bytes:
    """Parse; what belongs to the next message is given back."""
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade as upgrade:
        return data[upgrade.args[0] :]
    except httptools.HttpParserError as exc:
        raise WorkerFailed(f"the function's server did not answer in HTTP: {exc}") from exc
    return b""


def _ends_with_connection(headers: Pairs) -> bool:
    """Without a length the end of the connection is the end of the body (RFC 9112, 6.3)."""
    names = {name for name, _ in headers}
    return b"content-length" not in names and b"transfer-encoding" not in names
