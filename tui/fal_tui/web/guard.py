"""Who may have the terminal? Decides from what a request says; pure.

1. The program prints `http://127.0.0.1:PORT/ROOM/?token=TOKEN`; both words are new at each start.
2. Host is a loopback name: a page whose own name was made to point here (DNS rebinding) sends its
   name. Origin, where there is one, is that host: a page of any other site or port is refused. The
   WebSocket must have one.
3. The right token is answered by a cookie and a way to the address without it.
4. All the rest, pages, scripts and the WebSocket, wants the cookie. It is bound to the room's path,
   since browsers send cookies to every port of a host, and another program may listen there.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hmac import compare_digest

COOKIE = "fal-tui"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
TOKEN_BYTES = 32


def _random(size: int = TOKEN_BYTES) -> str:
    return secrets.token_urlsafe(size)


@dataclass(frozen=True)
class Keyring:
    """The secrets of one run of the program."""

    token: str = field(default_factory=_random, repr=False)
    """In the address that is printed."""
    cookie: str = field(default_factory=_random, repr=False)
    """What the browser sends instead, from then on."""
    room: str = field(default_factory=lambda: _random(9))
    """First part of every path."""


def refusal(headers: Mapping[str, str], *, websocket: bool) -> str:
    """Why a request is refused whatever it brings; '' when it comes from here. Header names as in
    HTTP, in a mapping that does not mind their case."""
    host = headers.get("Host", "")
    if not is_loopback(host):
        return "this is for 127.0.0.1 and localhost alone"
    origin = headers.get("Origin")
    if origin is None and websocket:
        return "no Origin"
    if origin is not None and origin.lower() != f"http://{host.lower()}":
        return "another page may not ask for this"
    return ""


def is_loopback(host: str) -> bool:
    """Of a Host header, with or without a port."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or not port.isdigit():
        name = host.lower()
    return name in LOOPBACK


def same(given: str | None, wanted: str) -> bool:
    """Compared in a time that tells nothing of where they differ."""
    return given is not None and compare_digest(given.encode(errors="replace"), wanted.encode())
