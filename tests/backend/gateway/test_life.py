"""Bursts, queues and the number of workers, seen by callers."""

from __future__ import annotations

import asyncio
import json

import httpx

from fal_serverless.client import Client
from running import RunningBackend, StartBackend
from serving import serve

LIFE = "life.py"


async def calls(url: str, bodies: list[object]) -> list[httpx.Response]:
    """All at once."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=60, limits=limits) as http:
        return await asyncio.gather(*(http.post(url, content=json.dumps(body)) for body in bodies))


async def until_no_worker_of(client: Client, name: str) -> None:
    async for _ in client.changes():
        if not any(worker.function == name for worker in await client.workers()):
            return


async def test_a_burst_at_a_function_scaled_to_zero_loses_no_call(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, LIFE, "from_zero", "zero", "public")
    await until_no_worker_of(client, "zero")
    answers = await calls(served.path_url, [{"number": n} for n in range(300)])
    assert [answer.status_code for answer in answers] == [200] * 300
    assert [answer.json() for answer in answers] == list(range(300))


async def test_a_full_queue_is_503_with_retry_after_and_what_waits_is_answered(
    backends: StartBackend,
) -> None:
    small = backends(FAL_SERVERLESS_QUEUE_SIZE="5")
    async with small.client() as client:
        served = await serve(small, client, LIFE, "one_at_a_time", "one", "public")
        answers = await calls(served.path_url, [{"seconds": 0.2}] * 20)
    codes = [answer.status_code for answer in answers]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert codes.count(200) >= 5
    assert codes.count(200) + len(refused) == 20
    assert all(answer.headers["retry-after"] for answer in refused)
    assert {answer.json()["error_type"] for answer in refused} == {"queue_full"}


async def test_workers_come_up_to_max_concurrency_and_not_beyond(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, LIFE, "busy", "busy", "public")
    answers = await calls(served.path_url, [{"seconds": 0.4}] * 9)
    assert len({answer.json() for answer in answers}) == 3


async def test_one_worker_runs_as_many_calls_at_once_as_it_says(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, LIFE, "together", "together", "public")
    answers = await calls(served.path_url, [{}] * 4)
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len({answer.json() for answer in answers}) == 1


async def test_min_concurrency_follows_the_alias(backend: RunningBackend, client: Client) -> None:
    first = await serve(backend, client, LIFE, "kept", "kept", "public")
    second = await serve(backend, client, LIFE, "kept", "kept")
    async for _ in client.changes():
        warm = {w.revision for w in await client.workers() if w.function == "kept"}
        if warm == {second.revision.id}:
            break
    await client.rollback("kept")
    async for _ in client.changes():
        warm = {w.revision for w in await client.workers() if w.function == "kept"}
        if warm == {first.revision.id}:
            break
    await client.delete_function("kept")
    assert not any(w.function == "kept" for w in await client.workers())
