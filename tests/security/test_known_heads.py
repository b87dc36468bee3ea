"""What is remembered of heads changes no answer: the parser, asked each time, would say the same.

Two connections hear the same bytes in the same pieces: one remembers heads, as the gateway does;
the other reads each anew. Byte for byte they must answer the same, and close at the same point.
Everything that was understood of a request is in its answer.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from fal_serverless.backend.gateway import protocol
from fal_serverless.backend.gateway.door import _is_plain
from fal_serverless.backend.gateway.protocol import Connection, Taken, connection
from security.fuzzing import fuzz
from security.tally import each_tried

pytestmark = pytest.mark.bad("remembered heads")


# Who answers: with all that was understood


class Echo(Taken):
    def __init__(self, form: EchoForm, at: Connection) -> None:
        super().__init__(form.keep_alive)
        self._form = form
        self._at = at
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_end(self) -> None:
        if self._form.door.is_quick:
            self._answer()
        else:
            self._at.loop.call_soon(self._answer)

    def on_gone(self) -> None:
        """Nothing is under way."""

    def on_writable(self) -> None:
        """Nothing waits for it."""

    def _answer(self) -> None:
        if self.response_complete or self._at.transport.is_closing():
            return
        told = self._form.told(self._body)
        self._at.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(told))
        self._at.transport.write(told)
        self._at.answer_complete(self)


class EchoForm:
    """What a head asked for, as it was read."""

    def __init__(self, door: EchoDoor, at: Connection, length: int) -> None:
        self.door = door
        self.length = length
        self.is_shared = door.is_shared
        self.keep_alive = at.parser.should_keep_alive()
        self.read = (at.parser.get_method(), at.url, list(at.headers))

    def told(self, body: bytes) -> bytes:
        return repr(("taken", *self.read, body)).encode()

    def take(self, at: Connection) -> Taken | None:
        return Echo(self, at)


class EchoDoor:
    """Takes what the gateway's own would take: nothing odd, and no header twice."""

    def __init__(self, is_shared: bool, is_quick: bool) -> None:
        self.is_shared = is_shared
        self.is_quick = is_quick
        self.looks = 0

    def look(self, at: Connection) -> EchoForm | None:
        self.looks += 1
        headers = dict(at.headers)
        is_odd = len(headers) != len(at.headers) or b"host" not in headers
        # Of a tunnel the parser reads no body, whatever length is told.
        is_odd = is_odd or at.parser.get_method() == b"CONNECT"
        if is_odd or not _is_plain(at, headers) or not at.url.startswith(b"/"):
            return None
        return EchoForm(self, at, int(headers.get(b"content-length", b"0")))


async def general(scope: Any, receive: Any, send: Any) -> None:
    body, goes_on = b"", True
    while goes_on:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, goes_on = body + message.get("body", b""), message.get("more_body", False)
    read = (scope["method"], scope["raw_path"], scope["query_string"], scope["headers"], body)
    told = repr(("general", *read)).encode()
    headers = [(b"content-length", b"%d" % len(told))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": told})


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self._is_closed = False

    def write(self, data: bytes) -> None:
        if not self._is_closed:
            self.written += data

    def close(self) -> None:
        self._is_closed = True

    def is_closing(self) -> bool:
        return self._is_closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def pause_reading(self) -> None:
        """Whatever comes is heard."""

    def resume_reading(self) -> None:
        """As above."""


class Stand:
    """Several connections to one gateway."""

    def __init__(self, remembers: bool, is_shared: bool, is_quick: bool) -> None:
        self.door = EchoDoor(is_shared, is_quick)
        made = connection(2000, self.door)
        if not remembers:
            made = type("Anew", (made,), {"_learn": lambda *_: None})
        options = {"lifespan": "off", "log_config": None}
        off = {"server_header": False, "date_header": False, "access_log": False}
        self._config = uvicorn.Config(general, http=made, **options, **off)  # type: ignore[arg-type]
        self._made = made
        self._state = ServerState()
        self._open: dict[int, tuple[Connection, Wire]] = {}

    def hear(self, number: int, data: bytes) -> None:
        if number not in self._open:
            loop = asyncio.get_running_loop()
            one, wire = self._made(self._config, self._state, {}, _loop=loop), Wire()
            one.connection_made(wire)  # type: ignore[arg-type]
            self._open[number] = one, wire
        one, wire = self._open[number]
        if not wire.is_closing():
            one.data_received(data)

    def end(self) -> list[tuple[bytes, bool]]:
        """What each connection was told, and whether it was closed."""
        for one, _ in self._open.values():
            one.connection_lost(ConnectionResetError())
        return [(wire.written, wire.is_closing()) for _, wire in self._open.values()]


async def rest() -> None:
    """Until everybody waits for more bytes."""
    for _ in range(20):
        await asyncio.sleep(0)


# What is sent


def often(usual: Any, *odd: Any) -> st.SearchStrategy[Any]:
    """The first one most of the time: a request with five odd parts is refused for any."""
    return st.integers(0, 9).flatmap(
        lambda dice: st.sampled_from(odd) if dice == 9 else st.just(usual)
    )


METHOD = often(b"POST", b"GET", b"post", b"PUT", b"OPTIONS", b"CONNECT", b"HEAD", b"P\xc3ST", b"")
TARGET = often(b"/a", b"/", b"/a?q=1", b"/a#b", b"//x/a", b"http://x/a", b"*", b"/a b", b"/\x80")
VERSION = often(b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ")
HOST = often(b"Host: x", b"host:x", b"Host : x", b"Host: x\r\nHost: y", b"X-No: host")
ODD_LINE = (
    b"Connection: close", b"Connection: keep-alive", b"Connection: upgrade\r\nUpgrade: websocket",
    b"Connection: content-length", b"Transfer-Encoding: chunked", b"Expect: 100-continue",
    b"X-A: one\r\n two", b"X-A: b\nX-B: c", b"X-A: b\rX-B: c", b"X-A: \0", b": b", b"nocolon",
    b"X-A:", b"X-A: \xff", b"Content-Length: 3", b"X-A: " + b"a" * 2100, b"\tX-A: b",
    b"x-fal-request-id: one", b"Te: trailers", b"Trailer: x", b"X-A: b\r\n\r\nGET /c HTTP/1.1",
)  # fmt: skip
LINE = st.one_of(
    st.sampled_from([b"X-A: 1", b"X-A: 2", b"Accept: */*", b"Content-Type: text/plain"]),
    often(b"X-B: 1", *ODD_LINE),
)
LENGTH = often(
    b"Content-Length: %d", b"content-length:%d", b"Content-Length: 00%d", b"Content-Length: +%d",
    b"Content-Length: %d\r\nContent-Length: %d", b"Content-Length : %d", b"X-No-Length: %d",
    b"Content-Length: %d ", b"Content-Length: %d\t", b"Content-Length:\r\n %d",
)  # fmt: skip
END = often(b"\r\n", b"\n", b"\r", b"\n\r\n")
BODY = st.sampled_from(
    [b"", b"one", b"two", b"\r\n\r\n", b"\n\n", b"3\r\none\r\n0\r\n\r\n", b"0\r\n\r\n", b"GET /b",
     b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"\r\n\r"]
)  # fmt: skip


class Piece(NamedTuple):
    connection: int
    data: bytes
    waits: bool
    """For the answers, before the next one is sent."""


@st.composite
def head(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A head that wants a length, and what ends its lines."""
    first = b" ".join((draw(METHOD), draw(TARGET), draw(VERSION)))
    lines = [draw(HOST), *draw(st.lists(LINE, max_size=3)), draw(LENGTH)]
    order = draw(st.permutations(lines))
    end = draw(END)
    return end.join((first, *order, b"", b"")), end


@st.composite
def requests(draw: st.DrawFn) -> list[Piece]:
    """Few heads, with many bodies, in pieces that end anywhere."""
    heads = draw(st.lists(head(), min_size=1, max_size=3))
    sent: list[Piece] = []
    for _ in range(draw(st.integers(2, 9))):
        text, _ = draw(st.sampled_from(heads))
        body = draw(BODY)
        # A head that is known may come with a body that is not as long as it says.
        length = draw(st.sampled_from([len(body)] * 5 + [0, 3, len(body) + 1]))
        whole = text.replace(b"%d", b"%d" % length) + body
        whole = draw(often(b"", b"\r\n", b"\n", b"\0")) + whole
        # Behind the one before in one piece, in two pieces, or by itself.
        how = draw(st.sampled_from(["alone", "alone", "alone", "behind", "cut"]))
        number, waits = draw(st.integers(0, 2)), draw(st.integers(0, 3)) > 0
        if how == "behind" and sent:
            sent[-1] = sent[-1]._replace(data=sent[-1].data + whole)
        elif how == "cut" and len(whole) > 1:
            at = draw(st.integers(1, len(whole) - 1))
            sent += [Piece(number, whole[:at], waits), Piece(number, whole[at:], waits)]
        else:
            sent.append(Piece(number, whole, waits))
    return sent


seen = {"looks": 0, "looks anew": 0}


@fuzz
@given(requests(), st.booleans(), st.booleans())
@each_tried
def test_what_is_remembered_changes_no_answer(
    sent: list[Piece], is_shared: bool, is_quick: bool
) -> None:
    asyncio.run(both(sent, is_shared, is_quick))


async def both(sent: list[Piece], is_shared: bool, is_quick: bool) -> None:
    remembering, anew = (Stand(it, is_shared, is_quick) for it in (True, False))
    for piece in sent:
        # Both hear it before either answers: they share the loop.
        for stand in (remembering, anew):
            stand.hear(piece.connection, piece.data)
        if piece.waits:
            await rest()
    await rest()
    assert remembering.end() == anew.end()
    seen["looks"] += remembering.door.looks
    seen["looks anew"] += anew.door.looks


@pytest.fixture(autouse=True)
def one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made up request ids would differ."""
    monkeypatch.setattr(protocol, "request_id", lambda _: "made-up")


def test_something_was_remembered() -> None:
    """Else the test above compares a thing with itself."""
    assert 0 < seen["looks"] < seen["looks anew"]
