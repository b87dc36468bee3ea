"""A request to an endpoint that is answered without ASGI: what all of these have."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from fal_serverless.backend.engine import Exchange, Pool
from fal_serverless.backend.gateway.answers import CORS, Pairs, failure, request_id
from fal_serverless.backend.gateway.ledger import Ledger
from fal_serverless.backend.gateway.protocol import Connection, Taken
from fal_serverless.backend.rates import Rates
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


@dataclass(slots=True)
class Place:
    """Where a call goes, for a caller who may call there."""

    is_ours: bool
    """The authorization is a key of ours, which the function must not see."""
    endpoint: Endpoint
    run: Run
    version: int
    """The endpoints', when this was the one that the label names."""
    keys: int
    """The key ring's version; -1: the authorization alone does not open the endpoint."""
    until: float
    """When to look at `run` again, by the monotonic clock."""
    key_id: str = ""
    """The caller's; '': nobody asked for one."""


class Caller(NamedTuple):
    """Who was let in."""

    key_id: str
    """'': nobody asked for one."""
    keys: int
    """The key ring's version at that time."""


class Rules(Protocol):
    """Who knows whether what was found still holds, and whom to tell of calls."""

    ledger: Ledger
    rates: Rates

    def holds(self, place: Place, label: tuple[str, str], keys: int) -> bool: ...


class Head(NamedTuple):
    """A request's head as it was read, without our credentials."""

    method: bytes
    path: str
    """What is left of it for the function."""
    prefix: str
    """What was taken off it."""
    query: bytes
    listed: Pairs
    """The headers for the function, names in lower case, in their order."""
    headers: dict[bytes, bytes]
    """All of them."""
    keep_alive: bool
    length: int
    """Bytes of the body."""


class Opened(NamedTuple):
    """A request whose caller may make it."""

    rules: Rules
    place: Place
    label: tuple[str, str]
    """User and label of the endpoint."""
    caller: Caller
    head: Head


class EndpointForm(ABC):
    """A head that opens an endpoint, and what can be said of its calls before they come."""

    __slots__ = (
        "_key_id",
        "_keys",
        "_label",
        "_rules",
        "given_id",
        "is_shared",
        "keep_alive",
        "ledger",
        "length",
        "place",
        "what",
    )

    def __init__(self, opened: Opened) -> None:
        rules, place, label, caller, head = opened
        self._rules = rules
        self._label = label
        self._key_id, self._keys = caller
        self.ledger = rules.ledger
        self.place = place
        self.length = head.length
        self.keep_alive = head.keep_alive
        self.given_id = head.headers.get(b"x-fal-request-id")
        self.is_shared = False
        self.what = f"{head.method.decode()} {head.path}"

    def take(self, connection: Connection) -> EndpointCall | None:
        place = self.place
        rules = self._rules
        if connection.flow.write_paused or not rules.holds(place, self._label, self._keys):
            return None
        # Who calls too often is told so on the general way.
        if self._key_id and rules.rates.per_second and rules.rates.take(self._key_id):
            return None
        return self._call(connection)

    @abstractmethod
    def _call(self, connection: Connection) -> EndpointCall: ...


class EndpointCall(Taken):
    """One call, told of in the endpoint's log."""

    __slots__ = ("connection", "form", "request_id", "started")

    def __init__(self, form: EndpointForm, connection: Connection) -> None:
        self.keep_alive = form.keep_alive
        self.response_complete = False
        self.started = time.perf_counter()
        self.form = form
        self.connection = connection
        self.request_id = request_id(form.given_id)

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
        form = self.form
        endpoint, name = form.place.endpoint, self.request_id
        form.ledger.answered(endpoint, name, worker, form.what, status, milliseconds, cold)

    def say(self, message: str, worker: str) -> None:
        form = self.form
        form.ledger.say(form.place.endpoint, self.request_id, worker, message)
