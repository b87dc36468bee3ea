"""A call of a served function, from the request's head to the answer in one go."""

from __future__ import annotations

import asyncio
import traceback
from functools import lru_cache
from urllib.parse import parse_qsl

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fal_serverless.backend.engine import Exchange, ReplyStream
from fal_serverless.backend.engine.exchange import meta_after_id
from fal_serverless.backend.gateway.answers import CORS, header_value
from fal_serverless.backend.gateway.call import Calling, EndpointCall, EndpointForm, Opened
from fal_serverless.backend.gateway.ledger import CLIENT_CLOSED
from fal_serverless.backend.gateway.protocol import Connection
from fal_serverless.errors import FalError

LARGEST = 1 << 20
"""Bytes of a body that is collected before its call is queued; larger ones take the general way."""


class DirectForm(EndpointForm):
    """A POST to / of a served function."""

    __slots__ = ("alias", "calling", "meta")

    def __init__(self, opened: Opened, calling: Calling) -> None:
        super().__init__(opened)
        place, head = opened.place, opened.head
        self.calling = calling
        # Who names each of his requests never sends the same head twice.
        self.is_shared = self.given_id is None
        self.alias = place.endpoint.label if place.endpoint.is_alias else ""
        query = head.query.decode("latin-1")
        self.meta = meta_after_id(
            parse_qsl(query, keep_blank_values=True) if query else [],
            head.headers.get(b"content-type", b"").decode("latin-1"),
            head.headers.get(b"accept", b"").decode("latin-1"),
        )

    def _call(self, connection: Connection) -> DirectCall:
        return DirectCall(self, connection)


class DirectCall(EndpointCall):
    """One call."""

    __slots__ = ("_body", "_exchange", "_streaming")
    form: DirectForm

    def __init__(self, form: DirectForm, connection: Connection) -> None:
        super().__init__(form, connection)
        self._body: bytes | bytearray = b""
        self._exchange: Exchange | None = None
        self._streaming: asyncio.Task[None] | None = None

    # The request

    def on_body(self, body: bytes) -> None:
        # One read brings all of a short body.
        self._body = bytearray(self._body) + body if self._body else body

    def on_end(self) -> None:
        form, name = self.form, self.request_id
        meta = b'["%b"%b' % (name.encode(), form.meta)
        exchange = Exchange(name, form.alias, meta, bytes(self._body), self._heard)
        self._exchange = exchange
        try:
            form.calling.submit(exchange)
        except FalError as error:
            self.fail(error)
        except Exception:
            self._broken()

    def on_writable(self) -> None:
        """Nothing waits for it here: a stream does so by itself."""

    def on_gone(self) -> None:
        if self._streaming is not None:
            # Not at once: a task that is cancelled before its first step closes nothing.
            self.connection.loop.call_soon(self._streaming.cancel)
            return
        if self._exchange is not None:
            self.form.calling.cancel(self._exchange)
        self.tell(CLIENT_CLOSED, self._worker())

    # The answer

    def _heard(self, exchange: Exchange) -> None:
        try:
            if exchange.error is not None:
                self.fail(exchange.error, self._worker())
            elif exchange.stream is not None:
                self._stream(exchange, exchange.stream)
            else:
                self.write(head_of(exchange.status, exchange.content_type), exchange.content)
                self.done(exchange.status, self._worker(), exchange.cold)
        except Exception:
            self._broken()

    def _broken(self) -> None:
        """A mistake of ours, or a content type that is no header."""
        self.say(traceback.format_exc(), self._worker())
        if not self.response_complete:
            self.fail(FalError("Internal Server Error"), self._worker())

    def _worker(self) -> str:
        return self._exchange.worker_id if self._exchange is not None else ""

    # A stream

    def _stream(self, exchange: Exchange, stream: ReplyStream) -> None:
        """In a task, which uvicorn ends with its connections when it stops."""
        head = head_of(exchange.status, exchange.content_type)
        tasks = self.connection.tasks
        self._streaming = self.connection.loop.create_task(self._pass_on(exchange, stream, head))
        tasks.add(self._streaming)
        self._streaming.add_done_callback(tasks.discard)

    async def _pass_on(self, exchange: Exchange, stream: ReplyStream, head: bytes) -> None:
        status = CLIENT_CLOSED
        try:
            await self._write_all(stream, head)
            status = exchange.status
        except FalError as error:
            # Too late for an answer of ours: cutting the connection is the only honest signal.
            self.say(error.message, self._worker())
            self.connection.transport.close()
            status = exchange.status
        finally:
            await stream.aclose()
            self.done(status, self._worker(), exchange.cold)

    async def _write_all(self, stream: ReplyStream, head: bytes) -> None:
        transport, flow = self.connection.transport, self.connection.flow
        last = b"" if self.keep_alive else b"connection: close\r\n"
        written = b"%bx-fal-request-id: %b\r\ntransfer-encoding: chunked\r\n%b\r\n"
        transport.write(written % (head, self.request_id.encode(), last))
        async for piece in stream:
            if flow.write_paused:
                await flow.drain()
            if piece:
                transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        transport.write(b"0\r\n\r\n")


@lru_cache(1000)
def head_of(status: int, content_type: str) -> bytes:
    """Status line and the headers that all such answers have. Raises ValueError."""
    kind = b"content-type: %b\r\n" % header_value(content_type)
    return STATUS_LINE[status] + kind + b"".join(b"%b: %b\r\n" % pair for pair in CORS)
