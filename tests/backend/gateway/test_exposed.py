"""Calls of an exposed port: what reaches the function's server, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os

import httpx
import pytest

from fal_serverless.client import Client
from fal_serverless.models import Served
from running import RunningBackend
from serving import serve, wait_for_log


@pytest.fixture
async def served(backend: RunningBackend, client: Client) -> Served:
    for alias in await client.aliases():
        if alias.name == "echo":
            revision = await client.revision(alias.revision)
            return Served(revision, alias, alias.url, alias.path_url, 0)
    return await serve(backend, client, "echo_server.py", "echo_server", "echo", "public")


async def call(method: str, url: str, **options: object) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as http:
        return await http.request(method, url, **options)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_with_sub_path_and_raw_query(served: Served, method: str) -> None:
    answer = await call(method, f"{served.path_url}/a%2Fb/c?x=%20&x=2&y")
    assert answer.json()["method"] == method
    assert answer.json()["path"] == "/a%2Fb/c?x=%20&x=2&y"


async def test_head_and_answers_without_a_body(served: Served) -> None:
    head = await call("HEAD", f"{served.path_url}/")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0
    for status in (204, 304, 404, 500):
        assert (await call("GET", f"{served.path_url}/status/{status}")).status_code == status


async def test_duplicate_headers_pass_both_ways(served: Served) -> None:
    answer = await call("GET", f"{served.path_url}/", headers=[("X-A", "1"), ("X-A", "2")])
    sent = [value for name, value in answer.json()["headers"] if name == "x-a"]
    assert sent == ["1", "2"]
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]


async def test_forwarded_headers_and_request_id_are_added(
    backend: RunningBackend, served: Served
) -> None:
    answer = await call(
        "GET", f"{served.path_url}/", headers={"Connection": "x-gone", "X-Gone": "1"}
    )
    headers = dict(answer.json()["headers"])
    assert headers["x-forwarded-prefix"] == "/1/echo"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-fal-request-id"] == answer.headers["x-fal-request-id"]
    assert headers["host"] == f"127.0.0.1:{backend.port}"
    assert "x-gone" not in headers


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_our_credentials_are_removed_and_others_stay(
    backend: RunningBackend, served: Served, method: str
) -> None:
    """On the short way to the function's server, and on the general one."""
    key_id, _, secret = backend.key.partition(":")
    ours = await call(
        method,
        f"{served.path_url}/?a=1&fal_key_id={key_id}&fal_key_secret={secret}",
        headers={"Authorization": f"Key {backend.key}", "X-Fal-Key-Id": key_id},
    )
    assert secret not in ours.text
    assert key_id not in ours.text
    assert ours.json()["path"] == "/?a=1"
    theirs = await call(method, f"{served.path_url}/", headers={"Authorization": "Bearer own"})
    assert dict(theirs.json()["headers"])["authorization"] == "Bearer own"


async def test_what_pages_may_ask_is_for_the_functions_server_to_say(
    client: Client, served: Served
) -> None:
    await client.set_auth("echo", "private")
    try:
        asked = {"Origin": "http://page.test", "Access-Control-Request-Method": "PUT"}
        answer = await call("OPTIONS", f"{served.path_url}/", headers=asked)
        assert (answer.status_code, answer.json()["method"]) == (200, "OPTIONS")
        assert "access-control-allow-origin" not in answer.headers
        assert (await call("OPTIONS", f"{served.path_url}/")).status_code == 401
    finally:
        await client.set_auth("echo", "public")


async def test_a_large_body_arrives_whole_with_and_without_a_length(served: Served) -> None:
    data = os.urandom(5_000_000)

    async def pieces() -> object:
        for start in range(0, len(data), 100_000):
            yield data[start : start + 100_000]

    for content in (data, pieces()):
        answer = await call("POST", f"{served.path_url}/", content=content)
        assert answer.json()["size"] == len(data)
        assert answer.json()["sha"] == hashlib.sha256(data).hexdigest()


async def test_events_arrive_as_they_are_sent(served: Served) -> None:
    async with (
        httpx.AsyncClient() as http,
        http.stream("GET", f"{served.path_url}/stream") as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        lines = [line async for line in answer.aiter_lines() if line]
    assert lines == ["data: first", "data: last"]


async def test_a_caller_who_hangs_up_is_noticed_by_the_function(
    client: Client, served: Served
) -> None:
    async with (
        httpx.AsyncClient() as http,
        http.stream("GET", f"{served.path_url}/stream/until-gone") as answer,
    ):
        assert await anext(answer.aiter_lines()) == "data: first"
    await wait_for_log(client, "echo", "the caller has gone")


async def test_a_websocket_passes_untouched(backend: RunningBackend, served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /1/echo/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    expected = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert base64.b64encode(expected) in head
    writer.write(b"frames are not ours")
    assert await reader.readexactly(19) == b"frames are not ours"[::-1]
    writer.close()
    await writer.wait_closed()


async def test_a_websocket_to_nowhere_or_without_a_key_is_refused_in_http(
    backend: RunningBackend, client: Client, served: Served
) -> None:
    await client.set_alias("echo-private", served.revision.id)
    for path, status in (("/1/nothing/ws", 404), ("/1/echo-private/ws", 401)):
        reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert head.split()[1] == str(status).encode()
        assert "error_type" in json.loads(body)
        writer.close()
