"""More gateways than one: one port, one state, whoever takes the connection."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backend.gateway.raw import Wire, wire
from fal_serverless.backend.credentials import KeyTable
from fal_serverless.backend.engine import Exchange
from fal_serverless.backend.gateways import owner as owner_module
from fal_serverless.backend.gateways import wire as wire_calls
from fal_serverless.backend.gateways.owner import Gateways, Rooms
from fal_serverless.client import Client
from fal_serverless.config import Settings
from fal_serverless.models import LogQuery
from running import Reluctant, RunningBackend, StartBackend, children_of
from serving import serve

CONNECTIONS = 24
"""Enough that each of three gateways gets some."""


@pytest.fixture(scope="module")
def three(backends: StartBackend) -> RunningBackend:
    return backends(FAL_SERVERLESS_GATEWAYS="3")


@pytest.fixture
async def owner(three: RunningBackend) -> AsyncIterator[Client]:
    async with three.client() as client:
        yield client


def gateways(backend: RunningBackend) -> list[int]:
    """Those beside the backend itself."""
    return children_of(backend.process.pid, "fal_serverless.backend.gateways")


def request(label: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST /1/{label} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


async def status(connection: Wire) -> tuple[int, bytes]:
    """Of the next answer, with its body."""
    head = await connection.head()
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    return int(head.split()[1]), await connection.reader.readexactly(length)


@asynccontextmanager
async def many(backend: RunningBackend) -> AsyncIterator[list[Wire]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(wire(backend)) for _ in range(CONNECTIONS)]


def sockets_of(pid: int) -> int:
    count = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            count += link.readlink().name.startswith("socket:")
    return count


async def ask_all(connections: list[Wire], asked: bytes) -> list[tuple[int, bytes]]:
    for connection in connections:
        await connection.send(asked)
    return [await status(connection) for connection in connections]


async def test_every_gateway_answers(three: RunningBackend, owner: Client) -> None:
    await serve(three, owner, "texts.py", "call_text", "shared", "public")
    before = {pid: sockets_of(pid) for pid in gateways(three)}
    assert len(before) == 2
    async with many(three) as connections:
        answers = await ask_all(connections, request("shared", b'{"text": "x"}'))
        assert set(answers) == {(200, b'"x"')}
        taken = [sockets_of(pid) - count for pid, count in before.items()]
    assert all(0 < count < CONNECTIONS for count in taken)


async def test_a_change_is_seen_by_all_before_whoever_made_it_hears_of_it(
    three: RunningBackend, owner: Client
) -> None:
    await serve(three, owner, "texts.py", "call_text", "changing", "public")
    key = await owner.generate_key("API", "for a moment")
    name = f"Authorization: Key {key.key.id}:{key.secret}"
    asked, keyed = (
        request("changing", b'{"text": "x"}'),
        request("changing", b'{"text": "x"}', name),
    )
    async with many(three) as connections:
        for _ in range(5):
            await owner.set_auth("changing", "private")
            assert {code for code, _ in await ask_all(connections, asked)} == {401}
            assert {code for code, _ in await ask_all(connections, keyed)} == {200}
            await owner.set_auth("changing", "public")
            assert {code for code, _ in await ask_all(connections, asked)} == {200}
        await owner.set_auth("changing", "private")
        await owner.revoke_key(key.key.id)
        assert {code for code, _ in await ask_all(connections, keyed)} == {401}


async def test_a_moved_alias_is_seen_by_all(three: RunningBackend, owner: Client) -> None:
    first = await serve(three, owner, "texts.py", "call_text", "moved", "public")
    second = await serve(three, owner, "texts.py", "prepared", "moved")
    async with many(three) as connections:
        for revision, code in ((first.revision.id, 200), (second.revision.id, 422)):
            await owner.set_alias("moved", revision)
            answers = await ask_all(connections, request("moved", b'{"text": "x"}'))
            assert {found for found, _ in answers} == {code}
        await owner.delete_alias("moved")
        answers = await ask_all(connections, request("moved", b'{"text": "x"}'))
        assert {found for found, _ in answers} == {404}


async def test_a_connection_goes_on_whatever_it_brings(
    three: RunningBackend, owner: Client
) -> None:
    await serve(three, owner, "texts.py", "call_text", "mixed", "public")
    plain = request("mixed", b'{"text": "x"}')
    chunked = (
        b"POST /1/mixed HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'd\r\n{"text": "y"}\r\n0\r\n\r\n'
    )
    asked = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with many(three) as connections:
        for connection in connections:
            # All at once: what cannot be answered where it came waits for the answers before it.
            await connection.send(plain + plain + chunked + plain + asked + plain)
        for connection in connections:
            found = [await status(connection) for _ in range(6)]
            assert [code for code, _ in found] == [200] * 6
            assert [body for _, body in found[:4]] == [b'"x"', b'"x"', b'"y"', b'"x"']


async def test_what_was_answered_is_not_passed_on_with_what_comes_next(
    three: RunningBackend, owner: Client
) -> None:
    await serve(three, owner, "texts.py", "call_text", "once", "public")
    asked = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    async with many(three) as connections:
        for body in (b"1", b"2", b"3"):
            answers = await ask_all(connections, request("once", b'{"text": "%b"}' % body))
            assert set(answers) == {(200, b'"%b"' % body)}
        assert {code for code, _ in await ask_all(connections, asked)} == {200}
        answers = await ask_all(connections, request("once", b'{"text": "4"}'))
        assert set(answers) == {(200, b'"4"')}


async def test_a_head_that_comes_in_pieces_is_passed_on_whole(
    three: RunningBackend, owner: Client
) -> None:
    await serve(three, owner, "texts.py", "call_text", "pieces", "public")
    expecting = request("pieces", b'{"text": "z"}', "Expect: 100-continue")
    async with many(three) as connections:
        for connection in connections:
            await connection.send(expecting[:10])
            await connection.send(expecting[10:40])
            await connection.send(expecting[40:])
        for connection in connections:
            assert (await connection.head()).startswith(b"HTTP/1.1 100")
            assert await status(connection) == (200, b'"z"')


async def test_streams_pass_whole_and_stop_when_nobody_listens(
    three: RunningBackend, owner: Client
) -> None:
    await serve(three, owner, "texts.py", "lines", "counting", "public")
    async with many(three) as connections:
        for connection in connections:
            await connection.send(request("counting", b'{"n": 300}', "Connection: close"))
        for connection in connections:
            answered = await connection.rest()
            assert answered.endswith(b"0\r\n\r\n")
            assert b"line 299" in answered


async def test_a_killed_gateway_is_replaced_and_the_others_answer(
    backends: StartBackend,
) -> None:
    backend = backends(FAL_SERVERLESS_GATEWAYS="2")
    async with backend.client() as client:
        await serve(backend, client, "texts.py", "call_text", "call", "public")
        (before,) = gateways(backend)
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(20):
            while gateways(backend) in ([], [before]):
                assert (await client.invoke("call", b'{"text": "x"}')).status == 200
        await client.set_auth("call", "private")
    assert backend.stop() == 0


async def test_a_gateway_that_hears_nothing_is_ended_and_keeps_nobody_waiting(
    backends: StartBackend,
) -> None:
    backend = backends(FAL_SERVERLESS_GATEWAYS="2")
    async with backend.client() as client:
        await serve(backend, client, "texts.py", "call_text", "call", "public")
        (deaf,) = gateways(backend)
        os.kill(deaf, signal.SIGSTOP)
        await client.set_auth("call", "private")
        async with many(backend) as connections:
            answers = await ask_all(connections, request("call", b'{"text": "x"}'))
        assert {code for code, _ in answers} == {401}
        assert deaf not in gateways(backend)


def one_more() -> tuple[Gateways, socket.socket]:
    """A gateway of no backend, that has nothing to know."""
    listening = socket.create_server(("127.0.0.1", 0))
    rooms = Rooms(
        settings=Settings(),
        endpoints=dict,
        is_served=lambda _: False,
        keys=KeyTable(),
        pool=lambda _: None,
        make_pool=lambda *_: asyncio.Future(),
        put=lambda _: None,
        count=lambda *_: None,
        adopt=lambda _: pytest.fail("nothing was to be given away"),
    )
    return Gateways(rooms, [[listening]]), listening


async def test_a_gateway_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = Reluctant(owner_module.create_subprocess_exec, errno.EAGAIN)
    monkeypatch.setattr(owner_module, "create_subprocess_exec", start)
    gateways, _ = one_more()
    async with asyncio.timeout(30):
        await gateways.start()
        await gateways.close()
    assert start.tries == 3


async def test_a_gateway_that_is_started_while_the_backend_stops_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateways, _ = one_more()
    real = owner_module._Gateway.start
    codes: list[int] = []

    async def start(self: object, sockets: object) -> object:
        process = await real(self, sockets)
        gateways.drain()
        asyncio.ensure_future(process.wait()).add_done_callback(lambda w: codes.append(w.result()))
        return process

    monkeypatch.setattr(owner_module._Gateway, "start", start)
    async with asyncio.timeout(20):
        await gateways.start()
        await gateways.close()
    assert len(codes) == 1 and codes != [-signal.SIGKILL]


class Stream:
    """An answer whose pieces never come."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield await asyncio.Future()

    async def aclose(self) -> None:
        self.closed.set()


@pytest.mark.parametrize("end", ["its caller leaves", "its gateway dies"])
async def test_a_stream_that_is_ended_as_it_begins_is_closed_in_its_worker(end: str) -> None:
    gateways, _ = one_more()
    gateway, taken = owner_module._Gateway(gateways._rooms), list[Exchange]()
    pool: Any = SimpleNamespace(submit=taken.append)
    gateway._submit(7, wire_calls.Call("1", "r", "", "q", b"", b""), pool)
    (exchange,) = taken
    stream: Any = Stream()
    exchange.stream = stream
    exchange.heard(exchange)
    gateway._cancel(7) if end == "its caller leaves" else gateway.close()
    async with asyncio.timeout(5):
        await stream.closed.wait()


async def test_gateways_end_with_their_backend(backends: StartBackend) -> None:
    backend = backends(FAL_SERVERLESS_GATEWAYS="3")
    handles = [os.pidfd_open(pid) for pid in gateways(backend)]
    backend.kill()
    loop = asyncio.get_running_loop()
    for handle in handles:
        ended = loop.create_future()
        loop.add_reader(handle, ended.set_result, None)
        await asyncio.wait_for(ended, 10)
        loop.remove_reader(handle)
        os.close(handle)


async def test_a_stop_lets_every_gateway_finish_what_it_has(backends: StartBackend) -> None:
    backend = backends(FAL_SERVERLESS_GATEWAYS="3")
    async with backend.client() as client:
        await serve(backend, client, "texts.py", "wait", "wait", "public")
        async with many(backend) as connections:
            for connection in connections[:8]:
                await connection.send(request("wait", b'{"seconds": 1}'))
            begun = 0
            async for entry in client.tail(LogQuery(label="wait")):
                begun += "waits for 1" in entry.message
                if begun == 8:
                    break
            backend.process.send_signal(signal.SIGTERM)
            assert {await status(connection) for connection in connections[:8]} == {
                (200, b'"waited"')
            }
    assert backend.stop() == 0
