"""One request in is one request out: whatever could be read as two is refused."""

from __future__ import annotations

import asyncio
import json

import pytest

from backend.gateway.raw import Wire, wire
from running import RunningBackend, StartBackend
from security import hostile
from security.hostile import ONE, REFUSED, Case
from serving import serve

pytestmark = pytest.mark.bad("request smuggling")
HOST = "1-recording.gateway.localhost"
SERVED = "1-texts.gateway.localhost"


@pytest.fixture(scope="module")
def stage(backends: StartBackend) -> RunningBackend:
    """A backend with a server that keeps what reaches it, and a served function."""
    backend = backends()
    asyncio.run(prepare(backend))
    return backend


async def prepare(backend: RunningBackend) -> None:
    async with backend.client() as client:
        await serve(
            backend, client, "recording_server.py", "recording_server", "recording", "public"
        )
        await serve(backend, client, "texts.py", "call_text", "texts", "public")


def plain(host: str, target: str = "/last", *lines: str) -> bytes:
    return hostile.get(target, *lines).replace("{host}", host).encode()


async def reached(backend: RunningBackend) -> list[str]:
    """Everything that came to the server since it was asked last, whole requests or parts."""
    async with wire(backend) as connection:
        found: list[str] = json.loads((await connection.ask(plain(HOST, "/told"))).body)
        return found


async def warm(backend: RunningBackend, connection: Wire, host: str) -> None:
    """Have the gateway know a head of this connection, which the next ones begin like."""
    for _ in range(2):
        await connection.ask(plain(host, "/a"))
    await reached(backend)


def statuses(answered: bytes) -> list[int]:
    return [int(part[:3]) for part in answered.split(b"HTTP/1.1 ")[1:]]


cases = pytest.mark.parametrize("case", REFUSED, ids=[case.name for case in REFUSED])
both = pytest.mark.parametrize("is_warm", [False, True], ids=["first", "later"])


@cases
@both
async def test_what_can_be_read_twice_is_refused(
    stage: RunningBackend, case: Case, is_warm: bool
) -> None:
    async with wire(stage) as connection:
        if is_warm:
            await warm(stage, connection, HOST)
        await connection.send(case.bytes(HOST))
        assert statuses(await connection.rest()) == [400]
    for text in await reached(stage):
        # Of a body in chunks the beginning may be there: the server waits for the rest in vain.
        assert text.startswith("POST /a ") and text.count(" HTTP/1.1\r\n") == 1
        assert not text.endswith("0\r\n\r\n")


@cases
async def test_a_served_function_hears_nothing_of_it(stage: RunningBackend, case: Case) -> None:
    async with wire(stage) as connection:
        await connection.send(case.bytes(SERVED))
        found = statuses(await connection.rest())
    # Another path than its own is refused first, where the body is what is wrong.
    assert found in ([400], [404])


@pytest.mark.parametrize("case", ONE, ids=[case.name for case in ONE])
@both
async def test_what_is_one_request_arrives_as_one(
    stage: RunningBackend, case: Case, is_warm: bool
) -> None:
    await reached(stage)
    async with wire(stage) as connection:
        if is_warm:
            await warm(stage, connection, HOST)
        assert (await connection.ask(case.bytes(HOST))).status == 200
        (text,) = await reached(stage)
        # The connection goes on with the next one.
        await connection.send(plain(HOST, "/last", "Connection: close"))
        assert statuses(await connection.rest()) == [200]
    head, _, body = text.partition("\r\n\r\n")
    names = [line.partition(":")[0] for line in head.split("\r\n")[1:]]
    assert head.split()[1] == case.target
    assert body == case.body
    assert names.count("host") == 1
    assert not {"x-late", "x-fal-key-id"} & set(names)


async def test_what_follows_is_looked_at_by_itself(stage: RunningBackend) -> None:
    """A second request in the same bytes goes where its own Host says."""
    await reached(stage)
    async with wire(stage) as connection:
        other = hostile.get("/b", host="Host: 1-nobody.gateway.localhost").encode()
        await connection.send(plain(HOST, "/a") + other + plain(HOST, "/c", "Connection: close"))
        assert statuses(await connection.rest()) == [200, 404, 200]
    assert [text.split()[1] for text in await reached(stage)] == ["/a", "/c"]


async def test_an_upgrade_waits_for_the_answer_before_it(stage: RunningBackend) -> None:
    async with wire(stage) as connection:
        chunks = hostile.request("/a", hostile.CHUNKED).replace("{host}", HOST).encode()
        upgrade = plain(HOST, "/ws", *hostile.UPGRADE)
        await connection.send(chunks + b"0\r\n\r\n" + upgrade)
        assert statuses(await connection.rest()) == [400]
    assert not any("/ws" in text for text in await reached(stage))


@pytest.mark.parametrize("warmth", ["first", "later"])
async def test_nobody_says_for_us_where_a_request_came_from(
    stage: RunningBackend, warmth: str
) -> None:
    """Nor with `_`, which a WSGI server takes for `-`; nor by having ours dropped on the way."""
    lines = (
        "X_Forwarded_Prefix: /forged",
        "X-Forwarded_Host: forged",
        "X_Fal-Request_Id: forged",
        "X-Forwarded-Proto: forged",
    )
    lines += ("Connection: X-Forwarded-Prefix, X-Fal-Request-Id",) if warmth == "later" else ()
    await reached(stage)
    async with wire(stage) as connection:
        await connection.ask(plain(HOST, "/a", *lines))
    (text,) = await reached(stage)
    assert "x-fal-request-id" in text
    assert "forged" not in text.replace("x-forwarded-proto: forged", "")
