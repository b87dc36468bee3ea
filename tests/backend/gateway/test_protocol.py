"""The connection itself, with a door of our own: what is idle, what waits, what is closed."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
import uvicorn

from backend.gateway.raw import Wire, post
from fal_serverless.backend.gateway import protocol
from fal_serverless.backend.gateway.protocol import Connection, Memo, Taken, connection

IDLE = 0.3
"""Seconds until an idle connection is closed."""
HEAD = 1.5
"""Seconds that a head may take."""


class Parcel(Taken):
    """A request that waits until the test answers it."""

    def __init__(self, door: Porter, at: Connection, keep_alive: bool) -> None:
        super().__init__(keep_alive)
        self.body = b""
        self.is_whole = asyncio.Event()
        self.is_gone = asyncio.Event()
        self._door = door
        self.at = at

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_end(self) -> None:
        self.is_whole.set()
        if self._door.is_quick:
            self.answer()

    def on_gone(self) -> None:
        self.is_gone.set()

    def on_writable(self) -> None:
        """Nothing waits for it."""

    def answer(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(self.body)
        self.at.transport.write(head + self.body)
        self.at.answer_complete(self)


class Porter:
    """Takes what is posted to /."""

    def __init__(self) -> None:
        self.is_quick = True
        self.holds = True
        """What was known of a request is as it was."""
        self.is_shared = False
        """What a head asks for is the same on all connections."""
        self.looks = 0
        self.taken: asyncio.Queue[Parcel] = asyncio.Queue()

    def look(self, at: Connection) -> Order | None:
        self.looks += 1
        self.holds = True
        if at.url != b"/":
            return None
        length = int(dict(at.headers)[b"content-length"])
        return Order(self, length, at.parser.should_keep_alive())


class Order:
    """What a head that was looked at asks for."""

    def __init__(self, door: Porter, length: int, keep_alive: bool) -> None:
        self.length = length
        self._keep_alive = keep_alive
        self.is_shared = door.is_shared
        self._door = door

    def take(self, at: Connection) -> Taken | None:
        if not self._door.holds:
            return None
        parcel = Parcel(self._door, at, self._keep_alive)
        self._door.taken.put_nowait(parcel)
        return parcel


async def general(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"7")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"general"})


class Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Stand:
    """A server with that door."""

    def __init__(self, door: Porter, server: uvicorn.Server, port: int) -> None:
        self.door = door
        self.server = server
        self.port = port

    @asynccontextmanager
    async def wire(self) -> AsyncIterator[Wire]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Wire(reader, writer)
        finally:
            writer.transport.abort()


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    door = Porter()
    config = uvicorn.Config(
        general,
        http=connection(1000, door, HEAD),
        lifespan="off",
        log_config=None,
        timeout_keep_alive=IDLE,  # type: ignore[arg-type]
        timeout_graceful_shutdown=5,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = Server(config)
    running = asyncio.create_task(server.serve([listener]))
    yield Stand(door, server, listener.getsockname()[1])
    server.should_exit = True
    await running


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_an_idle_connection_is_closed_and_every_answer_restarts_the_clock(
    stand: Stand,
) -> None:
    async with stand.wire() as connection:
        began = now()
        while now() - began < 2.5 * IDLE:
            assert (await connection.ask(post("/", b"x"))).body == b"x"
            assert (await connection.ask(post("/general"))).body == b"general"
            await asyncio.sleep(IDLE / 10)
        last = now()
        assert (await connection.ask(post("/", b"x"))).body == b"x"
        assert await connection.rest() == b""
        assert IDLE < now() - last < 20 * IDLE


async def test_a_request_on_its_way_is_not_idle(stand: Stand) -> None:
    request = post("/", b"0123456789")
    async with stand.wire() as connection:
        assert (await connection.ask(request)).status == 200
        for cut in (5, 30, len(request) - 5):
            await connection.send(request[:cut])
            await asyncio.sleep(1.5 * IDLE)
            assert (await connection.ask(request[cut:])).body == b"0123456789"


async def test_a_call_that_runs_is_not_idle(stand: Stand) -> None:
    stand.door.is_quick = False
    async with stand.wire() as connection:
        for _ in range(2):
            await connection.send(post("/", b"x"))
            parcel = await stand.door.taken.get()
            await parcel.is_whole.wait()
            await asyncio.sleep(1.5 * IDLE)
            parcel.answer()
            assert (await connection.answer()).body == b"x"
        assert await connection.rest() == b""


@pytest.mark.parametrize("before", [b"", post("/", b"x")])
async def test_a_head_that_does_not_end_is_answered_and_closed(stand: Stand, before: bytes) -> None:
    began = now()
    async with stand.wire() as connection:
        if before:
            assert (await connection.ask(before)).body == b"x"
            began = now()
        await connection.send(b"POST / HTTP/1.1\r\nX-Slow: ")
        dribbling = asyncio.create_task(dribble(connection))
        answer = await connection.answer()
        assert (answer.status, b"head_too_slow" in answer.body) == (408, True)
        assert HEAD < now() - began < 20 * HEAD
        assert await connection.rest() == b""
        dribbling.cancel()


async def dribble(connection: Wire) -> None:
    with suppress(OSError):
        while True:
            await connection.send(b"x")
            await asyncio.sleep(IDLE / 3)


async def test_a_connection_that_brings_nothing_is_closed(stand: Stand) -> None:
    began = now()
    async with stand.wire() as connection:
        assert await connection.rest() == b""
        assert HEAD < now() - began < 20 * HEAD


async def test_a_head_begun_while_a_call_runs_has_its_time_afterwards(stand: Stand) -> None:
    stand.door.is_quick = False
    async with stand.wire() as connection:
        await connection.send(post("/", b"x") + b"POST /gen")
        parcel = await stand.door.taken.get()
        await asyncio.sleep(1.2 * HEAD)
        parcel.answer()
        assert (await connection.answer()).body == b"x"
        await connection.send(post("/general")[len(b"POST /gen") :])
        assert (await connection.answer()).body == b"general"


async def test_while_one_is_answered_the_next_is_not_shown_at_the_door(stand: Stand) -> None:
    stand.door.is_quick = False
    async with stand.wire() as connection:
        await connection.send(post("/", b"one") + post("/", b"two") + post("/", b"three"))
        parcel = await stand.door.taken.get()
        await parcel.is_whole.wait()
        assert stand.door.taken.empty()
        parcel.answer()
        bodies = [(await connection.answer()).body for _ in range(3)]
    assert bodies == [b"one", b"general", b"general"]
    assert not parcel.is_gone.is_set()


async def test_an_answer_before_the_end_of_a_body_closes_the_connection(stand: Stand) -> None:
    stand.door.is_quick = False
    async with stand.wire() as connection:
        await connection.send(post("/", b"12345")[:-1])
        parcel = await stand.door.taken.get()
        parcel.answer()
        assert (await connection.rest()).startswith(b"HTTP/1.1 200 ")
    assert not parcel.is_gone.is_set()


def upload(path: str, length: int) -> bytes:
    """The head of a request behind whose answer the connection ends."""
    return post(path, b"", f"Content-Length: {length}", "Connection: close")


@pytest.mark.parametrize("path", ["/", "/general"])
async def test_who_is_still_sending_when_the_last_answer_comes_can_read_it(
    stand: Stand, path: str
) -> None:
    stand.door.is_quick = False
    length = 8 << 20  # more than the buffers of a connection hold
    loop = asyncio.get_running_loop()
    with socket.create_connection(("127.0.0.1", stand.port)) as sender:
        sender.setblocking(False)
        await loop.sock_sendall(sender, upload(path, length) + b"x" * 1000)
        if path == "/":
            (await stand.door.taken.get()).answer()
        async with asyncio.timeout(20):
            await loop.sock_sendall(sender, b"x" * (length - 1000))
            answered = b""
            while more := await loop.sock_recv(sender, 65536):
                answered += more
    assert answered.startswith(b"HTTP/1.1 200 ") and answered.count(b"HTTP/1.1 ") == 1


async def test_an_answer_before_the_end_of_a_body_says_that_it_is_the_last(stand: Stand) -> None:
    request = post("/general", b"12345")
    async with stand.wire() as connection:
        assert (await connection.ask(request)).headers(b"connection") == []
        assert (await connection.ask(request[:-1])).headers(b"connection") == [b"close"]
        await connection.send(request)
        assert await connection.rest() == b""


async def test_what_comes_behind_the_last_answer_is_not_read_for_ever(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "LINGER", 0.2)
    async with stand.wire() as connection:
        await connection.send(upload("/general", 1 << 40))
        assert (await connection.answer()).body == b"general"
        assert await connection.rest() == b""  # it is said at once that nothing follows
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionError):
                while True:
                    await connection.send(b"x" * 65536)


async def test_no_request_is_taken_behind_the_last_answer(stand: Stand) -> None:
    stand.door.is_quick = False
    async with stand.wire() as connection:
        await connection.send(upload("/", 5) + b"123")
        (await stand.door.taken.get()).answer()
        assert (await connection.answer()).status == 200
        await connection.send(b"45" + post("/", b"12345"))
        assert await connection.rest() == b""
    assert stand.door.looks == 1


@pytest.mark.parametrize("whole", [True, False])
async def test_whoever_took_a_request_is_told_when_the_caller_leaves(
    stand: Stand, whole: bool
) -> None:
    stand.door.is_quick = False
    async with stand.wire() as connection:
        await connection.send(post("/", b"12345")[: None if whole else -1])
        parcel = await stand.door.taken.get()
    await asyncio.wait_for(parcel.is_gone.wait(), 5)
    assert parcel.is_whole.is_set() is whole


async def test_a_stop_closes_what_is_idle_and_waits_for_what_runs(stand: Stand) -> None:
    async with stand.wire() as idle, stand.wire() as busy, stand.wire() as half:
        assert (await idle.ask(post("/", b"x"))).status == 200
        await stand.door.taken.get()
        stand.door.is_quick = False
        await busy.send(post("/", b"run") + post("/general"))
        parcel = await stand.door.taken.get()
        await parcel.is_whole.wait()
        await half.send(post("/", b"half")[:-1])
        part = await stand.door.taken.get()
        stand.server.should_exit = True
        assert await idle.rest() == b""
        parcel.answer()
        assert [(await busy.answer()).body for _ in range(2)] == [b"run", b"general"]
        assert await busy.rest() == b""
        await half.send(b"f")
        await part.is_whole.wait()
        part.answer()
        assert (await half.rest()).endswith(b"half")


# Heads that were seen before


async def test_a_head_that_comes_again_is_not_read_again(stand: Stand) -> None:
    async with stand.wire() as connection:
        for body in (b"one", b"two", b"\r\n\r", b"end"):
            assert (await connection.ask(post("/", body))).body == body
            assert stand.door.looks == 1
        assert (await connection.ask(post("/", b"three"))).body == b"three"
        assert (await connection.ask(post("/", b"seven"))).body == b"seven"
        assert stand.door.looks == 2


async def test_a_head_is_read_again_when_what_it_asked_for_changed(stand: Stand) -> None:
    async with stand.wire() as connection:
        assert (await connection.ask(post("/", b"one"))).body == b"one"
        stand.door.holds = False
        assert (await connection.ask(post("/", b"two"))).body == b"two"
        assert stand.door.looks == 2


async def test_a_head_is_known_on_every_connection(stand: Stand) -> None:
    stand.door.is_shared = True
    heads = [post("/", b"one", f"X-Which: {which}") for which in range(5)]
    async with stand.wire() as first, stand.wire() as second:
        for connection in (first, second, first):
            for head in heads:
                assert (await connection.ask(head)).body == b"one"
        assert stand.door.looks == len(heads)
        stand.door.holds = False
        assert (await second.ask(heads[2])).body == b"one"
        assert stand.door.looks == len(heads) + 1


async def test_a_head_of_one_connection_is_not_known_on_another(stand: Stand) -> None:
    async with stand.wire() as first, stand.wire() as second:
        for connection in (first, second):
            assert (await connection.ask(post("/", b"one"))).body == b"one"
        assert stand.door.looks == 2


async def test_heads_that_never_come_again_are_not_kept_for_ever(stand: Stand) -> None:
    stand.door.is_shared = True
    async with stand.wire() as connection:
        for number in range(Memo.MOST + 10):
            assert (await connection.ask(post("/", b"one", f"X-Which: {number}"))).status == 200
            stand.door.taken.get_nowait()
        for number, looks in ((Memo.MOST + 9, 0), (0, 1)):
            before = stand.door.looks
            assert (await connection.ask(post("/", b"two", f"X-Which: {number}"))).status == 200
            assert stand.door.looks == before + looks


async def test_a_known_head_waits_for_the_answer_before_it(stand: Stand) -> None:
    async with stand.wire() as connection:
        assert (await connection.ask(post("/", b"one"))).body == b"one"
        stand.door.taken.get_nowait()
        stand.door.is_quick = False
        await connection.send(post("/", b"two"))
        first = await stand.door.taken.get()
        await connection.send(post("/", b"new"))
        await connection.send(post("/general"))
        while not first.at.pipeline:  # noqa: ASYNC110
            await asyncio.sleep(0)
        first.answer()
        assert [(await connection.answer()).body for _ in range(3)] == [
            b"two",
            b"general",
            b"general",
        ]


SEGMENTS = (
    post("/", b"one"),
    post("/", b"two"),
    post("/", b"longer"),
    post("/", b"\r\n\r\nGET"),
    post("/", b"x", "X-One: 1"),
    post("/general", b"x"),
    b"\r\n" + post("/", b"two"),
    post("/", b"two") + b"\r\n",
    post("/", b"one") + post("/", b"two"),
    post("/", b"one") + post("/general", b"x"),
)


@pytest.mark.parametrize("is_shared", [False, True])
async def test_what_is_known_changes_no_answer(stand: Stand, is_shared: bool) -> None:
    """Requests in any order, cut anywhere: each is answered as on a connection of its own."""
    stand.door.is_shared = is_shared
    dice = random.Random(7)
    for _ in range(100):
        sent = [dice.choice(SEGMENTS) for _ in range(20)]
        async with stand.wire() as connection:
            for segment in sent:
                cut = dice.choice((0, 0, dice.randrange(len(segment))))
                await connection.send(segment[:cut])
                if cut:
                    # Else both parts may be read as one.
                    await asyncio.sleep(0)
                await connection.send(segment[cut:])
                for body in bodies_of(segment):
                    assert (await connection.answer()).body == body


def bodies_of(segment: bytes) -> list[bytes]:
    """What its requests are answered with."""
    found = []
    for part in segment.split(b"POST ")[1:]:
        head, _, body = part.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split()[0])
        found.append(b"general" if head.startswith(b"/general") else body[:length])
    return found


@pytest.mark.parametrize(
    "lines",
    [
        [b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 3"],
        [b"POST / HTTP/1.1", b"Host: x", b"Content-Length: 3", b"X: a\n b"],
    ],
)
async def test_only_what_ends_beyond_doubt_is_known(stand: Stand, lines: list[bytes]) -> None:
    """A head that ends with lone line feeds is read by the parser each time, or refused."""
    request = b"\n".join(lines) + b"\n\n" + b"abc"
    async with stand.wire() as connection:
        first = await connection.ask(request)
        if first.status == 200:
            assert first.body == b"abc"
            assert (await connection.ask(request)).body == b"abc"
            assert stand.door.looks == 2
        else:
            assert first.status == 400
            assert await connection.rest() == b""
