"""A request to an endpoint that is answered without ASGI: what all of these have."""

from __future__ import annotations

import time
from typing import NamedTuple, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fal_serverless.backend.engine import Exchange, Pool
from fal_serverless.backend.gateway.answers import CORS, Pairs, failure, request_id
from fal_serverless.backend.gateway.ledger import Ledger
from fal_serverless.backend.gateway.protocol import Connection, Taken
from fal_serverless.backend.records import Endpoint
from fal_serverless.errors import FalError
from fal_serverless.models import ColdStart


class Calling(Protocol):
    """Who runs calls of a served function; a `Pool`, or the way to one."""

    def submit(self, exchange: Exchange) -> None: ...

    def cancel(self, exchange: Exchange) -> None: ...


class Run(NamedTuple):
    """How the revision of an endpoint is run."""

    calling: Calling | None
    """For a served function."""
    places: Pool | None
    """For a function with a server of its own."""


class Place(NamedTuple):
    """Where a call goes, for a caller who may call there."""

    is_ours: bool
    """The authorization is a key of ours, which the function must not see."""
    endpoint: Endpoint
    run: Run
    keys: int
    """The key ring's version; -1: the authorization alone does not open the endpoint."""
    until: float
    """When to look again, by the monotonic clock."""


class EndpointCall(Taken):
    """One call, told of in the endpoint's log."""

    __slots__ = ("connection", "ledger", "path", "place", "query", "request_id", "started")
    method = "POST"

    def __init__(
        self,
        ledger: Ledger,
        connection: Connection,
        place: Place,
        path: str,
        query: bytes,
        given_id: bytes | None,
        keep_alive: bool,
    ) -> None:
        """`path` is what is left for the function."""
        self.keep_alive = keep_alive
        self.response_complete = False
        self.started = time.perf_counter()
        self.ledger = ledger
        self.connection = connection
        self.place = place
        self.path = path
        self.query = query
        self.request_id = request_id(given_id)

    def fail(self, error: FalError, worker: str = "", more: Pairs = CORS) -> None:
        """Answer with one of our own errors."""
        if error.status >= 500:
            self.say(f"call failed: {error.message}", worker)
        headers, body = failure(error, self.request_id)
        lines = b"".join(b"%b: %b\r\n" % pair for pair in [*headers, *more])
        self.write(STATUS_LINE[error.status] + lines, body)
        self.done(error.status, worker)

    def write(self, head: bytes, body: bytes) -> None:
        """All of an answer at once; `head` without our last headers."""
        last = b"\r\n\r\n" if self.keep_alive else b"\r\nconnection: close\r\n\r\n"
        name, length = self.request_id.encode(), len(body)
        written = b"%bx-fal-request-id: %b\r\ncontent-length: %d%b%b"
        self.connection.transport.write(written % (head, name, length, last, body))

    def done(self, status: int, worker: str, cold: ColdStart | None = None) -> None:
        """All that will be written is written."""
        self.tell(status, worker, cold)
        self.connection.answer_complete(self)

    def tell(self, status: int, worker: str, cold: ColdStart | None = None) -> None:
        milliseconds = (time.perf_counter() - self.started) * 1000
        what = f"{self.method} {self.path}"
        self.ledger.answered(
            self.place.endpoint, self.request_id, worker, what, status, milliseconds, cold
        )

    def say(self, message: str, worker: str) -> None:
        self.ledger.say(self.place.endpoint, self.request_id, worker, message)
