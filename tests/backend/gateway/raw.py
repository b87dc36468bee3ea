"""HTTP/1.1 by hand, for what client libraries do not let one send or see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from running import RunningBackend


class Wire:
    """One connection to a backend."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        """The next answer's, with its empty line."""
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)

    async def rest(self) -> bytes:
        """All until the backend closes."""
        return await asyncio.wait_for(self.reader.read(), 20)


@asynccontextmanager
async def wire(backend: RunningBackend) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


async def exchange(backend: RunningBackend, request: bytes) -> tuple[bytes, bytes]:
    """Send one request that asks for the connection to be closed; head and body of the answer."""
    async with wire(backend) as connection:
        await connection.send(request)
        answered = await connection.rest()
    head, _, body = answered.partition(b"\r\n\r\n")
    return head, body


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
