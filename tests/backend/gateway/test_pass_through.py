"""Much, slow and long-lived traffic of a real ASGI server, through the gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.gateway.raw import exchange, get, wire
from fal_serverless.client import Client
from fal_serverless.models import Alias, LogQuery
from running import FUNCTIONS, RunningBackend
from serving import serve, wait_for_log

BASE = "/1/passing"
MUCH = 200_000_000
GROWTH = 64 * 1024**2
"""Bytes that the backend may grow by while it passes `MUCH`."""


@pytest.fixture(autouse=True)
async def alias(backend: RunningBackend, client: Client) -> Alias:
    if not any(alias.name == "passing" for alias in await client.aliases()):
        await serve(backend, client, "passing_app.py", "passing_app", "passing", "public")
    return await client.alias("passing")


def resident(backend: RunningBackend) -> int:
    """Bytes of the backend in memory now."""
    return _status(backend, "VmRSS:")


def highest(backend: RunningBackend) -> int:
    """Bytes of the backend in memory at its peak."""
    return _status(backend, "VmHWM:")


def _status(backend: RunningBackend, name: str) -> int:
    lines = Path(f"/proc/{backend.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


@pytest.fixture
def flat(backend: RunningBackend) -> Any:
    """Asserts that the backend's memory never rose by more than `GROWTH` since the last call."""

    def reset() -> int:
        # Makes the present the peak (proc(5), clear_refs).
        Path(f"/proc/{backend.process.pid}/clear_refs").write_text("5")
        return resident(backend)

    before = reset()

    def check() -> None:
        assert highest(backend) - before < GROWTH

    return check


async def test_200_mb_down_with_flat_memory(backend: RunningBackend, flat: Any) -> None:
    for query in (f"size={MUCH}", f"size={MUCH}&length=1"):
        got = 0
        async with (
            httpx.AsyncClient(timeout=60) as http,
            http.stream("GET", f"{backend.url}{BASE}/down?{query}") as answer,
        ):
            assert ("content-length" in answer.headers) == query.endswith("length=1")
            async for piece in answer.aiter_raw():
                got += len(piece)
        assert got == MUCH
    flat()


async def test_200_mb_up_with_flat_memory(backend: RunningBackend, flat: Any) -> None:
    piece = os.urandom(1_000_000)
    digest = hashlib.sha256()
    for _ in range(MUCH // len(piece)):
        digest.update(piece)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MUCH // len(piece)):
            yield piece

    async with httpx.AsyncClient(timeout=60) as http:
        for headers in ({}, {"Content-Length": str(MUCH)}):
            url = f"{backend.url}{BASE}/up"
            answer = await http.post(url, content=pieces(), headers=headers)
            assert answer.json() == {"size": MUCH, "sha": digest.hexdigest()}
    flat()


async def test_a_slow_reader_holds_the_function_up_not_the_backend(
    backend: RunningBackend, client: Client, flat: Any
) -> None:
    began = datetime.now(UTC)
    async with wire(backend) as connection:
        await connection.send(get(f"{BASE}/down?size={MUCH}&length=1"))
        assert (await connection.head()).startswith(b"HTTP/1.1 200 ")
        # Nothing is read any more: all on the way fills, and then the function waits.
        others = [await exchange(backend, get(f"{BASE}/told")) for _ in range(50)]
        assert all(head.startswith(b"HTTP/1.1 200 ") for head, _ in others)
        told = await client.logs(LogQuery(label="passing", since=began, search="^sent "))
        assert max((int(e.message.split()[1]) for e in told), default=0) < MUCH / 2
        flat()
        assert len(await connection.rest()) == MUCH


async def test_the_first_event_is_seen_before_the_second_is_sent(
    backend: RunningBackend,
) -> None:
    async with (
        httpx.AsyncClient(timeout=20) as http,
        http.stream("GET", f"{backend.url}{BASE}/events") as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: first"
        # Only this lets the function send the second one.
        assert (await http.post(f"{backend.url}{BASE}/release")).status_code == 200
        assert [line async for line in lines if line] == ["data: second"]


async def test_redirects_and_cookies_are_untouched(backend: RunningBackend) -> None:
    head, _ = await exchange(backend, get(f"{BASE}/redirect", "Cookie: x=1; y=2"))
    lines = head.split(b"\r\n")
    assert lines[0].startswith(b"HTTP/1.1 307 ")
    assert b"location: /else where?x=%20" in lines
    cookies = [line for line in lines if line.startswith(b"set-cookie")]
    assert cookies == [b"set-cookie: a=1; Path=/", b"set-cookie: b=2; HttpOnly"]
    _, body = await exchange(backend, get(f"{BASE}/told", "Cookie: x=1", "Cookie: y=2"))
    assert b'["cookie", "x=1"], ["cookie", "y=2"]' in body


# WebSockets


async def talk(backend: RunningBackend, alias: Alias, client: Client, what: str) -> dict[str, Any]:
    """What the real client saw; it runs in the function's own environment."""
    revision = await client.revision(alias.revision)
    python = backend.home / "state" / "environments" / revision.environment / "bin" / "python"
    path = "/refuse" if what == "refuse" else "/socket"
    url = f"ws://127.0.0.1:{backend.port}{BASE}{path}"
    child = await asyncio.create_subprocess_exec(
        python, FUNCTIONS / "websocket_client.py", url, what, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(child.communicate(), 60)
    seen: dict[str, Any] = json.loads(out or b"{}")
    return seen


async def test_text_binary_subprotocol_ping_and_the_callers_close(
    backend: RunningBackend, alias: Alias, client: Client
) -> None:
    seen = await talk(backend, alias, client, "echo")
    assert len(seen.pop("request_id")) == 32
    assert seen == {"subprotocol": "b.v2", "text": "text ä", "binary": True, "pong": True}
    await wait_for_log(client, "passing", "closed with 4001 enough")


async def test_the_functions_close_arrives_with_code_and_reason(
    backend: RunningBackend, alias: Alias, client: Client
) -> None:
    seen = await talk(backend, alias, client, "closed")
    assert (seen["code"], seen["reason"]) == (4321, "as you wish")


async def test_the_functions_refusal_arrives(
    backend: RunningBackend, alias: Alias, client: Client
) -> None:
    assert await talk(backend, alias, client, "refuse") == {"status": 403}


async def test_a_caller_who_vanishes_is_noticed(
    backend: RunningBackend, alias: Alias, client: Client
) -> None:
    await talk(backend, alias, client, "vanish")
    await wait_for_log(client, "passing", "closed with 100")
