"""Calls of served functions over real HTTP, with a real worker behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fal_serverless.backend.environment import EnvironmentStore
from fal_serverless.backend.gateway.direct import LARGEST
from fal_serverless.client import Client
from fal_serverless.models import LogQuery
from running import RunningBackend, StartBackend
from serving import serve, wait_for_log

TEXTS = "texts.py"


@pytest.fixture
async def url(backend: RunningBackend, client: Client) -> str:
    return (await serve(backend, client, TEXTS, "call_text", "gw-text")).path_url


async def post(url: str, body: object = None, **options: object) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as http:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await http.post(url, content=content, **options)


def authorized(backend: RunningBackend) -> dict[str, str]:
    return {"Authorization": f"Key {backend.key}"}


async def test_it_answers_by_path_and_by_host(backend: RunningBackend, url: str) -> None:
    by_path = await post(url, {"text": "a"}, headers=authorized(backend))
    host = {"Host": f"1-gw-text.gateway.localhost:{backend.port}", **authorized(backend)}
    by_host = await post(backend.url, {"text": "a"}, headers=host)
    assert (by_path.json(), by_host.json()) == ("a", "a")


async def test_the_body_wins_over_the_query_and_types_are_checked(
    backend: RunningBackend, url: str
) -> None:
    good = await post(f"{url}/?times=2&text=q", {"text": "b"}, headers=authorized(backend))
    assert good.json() == "bb"
    bad = await post(url, {"text": "b", "times": "many"}, headers=authorized(backend))
    assert bad.status_code == 422
    assert "times" in bad.json()["detail"]


async def test_an_unknown_label_is_404_before_any_key_is_asked_for(backend: RunningBackend) -> None:
    answer = await post(f"{backend.url}/1/nothing-here", {})
    assert answer.status_code == 404
    assert answer.json()["error_type"] == "not_found"
    assert (await post(f"{backend.url}/99/gw-text", {})).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Key nonsense"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer token"},
        {"X-Fal-Key-Id": "6b7a2ccf-52cf-4c42-8d2f-1f0e9a8b7c6d"},
        {"Authorization": "Key 6b7a2ccf-52cf-4c42-8d2f-1f0e9a8b7c6d:unknown"},
    ],
)
async def test_no_or_a_wrong_key_is_401(url: str, headers: dict[str, str]) -> None:
    answer = await post(url, {"text": "a"}, headers=headers)
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers
    assert set(answer.json()) == {"detail", "error_type", "request_id"}


async def test_auth_modes_apply_from_the_next_request_on(
    backend: RunningBackend, client: Client, url: str
) -> None:
    _, foreign = await client.add_user("gw-stranger")
    key = {"Authorization": f"Key {foreign.key.id}:{foreign.secret}"}
    assert (await post(url, {"text": "a"}, headers=key)).status_code == 403
    await client.set_auth("gw-text", "shared")
    assert (await post(url, {"text": "a"}, headers=key)).status_code == 200
    assert (await post(url, {"text": "a"})).status_code == 401
    await client.set_auth("gw-text", "public")
    assert (await post(url, {"text": "a"})).status_code == 200
    await client.set_auth("gw-text", "private")
    assert (await post(url, {"text": "a"})).status_code == 401


async def test_other_methods_are_405_and_sub_paths_404(backend: RunningBackend, url: str) -> None:
    async with httpx.AsyncClient(headers=authorized(backend)) as http:
        got = await http.get(url)
        assert (got.status_code, got.headers["allow"]) == (405, "POST, OPTIONS")
        assert (await http.post(f"{url}/deeper", json={})).status_code == 404


async def test_a_key_in_the_query_is_no_argument_whatever_the_length_of_the_body(
    backend: RunningBackend, url: str
) -> None:
    key_id, _, secret = backend.key.partition(":")
    for text in ("a", "a" * LARGEST):
        answer = await post(f"{url}?fal_key_id={key_id}&fal_key_secret={secret}", {"text": text})
        assert (answer.status_code, answer.json()) == (200, text)


async def test_bad_json_is_400(backend: RunningBackend, url: str) -> None:
    assert (await post(url, b"{", headers=authorized(backend))).status_code == 400


async def test_a_preflight_needs_no_key_and_answers_carry_cors(
    backend: RunningBackend, url: str
) -> None:
    asked = {"Origin": "http://page.test", "Access-Control-Request-Method": "POST"}
    async with httpx.AsyncClient() as http:
        preflight = await http.options(url, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    refused = await post(url, {"text": "a"}, headers={"Origin": "http://page.test"})
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_a_request_id_is_taken_or_made_and_stands_in_every_log_line(
    backend: RunningBackend, client: Client, url: str
) -> None:
    headers = {"X-Fal-Request-Id": "my-id.1", **authorized(backend)}
    answer = await post(url, {"text": "traced"}, headers=headers)
    assert answer.headers["x-fal-request-id"] == "my-id.1"
    await wait_for_log(client, "gw-text", "asked for traced")
    lines = await client.logs(LogQuery(request_id="my-id.1"))
    assert {entry.source for entry in lines} == {"user", "request"}
    made = await post(url, {"text": "b"}, headers=authorized(backend))
    assert len(made.headers["x-fal-request-id"]) == 32


async def test_an_exception_is_500_without_the_traceback_which_is_in_the_logs(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, TEXTS, "fail", "gw-fail")
    answer = await post(served.path_url, {"text": "x"}, headers=authorized(backend))
    assert answer.status_code == 500
    assert answer.json()["detail"] == "Internal Server Error"
    assert "secret detail" not in answer.text
    entry = await wait_for_log(client, "gw-fail", "ValueError: secret detail of x")
    assert entry.level == "ERROR"


async def test_a_crash_is_502_with_the_reason_in_the_logs_and_the_next_call_works(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, TEXTS, "crash", "gw-crash")
    for _ in range(2):
        answer = await post(served.path_url, {"text": "x"}, headers=authorized(backend))
        assert answer.status_code == 502
        assert answer.json()["error_type"] == "worker_failed"
        assert set(answer.json()) == {"detail", "error_type", "request_id"}
        assert "exit code" not in answer.text
    entry = await wait_for_log(client, "gw-crash", "call failed: ")
    assert entry.message.endswith("died: exit code 7")
    assert entry.request_id


async def test_a_generator_streams(backend: RunningBackend, client: Client) -> None:
    served = await serve(backend, client, TEXTS, "count", "gw-count")
    answer = await post(served.path_url, {"upto": 3}, headers=authorized(backend))
    assert answer.text == "0\n1\n2\n"


async def test_a_call_over_its_time_is_504_and_the_next_one_is_answered(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, TEXTS, "slow", "gw-slow")
    for _ in range(2):
        answer = await post(served.path_url, {}, headers=authorized(backend))
        assert (answer.status_code, answer.json()["error_type"]) == (504, "request_timeout")


async def test_a_caller_who_hangs_up_cancels_the_call_and_harms_no_other(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, TEXTS, "wait", "gw-wait")
    staying = asyncio.create_task(
        post(served.path_url, {"seconds": 1.5}, headers=authorized(backend))
    )
    leaving = asyncio.create_task(
        post(served.path_url, {"seconds": 50}, headers=authorized(backend))
    )
    await wait_for_log(client, "gw-wait", "waits for 50")
    leaving.cancel()
    await wait_for_log(client, "gw-wait", "cancelled")
    assert (await staying).json() == "waited"


async def test_too_large_a_body_is_413(backends: StartBackend) -> None:
    small = backends(FAL_SERVERLESS_MAX_SERVED_BODY="1000")
    async with small.client() as client:
        served = await serve(small, client, TEXTS, "call_text", "text")

    async def pieces(text: str) -> AsyncIterator[bytes]:
        yield json.dumps({"text": text}).encode()

    async with httpx.AsyncClient(headers=authorized(small)) as http:
        for length, status in ((2000, 413), (1000 - len('{"text": ""}'), 200)):
            text = "x" * length
            answers = [
                await http.post(served.path_url, content=json.dumps({"text": text})),
                await http.post(served.path_url, content=pieces(text)),
            ]
            assert [answer.status_code for answer in answers] == [status, status]


async def test_setup_runs_once_per_worker(backend: RunningBackend, client: Client) -> None:
    served = await serve(backend, client, TEXTS, "prepared", "gw-prepared")
    first = await post(served.path_url, headers=authorized(backend), body=b"")
    second = await post(served.path_url, headers=authorized(backend), body=b"")
    assert first.json() == second.json()


async def test_an_idle_worker_goes_and_the_next_call_starts_another(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, TEXTS, "brief", "gw-brief")
    first = await post(served.path_url, headers=authorized(backend), body=b"")
    async for _ in client.changes():
        if not any(w.function == "gw-brief" for w in await client.workers()):
            break
    second = await post(served.path_url, headers=authorized(backend), body=b"")
    assert first.json() != second.json()
    entry = await wait_for_log(client, "gw-brief", "cold start")
    assert entry.source == "request"


@pytest.mark.parametrize("ended", [True, False])
async def test_too_large_a_head_is_431_even_when_it_never_ends(
    backend: RunningBackend, ended: bool
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
    end = b"\r\n\r\n" if ended else b""
    writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: " + b"x" * 70_000 + end)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.split()[1] == b"431"
    assert json.loads(body)["error_type"] == "head_too_large"
    writer.close()


async def test_a_large_body_in_the_first_packet_is_no_large_head(
    backend: RunningBackend, client: Client, url: str
) -> None:
    answer = await post(url, {"text": "x" * 200_000}, headers=authorized(backend))
    assert answer.status_code == 200


async def test_events_arrive_one_by_one(backend: RunningBackend, client: Client) -> None:
    served = await serve(backend, client, TEXTS, "ticks", "gw-ticks")
    headers = {"Accept": "text/event-stream", **authorized(backend)}
    async with (
        httpx.AsyncClient(timeout=30) as http,
        http.stream("POST", served.path_url, headers=headers) as answer,
    ):
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.aiter_lines()
        assert [await anext(lines), await anext(lines)] == ['data: {"n":0}', ""]
        # The function waits for a second call, which this one must not hold up.
        assert (await post(served.path_url, {"go": True}, headers=headers)).text == ""
        assert [line async for line in lines] == ['data: {"n":1}', ""]


NEW_MODELS = """
from __future__ import annotations
import pydantic
from fal_serverless import isolated

class Item(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2, alias="itemName")
    parts: list[Item] = []

@isolated(serve=True, requirements=["pydantic>=2"])
def take(item: Item, count: pydantic.PositiveInt = 1) -> Item:
    return item
"""

OLD_MODELS = """
from __future__ import annotations
import typing
PYDANTIC
from fal_serverless import isolated

class Item(pydantic.BaseModel):
    name: str = pydantic.Field(min_length=2, alias="itemName")
    parts: typing.List[Item] = []
    _seen: int = pydantic.PrivateAttr(default=0)

    @pydantic.validator("name")
    def not_secret(cls, value):
        assert value != "secret"
        return value

@isolated(serve=True, requirements=["REQUIREMENT"])
def take(item: Item, count: pydantic.conint(gt=0) = 1) -> Item:
    item._seen += 1
    return item
"""


@pytest.mark.parametrize(
    ("requirement", "text"),
    [
        ("pydantic>=2", NEW_MODELS),
        ("pydantic<2", OLD_MODELS.replace("PYDANTIC", "import pydantic")),
        ("pydantic>=2", OLD_MODELS.replace("PYDANTIC", "from pydantic import v1 as pydantic")),
    ],
)
async def test_models_of_the_users_pydantic_survive_the_pickle(
    backend: RunningBackend, client: Client, tmp_path: Path, requirement: str, text: str
) -> None:
    store = EnvironmentStore(tmp_path / "envs", tmp_path / "cache", os.environ, "never")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = await store.ensure(version, [requirement], lambda _: None)
    path = tmp_path / "models.py"
    path.write_text(text.replace("REQUIREMENT", requirement))
    served = await serve(backend, client, path, "take", python=environment.python)
    key = authorized(backend)
    sent = {"itemName": "ab", "parts": [{"itemName": "cd"}]}
    answer = await post(served.path_url, {"item": sent}, headers=key)
    assert answer.json() == {"itemName": "ab", "parts": [{"itemName": "cd", "parts": []}]}
    wrong = await post(served.path_url, {"item": sent, "count": 0}, headers=key)
    assert (wrong.status_code, wrong.json()["errors"][0]["loc"]) == (422, ["body", "count"])
    wrong = await post(served.path_url, {"item": {"itemName": "a"}}, headers=key)
    assert wrong.json()["errors"][0]["loc"] == ["body", "item", "itemName"]
