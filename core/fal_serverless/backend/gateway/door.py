"""Which requests are answered without ASGI? Those that need nothing but a place in a worker.

That is what most are: a body of known, moderate length for an endpoint that the caller may call and
whose revision the engine knows. Whatever is amiss with a request, the general way (`app.Gateway`)
finds and tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from fal_serverless import endpoint as names
from fal_serverless.backend import credentials
from fal_serverless.backend.credentials import Credential, KeyTable
from fal_serverless.backend.gateway import direct, passage
from fal_serverless.backend.gateway.answers import Pairs
from fal_serverless.backend.gateway.call import Caller, EndpointForm, Head, Opened, Place, Run
from fal_serverless.backend.gateway.direct import DirectForm
from fal_serverless.backend.gateway.ledger import Ledger
from fal_serverless.backend.gateway.passage import PassageForm
from fal_serverless.backend.gateway.protocol import Connection
from fal_serverless.backend.gateway.upstream import Lots
from fal_serverless.backend.network import Proxies
from fal_serverless.backend.rates import Rates
from fal_serverless.backend.records import Endpoint
from fal_serverless.config import Settings
from fal_serverless.endpoint import Target
from fal_serverless.errors import FalError

KNOWN_HOSTS = 10_000
"""Host headers remembered with what they name."""
KNOWN_PLACES = 10_000
"""Callers and endpoints remembered with how they are answered; only those who may call."""
KNOWN_FOR = 0.5
"""Seconds until it is looked at again how one is run: nothing says that this changed."""

_KEY = frozenset((b"x-fal-key-id", b"x-fal-key-secret"))
_NEVER = frozenset((b"transfer-encoding", b"expect", b"upgrade"))
"""Headers that are seen to on the general way."""
_MAYBE = _NEVER | {b"connection"}
"""Headers that may say so: HTTP/1.0 keeps a connection only when it is asked to."""


class Endpoints(Protocol):
    """Who knows the endpoints."""

    @property
    def version(self) -> int:
        """Another one whenever they are not as they were."""

    def find(self, user: str, label: str) -> Endpoint | None: ...


class Calls:
    """The door for calls. `run` knows how an endpoint is run, if it can be."""

    def __init__(
        self,
        settings: Settings,
        endpoints: Endpoints,
        key_table: KeyTable,
        run: Callable[[Endpoint], Run | None],
        ledger: Ledger,
        lots: Lots,
        rates: Rates,
        proxies: Proxies,
    ) -> None:
        self._domain = settings.domain
        self._largest_served = min(settings.max_served_body, direct.LARGEST)
        self._largest_exposed = min(settings.max_exposed_body, passage.LARGEST)
        self._endpoints = endpoints
        self._keys = key_table
        self._run = run
        self.ledger = ledger
        self._hosts: dict[bytes, tuple[str, str] | None] = {}
        self._places: dict[tuple[tuple[str, str], bytes | None], Place] = {}
        self._lots = lots
        self.rates = rates
        self._proxies = proxies

    def look(self, connection: Connection) -> EndpointForm | None:
        """What the head asks for, when that can be answered in one go."""
        listed: Pairs = connection.headers
        headers = dict(listed)
        # Which of two headers of one name counts is not for the short way to say.
        if len(headers) != len(listed) or not _is_plain(connection, headers):
            return None
        host = headers.get(b"host")
        if host is None or not connection.url.startswith(b"/"):
            return None
        target = self._target(host, connection.url)
        if target is None:
            return None
        label, path, prefix, query = target
        place = self._known_place(label, headers.get(b"authorization"))
        if place is None:
            return None
        caller = Caller(place.key_id, place.keys)
        if place.keys < 0 or b"fal_key_" in query or not _KEY.isdisjoint(headers):
            version = self._keys.version
            credential, listed, query = credentials.find(listed, query)
            key_id = self._let_in(credential, place.endpoint)
            if key_id is None:
                return None
            caller = Caller(key_id, version)
        elif place.is_ours:
            listed = [pair for pair in listed if pair[0] != b"authorization"]
        length = int(headers.get(b"content-length", b"0"))
        parser = connection.parser
        method, keep_alive = parser.get_method(), parser.should_keep_alive()
        if not keep_alive and parser.get_http_version() not in ("1.0", "1.1"):
            return None
        head = Head(method, path, prefix, query, listed, headers, keep_alive, length)
        opened = Opened(self, place, label, caller, head)
        calling, places = place.run
        if calling is not None:
            served = method == b"POST" and path in ("", "/") and length <= self._largest_served
            return DirectForm(opened, calling) if served else None
        if places is None or method in (b"OPTIONS", b"CONNECT") or length > self._largest_exposed:
            return None
        return PassageForm(opened, places, self._lots, connection, self._proxies)

    def holds(self, place: Place, label: tuple[str, str], keys: int) -> bool:
        """Whether a caller who was let in by that version of the keys may go there still."""
        if keys != self._keys.version:
            return False
        version = self._endpoints.version
        if version != place.version:
            if self._endpoints.find(*label) is not place.endpoint:
                return False
            place.version = version
        now = time.monotonic()
        if now >= place.until:
            if self._run(place.endpoint) != place.run:
                return False
            place.until = now + KNOWN_FOR
        return True

    def _target(self, host: bytes, url: bytes) -> tuple[tuple[str, str], str, str, bytes] | None:
        """User and label, path, prefix and query of a request for an endpoint."""
        query = b""
        if b"#" in url:
            url, _, _ = url.partition(b"#")
        if b"?" in url:
            url, _, query = url.partition(b"?")
        path = url.decode("latin-1")
        label = self._label(host)
        if label is not None:
            return label, path, "", query
        target: Target | None = names.parse_path(path)
        if target is None:
            return None
        return (target.user, target.label), target.path, target.prefix, query

    def _label(self, host: bytes) -> tuple[str, str] | None:
        """User and label that a Host header names; None when it names no endpoint."""
        if host not in self._hosts:
            if len(self._hosts) >= KNOWN_HOSTS:
                self._hosts.clear()
            found = names.parse_host(host.decode("latin-1"), self._domain)
            self._hosts[host] = (found.user, found.label) if found else None
        return self._hosts[host]

    def _known_place(self, label: tuple[str, str], authorization: bytes | None) -> Place | None:
        """What was found for such a request before, when it still holds."""
        place = self._places.get((label, authorization))
        if place is not None and self.holds(place, label, place.keys):
            return place
        place = self._find(label, authorization)
        if place is not None and place.keys >= 0:
            if len(self._places) >= KNOWN_PLACES:
                self._places.clear()
            self._places[label, authorization] = place
        return place

    def _find(self, label: tuple[str, str], authorization: bytes | None) -> Place | None:
        version = self._endpoints.version
        endpoint = self._endpoints.find(*label)
        run = None if endpoint is None else self._run(endpoint)
        if endpoint is None or run is None:
            return None
        keys = self._keys.version
        credential = None
        if authorization is not None:
            credential = credentials.parse_authorization(authorization.decode("latin-1"))
        is_ours = credential is not None
        key_id = self._let_in(credential, endpoint)
        known = -1 if key_id is None else keys
        until = time.monotonic() + KNOWN_FOR
        return Place(is_ours, endpoint, run, version, known, until, key_id or "")

    def _let_in(self, credential: Credential | None, endpoint: Endpoint) -> str | None:
        """The id of the key, '' where none is asked for; None: no, and the general way says why."""
        try:
            key = self._keys.check_endpoint(credential, endpoint.auth, endpoint.user)
        except FalError:
            return None
        return "" if key is None else key.id


def _is_plain(connection: Connection, headers: dict[bytes, bytes]) -> bool:
    """Whether nothing is asked of the connection but what every HTTP/1.1 client asks."""
    if _MAYBE.isdisjoint(headers):
        return True
    return _NEVER.isdisjoint(headers) and connection.parser.get_http_version() == "1.1"
