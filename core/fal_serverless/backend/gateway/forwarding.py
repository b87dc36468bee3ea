"""What of a request's head goes on to a function's own server, and what is added on the way.

Added: `X-Forwarded-*` and the request id. Removed: hop-by-hop headers (RFC 9110, 7.6.1); our
credentials were taken out before. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

from fal_serverless.backend.gateway.answers import Pairs

_TOLD = (
    b"x-fal-request-id",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-prefix",
    b"x-forwarded-proto",
)
REPLACED = frozenset(
    b"".join(pieces)
    for name in _TOLD
    for pieces in product(*[(b"-", b"_") if sign == 45 else (bytes((sign,)),) for sign in name])
)
"""Headers that say how a request came here: ours are the ones that arrive.

A server that speaks WSGI takes `_` in a name for `-`.
"""

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

KEPT = frozenset((b"content-length", b"host"))
"""Headers that `Connection` cannot take away: without its length, a body is the next request."""


class Origin(NamedTuple):
    """Where a request came from, and by what name."""

    client: str
    """Address of the caller; '' when it is not known."""
    scheme: str
    prefix: str
    """What was taken off its path."""
    request_id: str
    is_believed: bool = False
    """It is a proxy whose word counts for where a request came from."""


def request_head(
    method: bytes,
    path: bytes,
    query: bytes,
    headers: Pairs,
    origin: Origin,
    more: Pairs = (),
) -> bytes:
    """Request line and headers as the function's server gets them; `more` comes last."""
    target = b"%b?%b" % (path, query) if query else path
    lines = [b"%b %b HTTP/1.1\r\n" % (method, target)]
    kept = strip_hop_by_hop(headers)
    lines += [b"%b: %b\r\n" % pair for pair in kept if pair[0] not in REPLACED]
    said = {name: value for name, value in headers if name in _SAID}
    lines.append(forwarded(said, origin.client, origin.scheme, origin.prefix, origin.is_believed))
    lines.append(b"x-fal-request-id: %b\r\n" % origin.request_id.encode())
    lines += [b"%b: %b\r\n" % pair for pair in more]
    lines.append(b"\r\n")
    return b"".join(lines)


def strip_hop_by_hop(headers: Pairs) -> Pairs:
    """Without hop-by-hop headers and those that `Connection` names; names are in lower case."""
    dropped = HOP_BY_HOP
    for name, value in headers:
        if name == b"connection":
            named = {token.strip().lower() for token in value.split(b",")}
            dropped = dropped | (named - KEPT)
    return [pair for pair in headers if pair[0] not in dropped]


def forwarded(
    said: Mapping[bytes, bytes], client: str, scheme: str, prefix: str, is_believed: bool
) -> bytes:
    """Lines that tell where a request came from; `said`: its headers, these among them."""
    address = client.encode()
    before = said.get(b"x-forwarded-for")
    by, host = scheme.encode(), said.get(b"host", b"")
    if is_believed:
        by = said.get(b"x-forwarded-proto") or by
        host = said.get(b"x-forwarded-host") or host
    pairs = (
        (b"x-forwarded-proto", by),
        (b"x-forwarded-host", host),
        (b"x-forwarded-for", b"%b, %b" % (before, address) if before else address),
        (b"x-forwarded-prefix", prefix.encode()),
    )
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs if pair[1])


_SAID = frozenset((b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))
