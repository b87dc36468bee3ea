"""The backend's side of further gateways: they are started, told of changes, and answered.

`spread` returns when no gateway can answer by what was before. One that does not say in time that
it has heard, of a change or of none, is ended and started again: it might open what was closed, and
callers wait at its door.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import msgspec

from fal_serverless.backend.credentials import KeyTable, Known
from fal_serverless.backend.engine import Exchange, Pool, ReplyStream
from fal_serverless.backend.engine.frames import META, Link
from fal_serverless.backend.gateway.ledger import Count
from fal_serverless.backend.gateway.protocol import Connection
from fal_serverless.backend.gateways import wire
from fal_serverless.backend.logs.rows import LogRow
from fal_serverless.backend.records import Endpoint
from fal_serverless.config import Settings
from fal_serverless.errors import FalError, to_json

logger = logging.getLogger("fal_serverless.backend")

MODULE = "fal_serverless.backend.gateways"
SETTINGS = (
    "domain",
    "max_header_size",
    "head_timeout",
    "max_served_body",
    "max_exposed_body",
    "request_timeout",
    "drain_timeout",
    "key_rate",
    "trusted_proxies",
)
"""What a gateway is told of them: anybody can read what a program is started with."""
SEEN_SECONDS = 5.0
"""How long a gateway may take to say that it knows of a change."""
BEAT = 2.0
"""Seconds between two times that one is asked whether it hears."""
END_SECONDS = 5.0
"""How long one may take to end after the drain time."""
PAUSES = (0.0, 0.5, 2.0, 10.0)
"""Seconds before each new start, the last for all that follow; one that got ready begins anew."""


@dataclass(frozen=True)
class Rooms:
    """What further gateways are given of the backend."""

    settings: Settings
    endpoints: Callable[[], Mapping[tuple[str, str], Endpoint]]
    is_served: Callable[[Endpoint], bool]
    keys: KeyTable
    pool: Callable[[str], Pool | None]
    """Who runs a revision, if the engine has it."""
    make_pool: Callable[[str, str], Awaitable[Pool]]
    """The same, by user and revision, when it has to be made. Raises FalError."""
    put: Callable[[LogRow], object]
    count: Count
    adopt: Callable[[bytes], Connection]
    """Makes the protocol of a connection of which some bytes were read elsewhere."""


class Gateways:
    """All further gateways."""

    def __init__(self, rooms: Rooms, sockets: Sequence[Sequence[socket.socket]]) -> None:
        """`sockets`: what each listens on. They stay open here: who waits there while a gateway
        is started again is answered by the next one."""
        self._rooms = rooms
        self._sockets = sockets
        self._links: set[_Gateway] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False

    async def start(self) -> None:
        """Returns when all answer."""
        ready = [asyncio.Event() for _ in self._sockets]
        self._tasks = [
            asyncio.create_task(self._live(sockets, event))
            for sockets, event in zip(self._sockets, ready, strict=True)
        ]
        await asyncio.gather(*(event.wait() for event in ready))

    async def spread(self) -> None:
        """When every gateway knows what is so by now."""
        await asyncio.gather(*(self._tell(gateway) for gateway in tuple(self._links)))

    def drain(self) -> None:
        """They take no more connections, finish what they have, and end."""
        self._closing = True
        for gateway in self._links:
            gateway.link.send(wire.DRAIN)
        # Nobody shall come to wait where nobody answers any more.
        for sockets in self._sockets:
            for sock in sockets:
                sock.close()

    async def close(self) -> None:
        """When all have ended."""
        self.drain()
        limit = max(1.0, self._rooms.settings.drain_timeout) + END_SECONDS
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=limit)
        for gateway in self._links:
            gateway.kill()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _tell(self, gateway: _Gateway, *, anyhow: bool = False) -> None:
        try:
            async with asyncio.timeout(SEEN_SECONDS):
                await gateway.learn(anyhow)
        except TimeoutError:
            logger.warning("a gateway (pid %s) does not hear of changes; it goes", gateway.pid)
            gateway.kill()
            await gateway.gone.wait()

    async def _beat(self, gateway: _Gateway) -> None:
        while not gateway.gone.is_set():
            await asyncio.sleep(BEAT)
            await self._tell(gateway, anyhow=True)

    async def _live(self, sockets: Sequence[socket.socket], ready: asyncio.Event) -> None:
        failures = 0
        while not self._closing:
            gateway = _Gateway(self._rooms)
            try:
                process = await gateway.start(sockets)
            except OSError as exc:
                # No descriptor, process or memory is left; there may be later.
                said = f"cannot be started ({exc})"
            else:
                if await self._begin(gateway):
                    ready.set()
                    failures = 0
                beating = asyncio.create_task(self._beat(gateway))
                await process.wait()
                beating.cancel()
                said = f"ended ({process.returncode})"
            self._links.discard(gateway)
            gateway.close()
            if not self._closing:
                logger.warning("a gateway %s; starting it again", said)
                await asyncio.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1
        ready.set()

    async def _begin(self, gateway: _Gateway) -> bool:
        """Whether it is there, and knows what is so by now."""
        self._links.add(gateway)
        await self._tell(gateway)
        if self._closing:
            # It was not among those who were told to.
            gateway.link.send(wire.DRAIN)
        return not gateway.gone.is_set()


class _Call(NamedTuple):
    exchange: Exchange
    pool: Pool


class _Gateway:
    """One of them, as long as it lives."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._loop = asyncio.get_running_loop()
        self.link = Link(self._received, self._lost)
        self.gone = asyncio.Event()
        self._process: Process | None = None
        self._connections: socket.socket | None = None
        self._known_endpoints: dict[tuple[str, str], Endpoint] = {}
        self._known_keys: dict[str, Known] = {}
        self._version = 0
        self._seen = 0
        self._news = asyncio.Event()
        self._calls: dict[int, _Call] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._adopting: set[asyncio.Task[None]] = set()
        self._left: dict[int, int] = {}
        """Of streams: bytes that may still be sent."""
        self._credited = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self, sockets: Sequence[socket.socket]) -> Process:
        ours, theirs = socket.socketpair()
        self._connections, given = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        passed = [theirs.fileno(), given.fileno(), *(sock.fileno() for sock in sockets)]
        orders = {
            "link": passed[0],
            "connections": passed[1],
            "sockets": passed[2:],
            "settings": {name: getattr(self._rooms.settings, name) for name in SETTINGS},
        }
        try:
            with theirs, given:
                self._process = await create_subprocess_exec(
                    # -P: nothing in the working directory comes before our own modules.
                    *(sys.executable, "-P", "-m", MODULE, json.dumps(orders)),
                    stdin=DEVNULL,
                    stdout=DEVNULL,
                    pass_fds=passed,
                    # A Ctrl-C in the backend's terminal is not for it.
                    start_new_session=True,
                )
            await self._loop.create_unix_connection(lambda: self.link, sock=ours)
        except BaseException:
            ours.close()
            raise
        receiver = wire.Receiver(self._connections)
        self._loop.add_reader(self._connections.fileno(), self._adopt, receiver)
        return self._process

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """When its process has ended: nobody waits for its calls any more."""
        self._lost()
        self.link.close()

    # Changes

    async def learn(self, anyhow: bool) -> None:
        """When it knows what is so by now, or is gone; `anyhow`: it has to answer in any case."""
        change = self._change()
        if change is None and anyhow:
            change = wire.Table([], [], [], [])
        if change is not None:
            self._version += 1
            self.link.send(wire.TABLE, self._version, _encode(change))
        version = self._version
        while self._seen < version and not self.gone.is_set():
            self._news.clear()
            await self._news.wait()

    def _change(self) -> wire.Table | None:
        """What it has not been told; None: nothing."""
        endpoints, keys = dict(self._rooms.endpoints()), self._rooms.keys.known()
        known, known_keys = self._known_endpoints, self._known_keys
        change = wire.Table(
            [
                (endpoint, self._rooms.is_served(endpoint))
                for label, endpoint in endpoints.items()
                if known.get(label) is not endpoint
            ],
            [label for label in known if label not in endpoints],
            [key for name, key in keys.items() if known_keys.get(name) is not key],
            [name for name in known_keys if name not in keys],
        )
        self._known_endpoints, self._known_keys = endpoints, keys
        is_first = self._version == 0
        changed = change.endpoints or change.lost_endpoints or change.keys or change.lost_keys
        return change if changed or is_first else None

    # What it says

    def _received(self, kind: int, number: int, payload: bytes) -> None:
        if kind == wire.CALL:
            self._begin(number, _call(payload))
        elif kind == wire.CANCEL:
            self._cancel(number)
        elif kind == wire.CREDIT and number in self._left:
            self._left[number] += META.unpack(payload)[0]
            self._credited.set()
        elif kind == wire.ROWS:
            told = _rows(payload)
            for row in told.rows:
                self._rooms.put(row)
            for call in told.counts:
                self._rooms.count(*call)
        elif kind == wire.SEEN:
            self._seen = number
            self._news.set()

    def _lost(self) -> None:
        self.gone.set()
        self._news.set()
        for number in {*self._calls, *self._tasks}:
            self._cancel(number)
        if self._connections is not None:
            self._loop.remove_reader(self._connections.fileno())
            self._connections.close()
            self._connections = None

    # Calls

    def _begin(self, number: int, call: wire.Call) -> None:
        pool = self._rooms.pool(call.revision)
        if pool is None:
            self._run(number, self._make(number, call))
        else:
            self._submit(number, call, pool)

    async def _make(self, number: int, call: wire.Call) -> None:
        try:
            pool = await self._rooms.make_pool(call.user, call.revision)
        except FalError as error:
            self._fail(number, error)
        else:
            self._submit(number, call, pool)

    def _submit(self, number: int, call: wire.Call, pool: Pool) -> None:
        heard = partial(self._heard, number)
        exchange = Exchange(call.request_id, call.alias, call.meta, call.body, heard)
        self._calls[number] = _Call(exchange, pool)
        try:
            pool.submit(exchange)
        except FalError as error:
            self._fail(number, error)

    def _cancel(self, number: int) -> None:
        task, call = self._tasks.get(number), self._calls.pop(number, None)
        if call is not None and call.exchange.stream is None:
            call.pool.cancel(call.exchange)
        elif task is not None and call is not None:
            # Not at once: a task that is cancelled before its first step closes no stream.
            self._loop.call_soon(task.cancel)
        elif task is not None:
            task.cancel()

    def _fail(self, number: int, error: FalError) -> None:
        self._calls.pop(number, None)
        self.link.send(wire.FAILED, number, json.dumps(to_json(error)).encode())

    def _heard(self, number: int, exchange: Exchange) -> None:
        if exchange.error is not None:
            self._fail(number, exchange.error)
            return
        answer = wire.Answer(
            exchange.status,
            exchange.content_type,
            exchange.worker_id,
            exchange.queued,
            exchange.cold,
            exchange.content,
        )
        if exchange.stream is None:
            del self._calls[number]
            self.link.send(wire.ANSWER, number, _encode(answer))
        else:
            self.link.send(wire.STREAM, number, _encode(answer))
            self._run(number, self._pass_on(number, exchange.stream))

    async def _pass_on(self, number: int, stream: ReplyStream) -> None:
        self._left[number] = wire.WINDOW
        try:
            async for piece in stream:
                while self._left[number] <= 0:
                    self._credited.clear()
                    await self._credited.wait()
                self._left[number] -= len(piece)
                self.link.send(wire.CHUNK, number, piece)
        except FalError as error:
            self._fail(number, error)
        else:
            self.link.send(wire.END, number)
        finally:
            del self._left[number]
            self._calls.pop(number, None)
            await stream.aclose()

    def _run(self, number: int, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    # Connections

    def _adopt(self, receiver: wire.Receiver) -> None:
        try:
            while (given := receiver.next()) is not None:
                connection, read = given
                task = self._loop.create_task(self._go_on(connection, read))
                self._adopting.add(task)
                task.add_done_callback(self._adopting.discard)
        except (EOFError, OSError):
            self._lost()

    async def _go_on(self, connection: int, read: bytes) -> None:
        """Answer what was read of it elsewhere, and all that follows."""
        sock = socket.socket(fileno=connection)
        sock.setblocking(False)
        with suppress(OSError):
            await self._loop.connect_accepted_socket(partial(self._rooms.adopt, read), sock)


_encode = msgspec.msgpack.Encoder().encode
_call = msgspec.msgpack.Decoder(wire.Call).decode
_rows = msgspec.msgpack.Decoder(wire.Rows).decode
