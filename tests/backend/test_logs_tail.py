"""Tails of a real backend: cut, restarted, slow, many."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from bundles import Write
from cutting import Cutter
from fal_serverless.client import Client
from fal_serverless.errors import BadInput, Unreachable
from fal_serverless.models import LogQuery
from running import RunningBackend, StartBackend, stores_on
from serving import serve

COUNTING = """
import time
from fal_serverless import isolated

@isolated(serve=True)
def count(first: int, upto: int, pause: float = 0.0):
    for number in range(first, upto):
        print(f"line {number}")
        if pause and number % 20 == 0:
            time.sleep(pause)
    return upto
"""


@dataclass
class Counting:
    """An endpoint that prints numbers."""

    backend: RunningBackend
    label: str

    def query(self) -> LogQuery:
        return LogQuery(label=self.label, sources=("user",), search="^line", after=0)

    async def say(self, client: Client, first: int, upto: int, pause: float = 0.0) -> None:
        body = json.dumps({"first": first, "upto": upto, "pause": pause}).encode()
        assert (await client.invoke(self.label, body)).status == 200

    async def numbers(self, client: Client, count: int) -> list[int]:
        """Of the first lines that a tail gives that goes on after every loss."""
        found = []
        async with aclosing(client.tail(self.query(), lost=at_once)) as tail:
            async for entry in tail:
                found.append(int(entry.message.split()[1]))
                if len(found) == count:
                    break
        return found


@pytest.fixture
async def counting(backend: RunningBackend, client: Client, write: Write) -> Counting:
    label = f"count-{uuid.uuid4().hex[:8]}"
    await serve(backend, client, write(COUNTING), "count", label, "public")
    return Counting(backend, label)


async def at_once(_lost: Unreachable, tries: int) -> None:
    await asyncio.sleep(0.01 if tries < 1000 else 1)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_tail_that_is_cut_fifty_times_has_each_line_once(
    counting: Counting, client: Client, seed: int
) -> None:
    backend = counting.backend
    cutter = Cutter(backend.port, cuts=50, most=20_000, seed=seed)
    async with cutter.running(), Client(cutter.url, backend.key) as reader:
        saying = asyncio.create_task(counting.say(client, 0, 4000, 0.005))
        found = await asyncio.wait_for(counting.numbers(reader, 4000), 60)
        await saying
    assert found == list(range(4000))
    assert cutter.cuts == 50


async def test_a_tail_outlives_backend_and_log_store(backends: StartBackend, write: Write) -> None:
    backend = backends()
    counting = Counting(backend, "count")
    async with backend.client() as client, backend.client() as reader:
        await serve(backend, client, write(COUNTING), "count", "count", "public")
        reading = asyncio.create_task(counting.numbers(reader, 3000))
        await counting.say(client, 0, 1000)
        store = stores_on(backend.home / "state" / "logs")[0]
        os.kill(store, signal.SIGKILL)
        await counting.say(client, 1000, 2000)
        assert len(await client.logs(LogQuery(lines=1))) == 1
        await asyncio.to_thread(backend.kill)
        again = await asyncio.to_thread(backends, backend.home, backend.port)
        async with again.client() as other:
            await counting.say(other, 2000, 3000)
        assert await asyncio.wait_for(reading, 30) == list(range(3000))


async def test_a_tail_goes_on_with_what_its_label_comes_to_point_at(
    backend: RunningBackend, client: Client, write: Write
) -> None:
    label = f"count-{uuid.uuid4().hex[:8]}"
    counting = Counting(backend, label)
    reading = asyncio.create_task(counting.numbers(client, 300))  # there is no such label yet
    await serve(backend, client, write(COUNTING), "count", label, "public")
    await counting.say(client, 0, 100)
    await serve(backend, client, write(COUNTING), "count", label)
    await counting.say(client, 100, 200)
    other = await serve(backend, client, write(COUNTING), "count")
    await client.set_alias(label, other.revision.id)
    await counting.say(client, 200, 300)
    assert await asyncio.wait_for(reading, 20) == list(range(300))


async def test_an_event_has_its_entrys_id_and_a_browser_goes_on_from_it(
    counting: Counting, client: Client
) -> None:
    await counting.say(client, 0, 10)
    seen = await client.logs(counting.query())
    url = f"/v1/logs/tail?label={counting.label}&sources=user"
    headers = {"Last-Event-ID": str(seen[5].id)}
    async with client._http.stream("GET", url, headers=headers) as answer:
        lines = answer.aiter_lines()
        events = [line async for line in _until(lines, '"line 9"')]
    assert [line for line in events if line.startswith("id: ")] == [
        f"id: {entry.id}" for entry in seen[6:]
    ]


async def _until(lines: AsyncIterator[str], text: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if text in line:
            return


@pytest.mark.parametrize("wrong", ["x", "-1", str(2**63)])
async def test_an_id_that_is_none_is_refused(client: Client, wrong: str) -> None:
    answer = await client._http.get("/v1/logs/tail", headers={"Last-Event-ID": wrong})
    assert (answer.status_code, wrong in answer.text) == (400, True)
    answer = await client._http.get(f"/v1/logs?after={wrong}")
    assert answer.status_code == 400


async def test_a_number_of_thousands_of_digits_is_refused_like_any_other(client: Client) -> None:
    long = "9" * 5000
    for path, headers in (("logs/tail", {"Last-Event-ID": long}), (f"logs?after={long}", {})):
        answer = await client._http.get(f"/v1/{path}", headers=headers)
        assert answer.status_code == 400
        assert len(answer.text) < 500
    for path in (f"audit?lines={long}", f"metrics/series?seconds={long}"):
        assert (await client._http.get(f"/v1/{path}")).status_code == 400


async def test_a_reader_that_does_not_read_holds_up_nobody(
    counting: Counting, client: Client
) -> None:
    backend = counting.backend
    reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
    query = f"label={counting.label}&sources=user&search=%5Eline&after=0"
    head = f"GET /v1/logs/tail?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    writer.write(f"{head}Authorization: Key {backend.key}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    quick = asyncio.create_task(counting.numbers(client, 50_000))
    await counting.say(client, 0, 50_000)
    assert await asyncio.wait_for(quick, 30) == list(range(50_000))
    said = b""
    while b'"line 49999"' not in said[-400:]:
        said += await reader.read(1 << 20)
    assert said.count(b'"message":"line ') == 50_000
    writer.close()


async def test_an_expression_that_takes_for_ever_is_given_up(
    client: Client, backend: RunningBackend
) -> None:
    await serve(backend, client, "texts.py", "call_text", "slowly", "public")
    await client.invoke("slowly", json.dumps({"text": "a" * 60 + "!"}).encode())
    with pytest.raises(BadInput, match="simpler"):
        await client.logs(LogQuery(label="slowly", search="(a+)+$"))
    assert await client.logs(LogQuery(label="slowly", search="a+"))
