"""`/metrics` and the past, of a real backend."""

from __future__ import annotations

import asyncio
import math

import httpx
import pytest

from backend.gateway.raw import wire
from backend.metrics.exposition import Family, parse
from backend.test_gateways import ask_all, many, request
from fal_serverless.backend.metrics.exposition import Page, number
from fal_serverless.client import Client
from fal_serverless.errors import BadInput, NotFound
from fal_serverless.models import LogQuery, Pulse
from running import RunningBackend, StartBackend
from serving import serve

BAD = b'{"kind": "none"}'
"""`answer` raises."""


async def scrape(backend: RunningBackend, **headers: str) -> dict[str, Family]:
    """The page, whole and in the right form."""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{backend.url}/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answer.text)


async def keyed(backend: RunningBackend) -> dict[str, Family]:
    return await scrape(backend, Authorization=f"Key {backend.key}")


async def pulse_with(client: Client, function: str, calls: int) -> Pulse:
    """The last minutes of a function, when that many calls of it are in a step that is over."""
    async with asyncio.timeout(20):
        async for _ in client.changes():
            found = await client.pulse(60, function)
            if sum(found.series.requests) >= calls:
                return found
    raise AssertionError


def test_what_is_written_is_what_is_read() -> None:
    page = Page()
    page.family("a_total", "counter", "Back\\slash\nand line.")
    page.sample(3, {"name": 'quo"te \\ and\nline, {x="y"}'})
    page.family("b", "gauge", "")
    page.sample(math.nan)
    page.family("c_seconds", "histogram", "C")
    page.histogram([(0.5, 1), (math.inf, 3)], 2.25, {"x": "é"})
    found = parse(page.text())
    assert found["a_total"].value(name='quo"te \\ and\nline, {x="y"}') == 3
    assert found["c_seconds"].value("_sum") == 2.25
    assert found["c_seconds"].value("_bucket", le="+Inf", x="é") == 3


def test_numbers_are_as_short_as_they_can_be() -> None:
    written = [number(value) for value in (3, 3.0, 0.25, -math.inf, math.nan, 1e20)]
    assert written == ["3", "3", "0.25", "-Inf", "NaN", "100000000000000000000"]


async def test_calls_are_counted_by_endpoint_and_status(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, "answers.py", "answer", "counted")
    await client.invoke("counted", BAD)
    await client.invoke("counted", b"{")
    await client.invoke(served.revision.id, BAD)
    found = await keyed(backend)
    requests, seconds = found["fal_requests_total"], found["fal_request_duration_seconds"]
    assert requests.value(function="counted", endpoint="counted", status="5xx") == 1
    assert requests.value(function="counted", endpoint="counted", status="4xx") == 1
    assert requests.value(function="counted", endpoint=served.revision.id, status="5xx") == 1
    assert seconds.value("_count", endpoint="counted") == 2
    assert 0 < seconds.value("_sum", endpoint="counted") < 60
    assert seconds.value("_bucket", endpoint="counted", le="100") == 2


async def test_workers_their_starts_the_log_and_the_process_are_told(
    backend: RunningBackend, client: Client
) -> None:
    await serve(backend, client, "texts.py", "call_text", "figured")
    lines = len(await client.logs(LogQuery(lines=100_000)))
    found = await keyed(backend)
    assert found["fal_workers"].value(function="figured") == 1
    assert found["fal_queue_depth"].value(function="figured") == 0
    assert found["fal_worker_starts_total"].value(function="figured", result="ready") == 1
    assert found["fal_worker_starts_total"].value(function="figured", result="failed") == 0
    assert found["fal_worker_start_seconds"].value("_sum", function="figured") > 0
    assert found["fal_log_entries_total"].value() >= lines > 0
    assert found["fal_log_dropped_total"].value() == 0
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"):
        assert found[f"process_{name}"].value() > 0
    assert found["fal_build_info"].value(version="0.1.0") == 1


async def test_what_is_deleted_leaves_the_page(backend: RunningBackend, client: Client) -> None:
    await serve(backend, client, "texts.py", "call_text", "leaving")
    await client.invoke("leaving", b'{"text": "x"}')
    assert "leaving" in repr(await keyed(backend))
    await client.delete_function("leaving")
    assert "leaving" not in repr(await keyed(backend))
    await serve(backend, client, "texts.py", "call_text", "leaving")
    await client.invoke("leaving", b'{"text": "x"}')
    assert (await keyed(backend))["fal_requests_total"].value(function="leaving") == 1


async def test_the_first_call_of_a_stopped_function_is_a_cold_start(
    backend: RunningBackend, client: Client
) -> None:
    await serve(backend, client, "texts.py", "call_text", "chilly")
    for worker in await client.workers():
        if worker.function == "chilly":
            await client.stop_worker(worker.id)
    await client.invoke("chilly", b'{"text": "x"}')
    cold = (await keyed(backend))["fal_cold_start_seconds"]
    for part in ("queue", "environment", "load", "setup"):
        assert cold.value("_count", function="chilly", part=part) == 1
    assert cold.value("_sum", function="chilly", part="load") > 0
    found = await pulse_with(client, "chilly", 1)
    assert sum(found.series.cold_starts) == 1


async def test_the_page_needs_an_admin_key(backend: RunningBackend, client: Client) -> None:
    caller = await client.generate_key("API")
    async with httpx.AsyncClient(trust_env=False, base_url=backend.url) as http:
        assert (await http.get("/metrics")).status_code == 401
        headers = {"Authorization": f"Key {caller.key.id}:{caller.secret}"}
        assert (await http.get("/metrics", headers=headers)).status_code == 403
        assert (await http.get("/v1/metrics/series")).status_code == 401


async def test_a_key_shows_its_owners_functions_only(
    backend: RunningBackend, client: Client
) -> None:
    await serve(backend, client, "texts.py", "call_text", "mine")
    await client.invoke("mine", b'{"text": "x"}')
    _, theirs = await client.add_user("stranger")
    key = f"{theirs.key.id}:{theirs.secret}"
    found = await scrape(backend, Authorization=f"Key {key}")
    assert not found["fal_requests_total"].samples and not found["fal_workers"].samples
    async with backend.client(key) as stranger:
        assert (await stranger.pulse()).functions == ()
        with pytest.raises(NotFound):
            await stranger.pulse(60, "mine")


async def test_a_public_page_is_open_to_this_machine_and_shut_to_proxies(
    backends: StartBackend,
) -> None:
    open_ = backends(FAL_SERVERLESS_METRICS_PUBLIC="true")
    assert (await scrape(open_))["fal_build_info"].value() == 1
    async with httpx.AsyncClient(trust_env=False, base_url=open_.url) as http:
        for name in ("X-Forwarded-For", "Forwarded", "Via"):
            assert (await http.get("/metrics", headers={name: "x"})).status_code == 401
        wrong = {"Authorization": "Key nobody:secret"}
        assert (await http.get("/metrics", headers=wrong)).status_code == 401
        elsewhere = {"Host": "evil.example"}
        assert (await http.get("/metrics", headers=elsewhere)).status_code == 403
        assert (await http.get("/v1/metrics/series")).status_code == 401


async def test_calls_through_every_gateway_are_counted(backends: StartBackend) -> None:
    three = backends(FAL_SERVERLESS_GATEWAYS="3", FAL_SERVERLESS_METRICS_PUBLIC="true")
    async with three.client() as owner, many(three) as connections:
        await serve(three, owner, "texts.py", "call_text", "spread", "public")
        for _ in range(3):
            await ask_all(connections, request("spread", b'{"text": "x"}'))
        count = 3 * len(connections)
        found = await pulse_with(owner, "spread", count)
        assert found.functions[0].calls == count
        page = await scrape(three)
        assert page["fal_requests_total"].value(endpoint="spread", status="2xx") == count
        for _ in range(12):
            async with wire(three) as fresh:
                await fresh.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                assert b" 200 " in (await fresh.head()).splitlines()[0]


async def test_the_past_is_told_step_by_step(backend: RunningBackend, client: Client) -> None:
    await serve(backend, client, "answers.py", "answer", "remembered")
    for body in (BAD, b"{", b"{"):
        await client.invoke("remembered", body)
    found = await pulse_with(client, "remembered", 3)
    series = found.series
    assert (found.step, found.function) == (1, "remembered")
    assert sum(series.requests) == 3 and sum(series.errors) == 1
    assert max(series.workers) == 1
    assert (found.traffic.requests, found.traffic.errors) == (3, 1)
    timed = [value for value in series.p50_ms if value is not None]
    assert timed and all(0 < value < 10_000 for value in timed)
    assert {len(each) for each in vars(series).values()} == {len(series.requests)}
    (mine,) = [each for each in found.functions if each.name == "remembered"]
    assert (mine.calls, mine.errors, mine.traffic.requests, mine.workers) == (3, 1, 3, 1)
    assert len(mine.requests) <= 40
    hours = await client.pulse(21_600, "remembered")
    assert hours.step == 60 and sum(hours.series.requests) > 0


@pytest.mark.parametrize("asked", [{"seconds": 0}, {"seconds": 21_601}, {"parts": 121}])
async def test_more_than_is_remembered_is_refused(client: Client, asked: dict[str, int]) -> None:
    with pytest.raises(BadInput, match="must be from"):
        await client.pulse(**asked)


async def test_a_wrong_question_is_answered_with_what_could_be_asked(
    backend: RunningBackend,
) -> None:
    headers = {"Authorization": f"Key {backend.key}"}
    async with httpx.AsyncClient(trust_env=False, base_url=backend.url, headers=headers) as http:
        answer = await http.get("/v1/metrics/series?secs=5")
        assert answer.status_code == 400
        assert "there are: function, parts, seconds" in answer.json()["detail"]
        answer = await http.get("/v1/metrics/series?seconds=5m")
        assert "whole number, not '5m'" in answer.json()["detail"]
