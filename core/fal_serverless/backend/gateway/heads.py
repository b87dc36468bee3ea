"""Which requests are refused for their head alone, before anybody acts on what it asks for?

Those that we and a function's own server, or a proxy before us, might read differently: whoever
gets two readings of one request gets a second request in that nobody checked. What the parser
refuses by itself (two lengths, a length beside chunks, folded lines) is not looked at again. Pure.
"""

from __future__ import annotations

from fal_serverless.backend.gateway.answers import Pairs


def fault(method: bytes, url: bytes, version: str, headers: Pairs) -> str | None:
    """What is wrong, for people; None: nothing. Names of headers are in lower case."""
    if version not in ("1.0", "1.1"):
        return f"HTTP/{version} is not spoken here"
    if not url.startswith(b"/") and (method, url) != (b"OPTIONS", b"*"):
        # The absolute form names a host of its own beside that in Host (RFC 9112, 3.2.2).
        return "the target of a request must be a path"
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return "a request needs one Host header"  # RFC 9112, 3.2
    return _fault_of_body(version, headers)


def _fault_of_body(version: str, headers: Pairs) -> str | None:
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings and (version != "1.1" or [each.lower() for each in codings] != [b"chunked"]):
        return "the only Transfer-Encoding understood here is 'chunked', in HTTP/1.1"
    return None


def has_body(headers: Pairs) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
        for name, value in headers
    )
