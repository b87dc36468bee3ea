"""Connections to a function's own server that are used again, and those that must not be."""

from __future__ import annotations

import asyncio

import pytest

from backend.gateway.raw import wire
from fal_serverless.client import Client
from running import RunningBackend
from serving import serve


@pytest.fixture(autouse=True)
async def served(backend: RunningBackend, client: Client) -> None:
    known = {alias.name for alias in await client.aliases()}
    for alias in {"keeping", "ending", "more-than-said", "more-later"} - known:
        await serve(backend, client, "keeping_server.py", "keeping_server", alias, "public")


async def ask(backend: RunningBackend, way: str, times: int, alias: str = "keeping") -> list[bytes]:
    """The bodies of so many answers, asked for one after the other on one connection."""
    found = []
    request = f"POST /1/{alias}/{way} HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
    async with wire(backend) as connection:
        for _ in range(times):
            await connection.send(request.encode())
            head = await connection.head()
            assert head.startswith(b"HTTP/1.1 200 "), head
            length = int(head.lower().partition(b"content-length: ")[2].split()[0])
            found.append(await connection.reader.readexactly(length))
    return found


async def until_trusted(backend: RunningBackend) -> None:
    """Until it is known that the server keeps connections."""
    async with asyncio.timeout(20):
        while len(set(await ask(backend, "plain", 2))) > 1:
            pass


async def test_a_server_that_keeps_connections_is_asked_on_few(backend: RunningBackend) -> None:
    await until_trusted(backend)
    answers = await ask(backend, "plain", 200)
    assert len(set(answers)) == 1


async def test_one_that_closes_without_a_word_loses_no_request(backend: RunningBackend) -> None:
    answers = await ask(backend, "silent-end", 100, "ending")
    assert len(set(answers)) == 100


@pytest.mark.parametrize("way", ["more-than-said", "more-later"])
async def test_what_nobody_asked_for_is_given_to_nobody(backend: RunningBackend, way: str) -> None:
    answers = await asyncio.gather(*(ask(backend, way, 20, alias=way) for _ in range(5)))
    assert all(body.startswith(b"connection ") for bodies in answers for body in bodies)
    assert all(b.startswith(b"connection ") for b in await ask(backend, "plain", 20, alias=way))


async def test_an_answer_in_pieces_is_whole(backend: RunningBackend) -> None:
    for _ in range(3):
        assert all(b.startswith(b"connection ") for b in await ask(backend, "in-pieces", 5))


async def test_many_callers_share_connections_and_get_their_own_answers(
    backend: RunningBackend,
) -> None:
    await until_trusted(backend)
    answers = await asyncio.gather(*(ask(backend, "plain", 50) for _ in range(30)))
    assert sum(map(len, answers)) == 1500
    assert len({body for bodies in answers for body in bodies}) <= 200
