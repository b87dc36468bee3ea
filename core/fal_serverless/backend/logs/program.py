"""The store's process as the backend has it: started, spoken to, started again when it ends.

What is said and asked is not known here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from fal_serverless.backend.logs import wire

logger = logging.getLogger("fal_serverless.backend")

MODULE = "fal_serverless.backend.logs"
END_SECONDS = 10.0
"""How long a process may take to end by itself."""
PAUSES = (0.0, 0.1, 0.5, 2.0)
"""Seconds before each new start, the last for all that follow; a frame received begins anew."""


class Program(asyncio.Protocol):
    """One process at a time. `begun` says what a new one is told first."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        begun: Callable[[], list[bytes]],
        received: Callable[[int, int, bytes], None],
    ) -> None:
        self._arguments = arguments
        self._begun = begun
        self._received = received
        self._transport: asyncio.Transport | None = None
        self._unsent: deque[bytes] = deque()
        self._writable = False
        self._buffer = bytearray()
        self._lost = asyncio.Event()
        self._closing = False
        self._failures = 0
        self._living = asyncio.create_task(self._live())

    def send(self, frame: bytes) -> None:
        """In order; kept while there is no process or it does not read."""
        if self._transport is None:
            return
        if self._writable and not self._unsent:
            self._transport.write(frame)
        else:
            self._unsent.append(frame)

    async def close(self) -> None:
        """The process writes what it has, and is gone."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()
        await self._living

    async def _live(self) -> None:
        while not self._closing:
            said = await self._one()
            if not self._closing:
                pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
                self._failures += 1
                logger.warning("the log store %s; starting it again", said)
                await asyncio.sleep(pause)

    async def _one(self) -> str:
        """From its start to its end; what became of it."""
        try:
            process = await self._start()
        except OSError as exc:
            # No descriptor, process or memory is left; there may be later.
            return f"cannot be started ({exc})"
        await self._lost.wait()
        await _end(process)
        return f"ended ({process.returncode})"

    async def _start(self) -> Process:
        ours, theirs = socket.socketpair()
        self._lost.clear()
        try:
            with theirs:
                process = await create_subprocess_exec(
                    # -P: nothing in the working directory comes before our own modules.
                    *(sys.executable, "-P", "-m", MODULE, *self._arguments, str(theirs.fileno())),
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    # A Ctrl-C in the backend's terminal is not for it.
                    start_new_session=True,
                )
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            raise
        return process

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._buffer.clear()
        self._unsent = deque(self._begun())
        self.resume_writing()
        if self._closing:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._failures = 0
        self._buffer += data
        for kind, number, payload in wire.frames(self._buffer):
            self._received(kind, number, payload)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._unsent.clear()
        self._lost.set()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        while self._writable and self._unsent and self._transport is not None:
            self._transport.write(self._unsent.popleft())


async def _end(process: Process) -> None:
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
