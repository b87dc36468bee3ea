"""Requests that a gateway and the server behind it may read differently.

Each is bytes for one connection. `{host}` stands for the endpoint's own name.
"""

from __future__ import annotations

from typing import NamedTuple

HOST = "Host: {host}"
SECOND = "GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
"""What an attacker wants the server to take for a request of its own."""
HELLO = "5\r\nhello\r\n0\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


class Case(NamedTuple):
    name: str
    sent: str
    """Latin-1."""
    target: str = "/a"
    """Of the one request that arrives, if any does."""
    body: str = ""

    def bytes(self, host: str) -> bytes:
        return self.sent.replace("{host}", host).encode("latin-1")


def request(
    target: str = "/a",
    *lines: str,
    method: str = "POST",
    host: str = HOST,
    version: str = "HTTP/1.1",
    body: str = "",
) -> str:
    head = [f"{method} {target} {version}", *([host] if host else []), *lines, "", ""]
    return "\r\n".join(head) + body


def get(target: str = "/a", *lines: str, host: str = HOST, body: str = "") -> str:
    return request(target, *lines, method="GET", host=host, body=body)


def _coded(value: str, version: str = "HTTP/1.1") -> str:
    return request("/a", f"Transfer-Encoding:{value}", version=version, body=HELLO + SECOND)


def _long(value: str) -> str:
    return request("/a", f"Content-Length:{value}", body="hello" + SECOND)


def _chunks(text: str) -> str:
    return request("/a", CHUNKED, body=text + SECOND)


UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")

REFUSED = [
    # Two ways to tell where the body ends
    Case("length, chunks", request("/a", "Content-Length: 5", CHUNKED, body=HELLO + SECOND)),
    Case("chunks, length", request("/a", CHUNKED, "Content-Length: 5", body=HELLO + SECOND)),
    Case("two lengths", request("/a", "Content-Length: 5", "Content-Length: 0", body=SECOND)),
    Case("one length twice", request("/a", "Content-Length: 5", "Content-Length: 5", body="hello")),
    Case("two codings", request("/a", CHUNKED, "Transfer-Encoding: identity", body=HELLO + SECOND)),
    Case("one coding twice", request("/a", CHUNKED, CHUNKED, body=HELLO + SECOND)),
    *[
        Case(f"coding {value!r}", _coded(value))
        for value in (
            " chunked, identity", " identity, chunked", " identity", " gzip, chunked",
            " xchunked", " chunkedx", " chunked\t", " chunked;q=1", ' "chunked"', "",
            "\x0bchunked", "\r\n chunked", " chun\x00ked", " chunked,", " ,chunked",
        )
    ],
    Case("coding with a space", request("/a", "Transfer-Encoding : chunked", body=HELLO + SECOND)),
    Case("coding in 1.0", _coded(" chunked", "HTTP/1.0")),
    # Lengths that are none
    *[
        Case(f"length {value!r}", _long(value))
        for value in (
            " -5", " +5", " 5, 5", " 5 5", " 0x5", " 1_0", " 5e0", "",
            " 18446744073709551621", " 99999999999999999999999", " ٥".encode().decode("latin-1"),
        )
    ],
    Case("length with a space", request("/a", "Content-Length : 5", body="hello")),
    # Chunks that are none
    *[
        Case(f"chunk {text!r}", _chunks(text))
        for text in (
            "-5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\n0\n\n", "5\r\nhelloXX0\r\n\r\n",
            "5;\nxx\r\nhello\r\n0\r\n\r\n", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
            "10000000000000005\r\nhello\r\n0\r\n\r\n", "5;a=\x00\r\nhello\r\n0\r\n\r\n",
        )
    ],
    # Lines that end otherwise, or do not
    Case("folded line", request("/a", "X-A: one\r\n two", "Content-Length: 5", body="hello")),
    Case("folded first line", get("/a", host=" " + HOST)),
    Case("lone line feeds", get().replace("\r\n", "\n")),
    Case("a lone line feed", get("/a", "X-A: b\nContent-Length: 60", body=SECOND)),
    Case("a lone line feed at the end", get()[:-2] + "\n"),
    Case("a lone carriage return", get("/a", "X-A: b\rX-C: d")),
    Case("a NUL in a value", get("/a", "X-A: b\0c")),
    Case("a NUL in a name", get("/a", "X\0A: b")),
    Case("a name with a bracket", get("/a", "X(A: b")),
    Case("no name", get("/a", ": b")),
    Case("no colon", get("/a", "nocolon")),
    Case("a request id with an end of line", get("/a", "X-Fal-Request-Id: a\rb")),
    # Whose is it?
    Case("two hosts", get("/a", "Host: 1-other.gateway.localhost")),
    Case("two hosts, ours last", get("/a", HOST, host="Host: 1-other.gateway.localhost")),
    Case("no host", get("/a", host="")),
    Case("a target with a host", get("http://other.test/a")),
    Case("a target with another endpoint", get("http://1-other.gateway.localhost/a")),
    Case("a target with another scheme", get("ftp://other.test/a")),
    Case("a target with a password", get("http://u:p@other.test/a?q#f")),
    Case("an authority", get("other.test:80")),
    Case("a star", get("*")),
    Case("no slash", get("a")),
    Case("a tunnel", request("other.test:80", method="CONNECT", body=SECOND)),
    Case("a space in the path", get("/a b")),
    Case("a tab in the path", get("/a\tb")),
    Case("a NUL in the path", get("/a\0b")),
    Case("a carriage return in the path", get("/a\rb")),
    Case("HTTP/0.9", "GET /a\r\n\r\n"),
    Case("HTTP/1.2", request(version="HTTP/1.2")),
    Case("HTTP/2.0", request(version="HTTP/2.0")),
    Case("a method in lower case", request(method="post")),
    # Upgrades
    Case("an upgrade with a length", get("/a", *UPGRADE, "Content-Length: 5", body="hello")),
    Case("an upgrade with chunks", request("/a", *UPGRADE, CHUNKED, body=HELLO + SECOND)),
    Case("an upgrade of two hosts", get("/a", "Host: other.test", *UPGRADE)),
    Case("an upgrade of another target", get("http://other.test/a", *UPGRADE)),
]  # fmt: skip

ONE = [
    Case("chunks", request("/a", CHUNKED, body=HELLO), body=HELLO),
    Case("chunks, a tab", request("/a", "Transfer-Encoding:\tchunked", body=HELLO), body=HELLO),
    Case("chunks in capitals", request("/a", "TRANSFER-ENCODING: CHUNKED", body=HELLO), body=HELLO),
    Case(
        "a chunk's extension",
        request("/a", CHUNKED, body="5;a=b\r\nhello\r\n0\r\n\r\n"),
        body=HELLO,
    ),
    Case(
        "headers behind the body",
        request("/a", CHUNKED, body="5\r\nhello\r\n0\r\nX-Late: 1\r\nX-Fal-Key-Id: x\r\n\r\n"),
        body=HELLO,
    ),
    Case("zeros", request("/a", "Content-Length: 00005", body="hello"), body="hello"),
    Case(
        "a length that is to be dropped",
        request("/a", "Connection: content-length", "Content-Length: 5", body="hello"),
        body="hello",
    ),
    Case("a host that is to be dropped", get("/a", "Connection: keep-alive, host")),
    Case("a body of a GET", get("/a", "Content-Length: 5", body="hello"), body="hello"),
    Case("a path upwards", get("/../../etc/passwd"), target="/../../etc/passwd"),
    Case("a path like a host", get("//other.test/a"), target="//other.test/a"),
    Case("an escaped end of line", get("/a%0d%0aX:%20y?q=%0a"), target="/a%0d%0aX:%20y?q=%0a"),
    Case("a fragment", get("/a#b?c"), target="/a"),
    Case("two request ids", get("/a", "X-Fal-Request-Id: one", "X-Fal-Request-Id: two")),
    Case("an upgrade to what is not spoken", get("/a", "Connection: Upgrade", "Upgrade: h2c")),
    Case("empty lines before", "\r\n\r\n" + get()),
]  # fmt: skip
