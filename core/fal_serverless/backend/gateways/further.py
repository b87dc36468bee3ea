"""A further gateway: `python -m fal_serverless.backend.gateways ORDERS`.

ORDERS, in JSON: the descriptors of its link to the backend, of the socket that connections are
given over, and of the sockets to listen on; and the settings that it needs. It ends when its
backend does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import uvloop

from fal_serverless.backend.credentials import KeyTable
from fal_serverless.backend.engine import Exchange, ReplyStream
from fal_serverless.backend.engine.frames import Link
from fal_serverless.backend.gateway.call import Run
from fal_serverless.backend.gateway.door import Calls
from fal_serverless.backend.gateway.ledger import Ledger
from fal_serverless.backend.gateway.protocol import Connection, Known, connection
from fal_serverless.backend.gateway.upstream import Lots
from fal_serverless.backend.gateways import wire
from fal_serverless.backend.logs.rows import LogRow
from fal_serverless.backend.network import Proxies
from fal_serverless.backend.rates import Rates
from fal_serverless.backend.records import Endpoint
from fal_serverless.backend.web import Server, uvicorn_config
from fal_serverless.config import Settings
from fal_serverless.errors import WorkerFailed, from_json

BATCH_SECONDS = 0.02
"""How long a line may wait for its batch."""
FULL = 500
"""Lines that make a batch at once."""
FLUSH_WAIT = 0.005
"""Seconds between two looks at whether all of an answer has left."""


class Further:
    """The process."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self._settings = replace(Settings(), **orders["settings"])
        self._link = Link(self._received, lambda: os._exit(1))
        self._connections = socket.socket(fileno=orders["connections"])
        self._sockets = [socket.socket(fileno=each) for each in orders["sockets"]]
        self._endpoints: dict[tuple[str, str], tuple[Endpoint, bool]] = {}
        self.version = 0
        """Another one whenever endpoints are not as they were."""
        self._keys = KeyTable()
        self._lines = Lines(self._link)
        self.calls = Relay(self._link)
        self._known = asyncio.Event()
        self._draining = asyncio.Event()

    async def run(self, link: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_unix_connection(lambda: self._link, sock=link)
        await self._known.wait()
        config = uvicorn_config(_nobody, self._made(), self._settings)
        server = Server(config)
        draining = asyncio.create_task(self._draining.wait())
        draining.add_done_callback(lambda _: setattr(server, "should_exit", True))
        gc.freeze()
        await server.serve(self._sockets)
        self._lines.flush()
        await asyncio.sleep(0)
        self._link.finish()

    def _made(self) -> type[Connection]:
        ledger = Ledger(self._lines.put, self._lines.count)
        lots, rates = Lots(self._settings.request_timeout), Rates(self._settings.key_rate)
        proxies = Proxies(self._settings.trusted_proxies)
        door = Calls(self._settings, self, self._keys, self._run, ledger, lots, rates, proxies)
        return connection(
            self._settings.max_header_size,
            door,
            self._settings.head_timeout,
            kind=Passing,
            give_away=staticmethod(self._give_away),
        )

    def find(self, user: str, label: str) -> Endpoint | None:
        """The endpoint of a call, when there is one."""
        found = self._endpoints.get((user, label))
        return found[0] if found else None

    def _run(self, endpoint: Endpoint) -> Run | None:
        _, is_served = self._endpoints[endpoint.user, endpoint.label]
        return Run(RelayOf(self.calls, endpoint), None) if is_served else None

    def _give_away(self, connection: int, read: bytes) -> None:
        wire.give(self._connections, connection, read)

    def _received(self, kind: int, number: int, payload: bytes) -> None:
        if kind == wire.TABLE:
            self._learn(_table(payload))
            self._link.send(wire.SEEN, number)
            self._known.set()
        elif kind == wire.DRAIN:
            self._draining.set()
        else:
            self.calls.received(kind, number, payload)

    def _learn(self, change: wire.Table) -> None:
        for endpoint, is_served in change.endpoints:
            self._endpoints[endpoint.user, endpoint.label] = (endpoint, is_served)
        for user, label in change.lost_endpoints:
            self._endpoints.pop((user, label), None)
        self.version += 1
        for known in change.keys:
            self._keys.put(known)
        for key_id in change.lost_keys:
            self._keys.drop(key_id)


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    """Nothing is answered the general way here."""


class Passing(Connection):
    """A connection that is given to the backend as soon as it brings what is no plain call."""

    give_away: Callable[[int, bytes], None]
    """Set by whoever makes the server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept = b""
        """All that came since the beginning of the first request that is not complete."""
        self._is_leaving = False

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            # Nothing of it is for the backend.
            super().data_received(data)
            return
        self._kept = self._kept + data if self._kept else data
        if self._is_leaving:
            return
        super().data_received(data)
        self._leave_if_wanted()

    def _take_known(self, known: Known, data: bytes) -> bool:
        taken = super()._take_known(known, data)
        if taken:
            self._kept = b""
        return taken

    def on_message_complete(self) -> None:
        if not self._refused and not self._lingers:
            self._kept = _after_first(self._kept, self.headers)
        super().on_message_complete()

    def _go_general(self) -> None:
        # Nothing is read here from now on, whatever more of it is parsed.
        self._is_leaving = self._refused = True

    def _upgrade(self) -> None:
        """The backend sees to it."""

    def _malformed(self) -> None:
        if not self._is_leaving:
            super()._malformed()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._leave_if_wanted()

    def _leave_if_wanted(self) -> None:
        if self._is_leaving:
            self._leave()

    def _leave(self) -> None:
        """When the answer before is on its way: nothing of it must be lost with our end."""
        cycle, transport = self.cycle, self.transport
        if transport.is_closing() or (cycle is not None and not cycle.response_complete):
            return
        self.flow.pause_reading()
        if transport.get_write_buffer_size():
            self.loop.call_later(FLUSH_WAIT, self._leave)
            return
        self._busy = True
        connection = os.dup(transport.get_extra_info("socket").fileno())
        try:
            self.give_away(connection, self._kept)
        finally:
            os.close(connection)
            self._kept = b""
            transport.abort()


def _after_first(kept: bytes, headers: list[tuple[bytes, bytes]]) -> bytes:
    """What comes behind a request that was taken: it has a length and no other framing."""
    start = len(kept) - len(kept.lstrip(b"\r\n"))
    length = next((int(value) for name, value in headers if name == b"content-length"), 0)
    return kept[kept.index(b"\r\n\r\n", start) + 4 + length :]


class Relay:
    """Calls that the backend has."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._last = 0
        self._running: dict[int, Exchange] = {}

    def begin(self, call: wire.Call, exchange: Exchange) -> None:
        self._last = exchange.number = self._last % 0xFFFFFFFF + 1
        self._running[exchange.number] = exchange
        self.link.send(wire.CALL, exchange.number, _encode(call))

    def cancel(self, exchange: Exchange) -> None:
        exchange.cancelled = True
        if self._running.pop(exchange.number, None) is not None:
            self.link.send(wire.CANCEL, exchange.number)

    def received(self, kind: int, number: int, payload: bytes) -> None:
        exchange = self._running.get(number)
        if exchange is None:
            return
        stream = exchange.stream
        if kind in (wire.ANSWER, wire.STREAM):
            self._answered(exchange, _answer(payload), is_stream=kind == wire.STREAM)
        elif kind == wire.CHUNK and stream is not None:
            stream.feed(payload)
        elif kind == wire.END and stream is not None:
            del self._running[number]
            stream.end()
        elif kind == wire.FAILED:
            del self._running[number]
            error = from_json(json.loads(payload))
            if stream is not None:
                stream.break_off(WorkerFailed(error.message))
            else:
                exchange.fail(error)

    def _answered(self, exchange: Exchange, answer: wire.Answer, *, is_stream: bool) -> None:
        exchange.status, exchange.content_type = answer.status, answer.content_type
        exchange.worker_id, exchange.queued, exchange.cold = (
            answer.worker,
            answer.queued,
            answer.cold,
        )
        if is_stream:
            exchange.stream = RelayStream(self.link, exchange.number)
        else:
            exchange.content = answer.content
            del self._running[exchange.number]
        exchange.heard(exchange)


class RelayStream(ReplyStream):
    """The pieces of an answer that come by way of the backend."""

    credit, cancelled = wire.CREDIT, wire.CANCEL


@dataclass(frozen=True, slots=True)
class RelayOf:
    """The way to who runs the calls of one endpoint."""

    _relay: Relay
    _endpoint: Endpoint

    def submit(self, exchange: Exchange) -> None:
        to = self._endpoint
        self._relay.begin(
            wire.Call(
                to.user,
                to.revision,
                exchange.alias,
                exchange.request_id,
                exchange.meta,
                exchange.body,
            ),
            exchange,
        )

    def cancel(self, exchange: Exchange) -> None:
        self._relay.cancel(exchange)


class Lines:
    """What is told of calls, in batches."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._rows: list[LogRow] = []
        self._counts: list[wire.Counted] = []
        self._timer: asyncio.TimerHandle | None = None

    def put(self, row: LogRow) -> None:
        self._rows.append(row)
        if self._timer is None:
            self._timer = self._loop.call_later(BATCH_SECONDS, self.flush)
        elif len(self._rows) >= FULL:
            self.flush()

    def count(self, *call: *wire.Counted) -> None:
        self._counts.append(call)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._rows or self._counts:
            rows, self._rows = self._rows, []
            counts, self._counts = self._counts, []
            self._link.send(wire.ROWS, 0, _encode(wire.Rows(rows, counts)))


_encode = msgspec.msgpack.Encoder().encode
_table = msgspec.msgpack.Decoder(wire.Table).decode
_answer = msgspec.msgpack.Decoder(wire.Answer).decode


def main(arguments: list[str]) -> None:
    orders = json.loads(arguments[0])
    link = socket.socket(fileno=orders["link"])

    async def run() -> None:
        await Further(orders).run(link)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
