"""Calls of served functions, from the request's head to the answer in one go.

Only what most calls are is taken: POST of a body of known, moderate length to an endpoint that the
caller may call and whose revision is known to the engine. Whatever is amiss with a request, the
general way (`app.Gateway`) finds and tells.
"""

from __future__ import annotations

import asyncio
import re
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fal_serverless import endpoint as names
from fal_serverless.backend import keys
from fal_serverless.backend.engine import Exchange, LocalEngine, Pool, ReplyStream, Spec
from fal_serverless.backend.engine.exchange import encode_meta
from fal_serverless.backend.gateway.answers import CORS, failure, request_id
from fal_serverless.backend.gateway.ledger import CLIENT_CLOSED, Ledger
from fal_serverless.backend.gateway.protocol import Connection, Taken
from fal_serverless.backend.keys import Credential, KeyRing
from fal_serverless.backend.records import Endpoint
from fal_serverless.backend.registry import Registry
from fal_serverless.errors import FalError

LARGEST = 1 << 20
"""Bytes of a body that is collected before its call is queued; larger ones take the general way."""
KNOWN_HOSTS = 10_000
"""Host headers remembered with what they name."""

_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What must not be in the value of a header (RFC 9110, 5.5)."""
KNOWN_FOR = 0.5
"""Seconds that a connection's place is remembered, where nothing else says that it changed."""
UNKNOWN = -1
"""In place of a key ring's version: the authorization alone does not open the endpoint."""

_NEVER = frozenset((b"transfer-encoding", b"expect", b"upgrade"))
"""Headers that are seen to on the general way."""
_GENERAL = _NEVER | {b"connection"}
"""Headers that may say so. HTTP/1.0 keeps a connection only when it is asked to."""


class Place(NamedTuple):
    """Where a call goes, for a caller who may call there."""

    named: tuple[bytes, bytes, bytes | None]
    """Host, path and authorization that were looked at."""
    endpoint: Endpoint
    path: str
    pool: Pool
    keys: int
    """The key ring's version."""
    until: float
    """When to look again, by the monotonic clock."""


class Calls:
    """The door for calls. `spec` tells what the engine runs for a revision, if it is known."""

    def __init__(
        self,
        domain: str,
        limit: int,
        registry: Registry,
        key_ring: KeyRing,
        engine: LocalEngine,
        spec: Callable[[str], Spec | None],
        ledger: Ledger,
    ) -> None:
        """`limit`: bytes of a body."""
        self._domain = domain
        self._limit = min(limit, LARGEST)
        self._registry = registry
        self._keys = key_ring
        self._engine = engine
        self._spec = spec
        self._hosts: dict[bytes, tuple[str, str] | None] = {}
        self.ledger = ledger

    def take(self, connection: Connection) -> DirectCall | None:
        """The call, when this is one that can be answered in one go."""
        parser, listed = connection.parser, connection.headers
        headers = dict(listed)
        if parser.get_method() != b"POST" or len(headers) != len(listed):
            return None
        keep_alive = parser.should_keep_alive()
        if not _GENERAL.isdisjoint(headers) and not _is_plain(headers, parser):
            return None
        if connection.flow.write_paused or int(headers.get(b"content-length", b"0")) > self._limit:
            return None
        url, query = connection.url, b""
        if b"?" in url:
            url, _, query = url.partition(b"?")
        named = (headers.get(b"host", b""), url, headers.get(b"authorization"))
        place: Place | None = connection.memo
        if place is None or place.named != named or not self._holds(place):
            place = connection.memo = self._find(named)
        if place is None:
            return None
        if b"x-fal-key-id" in headers or b"fal_key_" in query or place.keys < 0:
            credential, _, query = keys.find(listed, query)
            if not self._may(credential, place.endpoint):
                return None
        return DirectCall(self, connection, headers, place, query, keep_alive)

    def _holds(self, place: Place) -> bool:
        """Whether what was found a moment ago is still so."""
        endpoint = place.endpoint
        return (
            place.keys == self._keys.version
            and self._registry.find(endpoint.user, endpoint.label) is endpoint
            and time.monotonic() < place.until
        )

    def _find(self, named: tuple[bytes, bytes, bytes | None]) -> Place | None:
        host, url, authorization = named
        label, path = self._label(host), url.decode("latin-1")
        if label is None:
            target = names.parse_path(path)
            if target is None:
                return None
            label, path = (target.user, target.label), target.path
        endpoint = self._registry.find(*label)
        if endpoint is None or path not in ("", "/"):
            return None
        spec = self._spec(endpoint.revision)
        if spec is None or spec.exposed_port is not None:
            return None
        pool = self._engine.pool(spec)
        if pool is None:
            return None
        version = self._keys.version
        credential = None
        if authorization is not None:
            credential = keys.parse_authorization(authorization.decode("latin-1"))
        known = version if self._may(credential, endpoint) else UNKNOWN
        return Place(named, endpoint, path, pool, known, time.monotonic() + KNOWN_FOR)

    def _label(self, host: bytes) -> tuple[str, str] | None:
        """User and label that a Host header names; None when it names no endpoint."""
        if host not in self._hosts:
            if len(self._hosts) >= KNOWN_HOSTS:
                self._hosts.clear()
            found = names.parse_host(host.decode("latin-1"), self._domain)
            self._hosts[host] = (found.user, found.label) if found else None
        return self._hosts[host]

    def _may(self, credential: Credential | None, endpoint: Endpoint) -> bool:
        """Whether the caller may; why not is told on the general way."""
        try:
            self._keys.check_endpoint(credential, endpoint.auth, endpoint.user)
        except FalError:
            return False
        return True


def _is_plain(headers: dict[bytes, bytes], parser: Any) -> bool:
    """Whether the connection's options are none but those of every HTTP/1.1 client."""
    return _NEVER.isdisjoint(headers) and parser.get_http_version() == "1.1"


class DirectCall(Taken):
    """One call."""

    __slots__ = (
        "_accept",
        "_body",
        "_calls",
        "_connection",
        "_content_type",
        "_exchange",
        "_place",
        "_query",
        "_request_id",
        "_started",
        "_streaming",
    )

    def __init__(
        self,
        calls: Calls,
        connection: Connection,
        headers: dict[bytes, bytes],
        place: Place,
        query: bytes,
        keep_alive: bool,
    ) -> None:
        self.keep_alive = keep_alive
        self.response_complete = False
        self._started = time.perf_counter()
        self._calls = calls
        self._connection = connection
        self._place = place
        self._query = query
        self._content_type = headers.get(b"content-type", b"").decode("latin-1")
        self._accept = headers.get(b"accept", b"").decode("latin-1")
        self._request_id = request_id(headers.get(b"x-fal-request-id"))
        self._body: bytes | bytearray = b""
        self._exchange: Exchange | None = None
        self._streaming: asyncio.Task[None] | None = None

    # The request

    def on_body(self, body: bytes) -> None:
        # One read brings all of a short body.
        self._body = bytearray(self._body) + body if self._body else body

    def on_end(self) -> None:
        place, query = self._place, self._query
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else []
        meta = encode_meta(self._request_id, pairs, self._content_type, self._accept)
        alias = place.endpoint.label if place.endpoint.is_alias else ""
        self._exchange = Exchange(self._request_id, alias, meta, bytes(self._body), self._heard)
        try:
            place.pool.submit(self._exchange)
        except FalError as error:
            self._fail(error)
        except Exception:
            self._broken()

    def on_writable(self) -> None:
        """Nothing waits for it here: a stream does so by itself."""

    def on_gone(self) -> None:
        if self._streaming is not None:
            self._streaming.cancel()
            return
        if self._exchange is not None:
            self._place.pool.cancel(self._exchange)
        self._told(CLIENT_CLOSED)

    # The answer

    def _heard(self, exchange: Exchange) -> None:
        try:
            if exchange.error is not None:
                self._fail(exchange.error)
            elif exchange.stream is not None:
                self._stream(exchange, exchange.stream)
            else:
                head = head_of(exchange.status, exchange.content_type)
                self._answer(exchange.status, head, exchange.content)
        except Exception:
            self._broken()

    def _fail(self, error: FalError) -> None:
        if error.status >= 500:
            self._say(f"call failed: {error.message}")
        headers, body = failure(error, self._request_id)
        lines = b"".join(b"%b: %b\r\n" % pair for pair in [*headers, *CORS])
        self._answer(error.status, STATUS_LINE[error.status] + lines, body)

    def _broken(self) -> None:
        """A mistake of ours, or a content type that is no header."""
        self._say(traceback.format_exc())
        if not self.response_complete:
            self._fail(FalError("Internal Server Error"))

    def _answer(self, status: int, head: bytes, body: bytes) -> None:
        """All at once: what uvicorn writes in two."""
        name, length = self._request_id.encode(), len(body)
        last = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        written = b"%bx-fal-request-id: %b\r\ncontent-length: %d%b%b"
        self._connection.transport.write(written % (head, name, length, last, body))
        self._done(status)

    def _done(self, status: int) -> None:
        self._told(status)
        self._connection.answer_complete(self)

    def _told(self, status: int) -> None:
        exchange, place = self._exchange, self._place
        worker = exchange.worker if exchange is not None else None
        self._calls.ledger.answered(
            place.endpoint,
            self._request_id,
            worker.id if worker is not None else "",
            f"POST {place.path}",
            status,
            (time.perf_counter() - self._started) * 1000,
            exchange.cold if exchange is not None else None,
        )

    def _say(self, message: str) -> None:
        worker = self._exchange.worker if self._exchange is not None else None
        name = worker.id if worker is not None else ""
        self._calls.ledger.say(self._place.endpoint, self._request_id, name, message)

    # A stream

    def _stream(self, exchange: Exchange, stream: ReplyStream) -> None:
        """In a task, which uvicorn ends with its connections when it stops."""
        head = head_of(exchange.status, exchange.content_type)
        tasks = self._connection.tasks
        self._streaming = self._connection.loop.create_task(self._pass_on(exchange, stream, head))
        tasks.add(self._streaming)
        self._streaming.add_done_callback(tasks.discard)

    async def _pass_on(self, exchange: Exchange, stream: ReplyStream, head: bytes) -> None:
        status = CLIENT_CLOSED
        try:
            await self._write_all(stream, head)
            status = exchange.status
        except FalError as error:
            # Too late for an answer of ours: cutting the connection is the only honest signal.
            self._say(error.message)
            self._connection.transport.close()
            status = exchange.status
        finally:
            await stream.aclose()
            self._done(status)

    async def _write_all(self, stream: ReplyStream, head: bytes) -> None:
        transport, flow = self._connection.transport, self._connection.flow
        last = b"" if self.keep_alive else b"connection: close\r\n"
        written = b"%bx-fal-request-id: %b\r\ntransfer-encoding: chunked\r\n%b\r\n"
        transport.write(written % (head, self._request_id.encode(), last))
        async for piece in stream:
            if flow.write_paused:
                await flow.drain()
            if piece:
                transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        transport.write(b"0\r\n\r\n")


@lru_cache(1000)
def head_of(status: int, content_type: str) -> bytes:
    """Status line and the headers that all such answers have. Raises ValueError."""
    if _BAD_VALUE.search(content_type):
        raise ValueError(f"{content_type!r} cannot be a content type")
    kind = b"content-type: %b\r\n" % content_type.encode("latin-1")
    return STATUS_LINE[status] + kind + b"".join(b"%b: %b\r\n" % pair for pair in CORS)
