"""A way to a backend that is cut again and again, for tests of what survives that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Cutter:
    """A TCP proxy that cuts each of its first connections after a number of bytes of the answer."""

    def __init__(self, port: int, cuts: int, most: int, seed: int) -> None:
        """`port` is the backend's; a cut comes within `most` bytes, wherever that is."""
        self.cuts = 0
        """So many there were."""
        self.url = ""
        self._port = port
        self._planned = cuts
        self._most = most
        self._random = random.Random(seed)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Cutter]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        asking = asyncio.create_task(_copy(reader, back))
        cuts = self.cuts < self._planned
        left = self._random.randint(1, self._most) if cuts else 2**62
        try:
            while left and (chunk := await there.read(min(left, 65536))):
                writer.write(chunk)
                await writer.drain()
                left -= len(chunk)
            self.cuts += cuts and not left
        except (ConnectionError, asyncio.CancelledError):
            # The latter when the test is over; nobody waits for this task.
            pass
        finally:
            asking.cancel()
            for end in (writer, back):
                end.transport.abort() if self._random.random() < 0.5 else end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
