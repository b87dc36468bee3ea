"""Answers and requests at the edges of HTTP, through the gateway byte by byte."""

from __future__ import annotations

from contextlib import suppress

import pytest

from backend.gateway.raw import exchange, get, wire
from fal_serverless.client import Client
from fal_serverless.models import LogQuery
from running import RunningBackend, StartBackend
from serving import serve

BASE = "/1/scripted"


@pytest.fixture(autouse=True)
async def served(backend: RunningBackend, client: Client) -> None:
    if not any(alias.name == "scripted" for alias in await client.aliases()):
        await serve(backend, client, "scripted_server.py", "scripted_server", "scripted", "public")


def keeping(request: bytes) -> bytes:
    """The same from a client that would go on with the connection."""
    return request.replace(b"Connection: close\r\n", b"")


def names(head: bytes) -> dict[bytes, bytes]:
    pairs = (line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    return {name.lower(): value for name, value in pairs}


async def test_304_keeps_its_length_and_the_connection_lives_on(backend: RunningBackend) -> None:
    request = get(f"{BASE}/304").replace(b"Connection: close\r\n", b"")
    async with wire(backend) as connection:
        for _ in range(2):
            await connection.send(request)
            head = await connection.head()
            assert head.startswith(b"HTTP/1.1 304 ")
            assert names(head[:-4])[b"content-length"] == b"5"
            assert names(head[:-4])[b"etag"] == b"x"


async def test_204_and_head_have_neither_body_nor_framing_for_one(
    backend: RunningBackend,
) -> None:
    head, body = await exchange(backend, get(f"{BASE}/204"))
    assert head.startswith(b"HTTP/1.1 204 ") and body == b""
    assert not {b"content-length", b"transfer-encoding"} & set(names(head))
    head, body = await exchange(backend, get(f"{BASE}/until-close", method="HEAD"))
    assert head.startswith(b"HTTP/1.1 200 ") and body == b""
    head, body = await exchange(backend, get(f"{BASE}/cut", method="HEAD"))
    assert names(head)[b"content-length"] == b"100" and body == b""


async def test_an_answer_without_a_length_ends_with_its_connection(
    backend: RunningBackend,
) -> None:
    head, body = await exchange(backend, get(f"{BASE}/until-close"))
    assert names(head)[b"transfer-encoding"] == b"chunked"
    assert body == b"c\r\nall there is\r\n0\r\n\r\n"


async def test_interim_answers_are_not_taken_for_the_final_one(backend: RunningBackend) -> None:
    head, body = await exchange(backend, get(f"{BASE}/hints"))
    assert head.startswith(b"HTTP/1.1 200 ") and body == b"body"
    assert b"link" not in names(head)


async def test_chunks_arrive_without_extensions_and_trailers(backend: RunningBackend) -> None:
    head, body = await exchange(backend, get(f"{BASE}/chunked"))
    assert body == b"5\r\nabcde\r\n0\r\n\r\n"
    assert not {b"x-late", b"trailer"} & set(names(head))


async def test_only_the_first_answer_counts(backend: RunningBackend) -> None:
    head, body = await exchange(backend, get(f"{BASE}/two"))
    assert head.startswith(b"HTTP/1.1 200 ") and body == b"1"


async def test_any_status_passes(backend: RunningBackend) -> None:
    head, _ = await exchange(backend, get(f"{BASE}/odd"))
    assert head.startswith(b"HTTP/1.1 299 ")


@pytest.mark.parametrize("name", ["cut", "cut-chunked", "reset"])
async def test_an_answer_that_is_cut_short_is_seen_to_be(
    backend: RunningBackend, client: Client, name: str
) -> None:
    # Another answer on the connection would be taken for the rest of this one.
    asked = keeping(get(f"{BASE}/{name}")) + get(f"{BASE}/304")
    head, body = await exchange(backend, asked)
    assert head.startswith(b"HTTP/1.1 200 ")
    if name == "cut-chunked":
        assert body == b"3\r\nabc\r\n"
    else:
        assert body in (b"only this", b"") and names(head)[b"content-length"] == b"100"
    said = await client.logs(LogQuery(label="scripted", level="ERROR"))
    assert "in the middle of its answer" in said[-1].message


@pytest.mark.parametrize(
    ("name", "reason"), [("nothing", "without an answer"), ("nonsense", "did not answer in HTTP")]
)
async def test_what_is_no_answer_is_502(backend: RunningBackend, name: str, reason: str) -> None:
    head, body = await exchange(backend, get(f"{BASE}/{name}"))
    assert head.startswith(b"HTTP/1.1 502 ")
    assert reason in body.decode()


async def test_an_early_answer_arrives_though_the_request_goes_on(
    backend: RunningBackend,
) -> None:
    size = 20_000_000
    async with wire(backend) as connection:
        head = get(f"{BASE}/early", f"Content-Length: {size}", method="POST")
        await connection.send(head + b"x" * 1_000_000)
        answered = await connection.head()
    assert answered.startswith(b"HTTP/1.1 413 ")


# 100-continue


EXPECT = ("Expect: 100-continue", "Content-Length: 4")


async def test_continue_comes_from_the_function_and_the_body_follows(
    backend: RunningBackend,
) -> None:
    async with wire(backend) as connection:
        await connection.send(get(f"{BASE}/expect-accept", *EXPECT, method="POST"))
        assert (await connection.head()).startswith(b"HTTP/1.1 100 ")
        await connection.send(b"body")
        assert (await connection.head()).startswith(b"HTTP/1.1 200 ")
        assert await connection.rest() == b"body"


async def test_a_refusal_comes_instead_of_continue(backend: RunningBackend) -> None:
    async with wire(backend) as connection:
        await connection.send(get(f"{BASE}/expect-refuse", *EXPECT, method="POST"))
        assert (await connection.head()).startswith(b"HTTP/1.1 417 ")


async def test_a_server_that_never_says_continue_gets_the_body_all_the_same(
    backend: RunningBackend,
) -> None:
    async with wire(backend) as connection:
        await connection.send(get(f"{BASE}/never", *EXPECT, method="POST"))
        assert (await connection.head()).startswith(b"HTTP/1.1 100 ")
        await connection.send(b"body")
        assert (await connection.head()).startswith(b"HTTP/1.1 502 ")


# What reaches the function


async def test_the_path_arrives_byte_by_byte(backend: RunningBackend) -> None:
    for path in ("/a%2Fb/%C3%A9//../c", "/;p=1", "/%00", "/a+b"):
        _, body = await exchange(backend, get(f"{BASE}{path}?q=%2f&q&r=+"))
        assert body.split(b"\r\n")[0] == f"GET {path}?q=%2f&q&r=+ HTTP/1.1".encode("latin-1")


async def test_a_caller_elsewhere_cannot_choose_what_is_forwarded(
    backend: RunningBackend,
) -> None:
    given = ("X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /x")
    _, body = await exchange(backend, get(f"{BASE}/what", *given))
    heads = [line.lower() for line in body.split(b"\r\n") if line.lower().startswith(b"x-forw")]
    assert sorted(heads) == [
        b"x-forwarded-for: 9.9.9.9, 127.0.0.1",
        b"x-forwarded-host: 127.0.0.1",
        b"x-forwarded-prefix: /1/scripted",
        b"x-forwarded-proto: https",
    ]


async def test_a_big_header_passes_and_a_bigger_one_is_431(backend: RunningBackend) -> None:
    value = "v" * 60_000
    _, body = await exchange(backend, get(f"{BASE}/what", f"X-Big: {value}"))
    assert value.encode() in body
    head, _ = await exchange(backend, get(f"{BASE}/what", f"X-Big: {value * 2}"))
    assert head.startswith(b"HTTP/1.1 431 ")


async def test_host_arrives_as_it_was_sent(backend: RunningBackend) -> None:
    host = f"1-scripted.gateway.localhost:{backend.port}"
    request = get("/what").replace(b"Host: 127.0.0.1", f"Host: {host}".encode())
    _, body = await exchange(backend, request)
    assert f"host: {host}".encode() in body
    assert b"x-forwarded-prefix" not in body


async def test_a_server_that_does_not_answer_in_time_is_504(
    backends: StartBackend,
) -> None:
    own = backends(FAL_SERVERLESS_REQUEST_TIMEOUT="0.3")
    async with own.client() as client:
        await serve(own, client, "scripted_server.py", "scripted_server", "scripted", "public")
        head, body = await exchange(own, get(f"{BASE}/never"))
    own.stop()
    assert head.startswith(b"HTTP/1.1 504 ") and b"request_timeout" in body


# Upgrades


UPGRADE = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


async def test_a_refused_upgrade_is_an_answer_and_nothing_goes_on_after_it(
    backend: RunningBackend, client: Client
) -> None:
    request = get(f"{BASE}/upgrade-refuse", *UPGRADE).replace(b"close", b"Upgrade")
    async with wire(backend) as connection:
        await connection.send(request)
        head = await connection.head()
        assert head.startswith(b"HTTP/1.1 403 ") and b"connection: close" in head
        assert b"x-fal-request-id" in head
        assert await connection.reader.readexactly(2) == b"no"
        with suppress(ConnectionError):
            connection.writer.write(b"GET /past-the-gateway HTTP/1.1\r\n\r\n")
            assert await connection.rest() == b""
    async for entry in client.tail(LogQuery(label="scripted")):
        if entry.message.startswith("after the refusal"):
            assert entry.message == "after the refusal: b''"
            return


@pytest.mark.parametrize("name", ["two", "cut", "hints", "chunked", "204", "304", "until-close"])
async def test_the_same_answer_is_passed_on_the_same_way_again(
    backend: RunningBackend, name: str
) -> None:
    for method in ("GET", "HEAD", "GET"):
        shown = []
        for _ in range(3):
            head, body = await exchange(backend, get(f"{BASE}/{name}", method=method))
            told = names(head)
            del told[b"x-fal-request-id"]
            shown.append((told, body))
        assert shown[0] == shown[1] == shown[2]
