"""HTTP/1.1 by hand, for what client libraries do not let one send or see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from running import RunningBackend


class Answer(NamedTuple):
    """A whole one."""

    status: int
    head: bytes
    body: bytes
    """What was sent in chunks is put together."""

    def headers(self, name: bytes) -> list[bytes]:
        lines = self.head.split(b"\r\n")[1:-2]
        pairs = [line.split(b": ", 1) for line in lines]
        return [value for key, value in pairs if key.lower() == name]

    def lines(self) -> list[bytes]:
        """Of the head: their order tells nothing."""
        return sorted(self.head.split(b"\r\n"))

    @property
    def is_direct(self) -> bool:
        """Whether it came the short way, which writes its headers in another order."""
        return 0 < self.head.find(b"access-control-") < self.head.index(b"x-fal-request-id")


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

    async def answer(self) -> Answer:
        """The next one that is no interim answer."""
        while True:
            head = await self.head()
            answer = Answer(int(head.split()[1]), head, b"")
            if answer.status != 100:
                return answer._replace(body=await asyncio.wait_for(self._body(answer), 20))

    async def _body(self, answer: Answer) -> bytes:
        if answer.headers(b"transfer-encoding") == [b"chunked"]:
            pieces = []
            while size := int(await self.reader.readline(), 16):
                pieces.append(await self.reader.readexactly(size))
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
            return b"".join(pieces)
        (length,) = answer.headers(b"content-length")
        return await self.reader.readexactly(int(length))

    async def ask(self, request: bytes) -> Answer:
        await self.send(request)
        return await self.answer()

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


def post(path: str, body: bytes = b"{}", *headers: str, version: str = "1.1") -> bytes:
    """A call that keeps its connection."""
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = [f"POST {path} HTTP/{version}", "Host: 127.0.0.1", *length, *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
