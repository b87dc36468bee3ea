"""Calls on the short way from the connection to the worker, byte by byte."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backend.gateway.raw import Wire, post, wire
from fal_serverless.backend.engine import Exchange
from fal_serverless.backend.engine.process import memory
from fal_serverless.backend.gateway.call import Caller, Head, Opened
from fal_serverless.backend.gateway.direct import LARGEST, DirectCall, DirectForm
from fal_serverless.client import Client
from fal_serverless.models import AuthMode, LogQuery, NewKey
from running import RunningBackend, StartBackend
from serving import serve, wait_for_log

FILE = "answers.py"

Endpoint = Callable[..., Awaitable[str]]


@pytest.fixture
def endpoint(backend: RunningBackend, client: Client) -> Endpoint:
    """The path of a served function; the alias is made when there is none yet."""

    async def path(name: str, alias: str = "", auth: AuthMode = "public") -> str:
        label = f"direct-{alias or name}"
        if not any(found.name == label for found in await client.aliases()):
            await serve(backend, client, FILE, name, label, auth)
        return f"/1/{label}"

    return path


async def fence(backend: RunningBackend) -> None:
    """What was sent before has been read: a request that came after it is answered."""
    async with wire(backend) as connection:
        assert (await connection.ask(post("/1/direct-nothing"))).status == 404


async def is_closed(connection: Wire) -> bool:
    return await connection.rest() == b""


# The same answers on both ways


def expecting(path: str, body: bytes, *headers: str) -> bytes:
    return post(path, body, "Expect: 100-continue", *headers)


def in_chunks(path: str, body: bytes, *headers: str) -> bytes:
    sent = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    return post(path, b"", "Transfer-Encoding: chunked", *headers) + sent


def large(path: str, body: bytes, *headers: str) -> bytes:
    return post(path, body + b" " * LARGEST, *headers)


EVENTS = "Accept: text/event-stream"


@pytest.mark.parametrize("general", [expecting, in_chunks, large])
@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b'{"kind": "object"}', []),
        (200, b'{"kind": "object"}', ["Origin: http://page.test"]),
        (200, b'{"kind": "bytes"}', []),
        (200, b'{"kind": "picture"}', []),
        (200, b'{"kind": "large", "count": 300000}', []),
        (200, b'{"kind": "words"}', []),
        (200, b'{"kind": "words"}', [EVENTS]),
        (200, b'{"kind": "blocks"}', []),
        (200, b'{"kind": "objects"}', []),
        (200, b'{"kind": "objects"}', [EVENTS]),
        (200, b'{"kind": "words", "count": 0}', []),
        (422, b"{}", []),
        (422, b'{"kind": "bytes", "count": "many"}', ["Origin: http://page.test"]),
        (400, b'{"kind": ', []),
        (500, b'{"kind": "unknown"}', []),
        (500, b'{"kind": "picture", "content_type": "a\\r\\nb: c"}', []),
        (200, b'{"kind": "picture", "content_type": "a\\tb"}', []),
    ],
)
async def test_both_ways_give_the_same_answer(
    backend: RunningBackend,
    endpoint: Endpoint,
    general: Callable[..., bytes],
    status: int,
    body: bytes,
    headers: list[str],
) -> None:
    path = await endpoint("answer")
    headers = [*headers, "X-Fal-Request-Id: the-same"]
    async with wire(backend) as connection:
        one = await connection.ask(post(path, body, *headers))
        other = await connection.ask(general(path, body, *headers))
    assert (one.is_direct, other.is_direct) == (True, False)
    assert one.status == status
    assert one.lines() == other.lines()
    assert one.body == other.body


async def lines_of(client: Client, request_id: str) -> list[tuple[str, str, str]]:
    """What the log says of a request, without times and workers' names."""
    told = []
    async for entry in client.tail(LogQuery(request_id=request_id)):
        said = re.sub(r"w-[0-9a-f]+|[0-9.]+ ms.*", "", entry.message)
        told.append((entry.source, entry.level, said))
        if entry.source == "request":
            return told
    raise AssertionError("the log stream ended")


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("call_text", 200, b'{"text": "x"}'),
        ("fail", 500, b'{"text": "x"}'),
        ("crash", 502, b'{"text": "x"}'),
        ("slow", 504, b"{}"),
    ],
)
async def test_both_ways_tell_the_caller_and_the_log_alike(
    backend: RunningBackend, client: Client, name: str, status: int, body: bytes
) -> None:
    await serve(backend, client, "texts.py", name, f"direct-{name}", "public")
    told = []
    for way in (post, expecting):
        request_id = f"{name}-{way.__name__}"
        headers = f"X-Fal-Request-Id: {request_id}"
        async with wire(backend) as connection:
            answer = await connection.ask(way(f"/1/direct-{name}", body, headers))
        assert (answer.status, answer.is_direct) == (status, way is post)
        body_told = answer.body.replace(request_id.encode(), b"")
        told.append((body_told, await lines_of(client, request_id)))
    assert told[0] == told[1]
    assert told[0][1][-1][2] == f"POST / {status} in "


# What changes is seen by the next request of a connection


def key_of(made: NewKey) -> str:
    return f"Authorization: Key {made.key.id}:{made.secret}"


async def test_another_auth_holds_from_the_next_request_on(
    backend: RunningBackend, client: Client, endpoint: Endpoint
) -> None:
    path = await endpoint("echo", "auth", "private")
    _, foreign = await client.add_user("direct-stranger")
    requests = [
        post(path, b"{}", *key)
        for key in ([], [key_of(foreign)], [f"Authorization: Key {backend.key}"])
    ]
    modes: list[tuple[AuthMode, list[int]]] = [
        ("private", [401, 403, 200]),
        ("shared", [401, 200, 200]),
        ("public", [200, 200, 200]),
        ("private", [401, 403, 200]),
    ]
    async with wire(backend) as one, wire(backend) as two, wire(backend) as three:
        for mode, statuses in modes:
            await client.set_auth("direct-auth", mode)
            for connection, request, status in zip(
                (one, two, three), requests, statuses, strict=True
            ):
                assert (await connection.ask(request)).status == status


async def test_a_key_that_is_revoked_opens_nothing_from_the_next_request_on(
    backend: RunningBackend, client: Client, endpoint: Endpoint
) -> None:
    path = await endpoint("echo", "keys", "private")
    made = await client.generate_key("API")
    request = post(path, b"{}", key_of(made))
    async with wire(backend) as connection:
        for _ in range(2):
            assert (await connection.ask(request)).is_direct
        await client.revoke_key(made.key.id)
        assert (await connection.ask(request)).status == 401


async def test_an_alias_that_moves_is_followed_by_the_next_request(
    backend: RunningBackend, client: Client
) -> None:
    async with wire(backend) as connection:
        for name in ("first", "second"):
            await serve(backend, client, FILE, name, "direct-moves", "public")
            for _ in range(2):
                answer = await connection.ask(post("/1/direct-moves"))
                assert (answer.is_direct, answer.body) == (True, f'"{name}"'.encode())
        await client.rollback("direct-moves")
        assert (await connection.ask(post("/1/direct-moves"))).body == b'"first"'
        await client.delete_alias("direct-moves")
        assert (await connection.ask(post("/1/direct-moves"))).status == 404


async def test_a_revision_that_is_deleted_is_gone_with_the_next_request(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, FILE, "first", auth="public")
    request = post(f"/1/{served.revision.id}")
    async with wire(backend) as connection:
        assert (await connection.ask(request)).is_direct
        await client.delete_revision(served.revision.id)
        assert (await connection.ask(request)).status == 404


async def test_a_body_that_comes_when_its_revision_is_deleted_is_answered(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, FILE, "first", auth="public")
    request = post(f"/1/{served.revision.id}")
    async with wire(backend) as connection:
        await connection.send(request[:-1])
        await fence(backend)
        await client.delete_revision(served.revision.id)
        answer = await connection.ask(request[-1:])
    assert (answer.status, json.loads(answer.body)["error_type"]) == (502, "worker_failed")
    assert not [w for w in await client.workers() if w.revision == served.revision.id]


# Who calls


async def test_each_request_of_a_connection_shows_its_own_key(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo", "private", "private")
    key, secret = backend.key.split(":")
    wrong = f"{key}:{'0' * 32}"
    encoded = b64encode(backend.key.encode()).decode()
    asked = [
        (200, "", [f"Authorization: Key {backend.key}"]),
        (401, "", [f"Authorization: Key {wrong}"]),
        (200, "", [f"authorization: key {backend.key}"]),
        (401, "", []),
        (200, "", [f"Authorization: Basic {backend.key}"]),
        (200, "", [f"Authorization: Basic {encoded}"]),
        (401, "", ["Authorization: Bearer token"]),
        (200, "", [f"X-Fal-Key-Id: {key}", f"X-Fal-Key-Secret: {secret}"]),
        (401, "", [f"X-Fal-Key-Id: {key}"]),
        (401, "", [f"X-Fal-Key-Secret: {secret}"]),
        (200, f"?fal_key_id={key}&fal_key_secret={secret}", []),
        (401, f"?fal_key_id={key}&fal_key_secret=no", []),
        (401, "", []),
        (
            200,
            "",
            ["Authorization: Bearer token", f"X-Fal-Key-Id: {key}", f"X-Fal-Key-Secret: {secret}"],
        ),
        (200, "?fal_key_id=no", [f"Authorization: Key {backend.key}"]),
        (401, f"?fal_key_id={key}&fal_key_secret={secret}", [f"Authorization: Key {wrong}"]),
        (200, "", [f"Authorization: Key {backend.key}"]),
    ]
    async with wire(backend) as connection:
        for status, query, headers in asked:
            answer = await connection.ask(post(path + query, b"{}", *headers))
            assert (answer.status, answer.is_direct) == (status, status == 200), (query, headers)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?text=a%20b&times=2", "a ba b"),
        ("?text=a&fal_key_id=x&times=2&fal_key_secret=y", "aa"),
        ("?fal_key_id=x", ""),
        ("?text=%C3%A4+%2B", "ä +"),
        ("?text=a#b", "a"),
        ("?", ""),
        ("?text=a?b", "a?b"),
    ],
)
async def test_queries_are_parameters_but_for_keys(
    backend: RunningBackend, endpoint: Endpoint, query: str, told: str
) -> None:
    path = await endpoint("echo")
    async with wire(backend) as connection:
        for request in (post(f"{path}{query}", b""), expecting(f"{path}{query}", b"{}")):
            answer = await connection.ask(request)
            assert (answer.status, json.loads(answer.body)) == (200, told)


# Addresses


async def test_one_connection_can_ask_several_endpoints_by_host_and_by_path(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    for name in ("first", "second"):
        await endpoint(name)
    async with wire(backend) as connection:
        for name in ("first", "second", "first"):
            host = f"Host: 1-direct-{name}.gateway.localhost:{backend.port}".encode()
            asked = [
                post("/").replace(b"Host: 127.0.0.1", host),
                post("/").replace(b"Host: 127.0.0.1", host.upper().replace(b"HOST", b"host")),
                post(f"/1/direct-{name}"),
                post(f"/1/direct-{name}/"),
                post(f"/1/direct-{name}".upper()),
            ]
            for request in asked:
                answer = await connection.ask(request)
                assert (answer.is_direct, answer.body) == (True, f'"{name}"'.encode())
        assert (await connection.ask(post("/1/direct-first/deeper"))).status == 404
        assert (await connection.ask(post("//"))).status == 404


async def test_names_of_headers_are_read_in_any_case(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    request = post(await endpoint("echo"), b'{"text": "x"}', "X-Fal-Request-Id: any-case")
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    async with wire(backend) as connection:
        for change in (bytes.lower, bytes.upper):
            named = [b":".join((change(n), v)) for n, v in (h.split(b":", 1) for h in headers)]
            answer = await connection.ask(b"\r\n".join([first, *named, b"", body]))
            assert (answer.is_direct, answer.body) == (True, b'"x"')
            assert answer.headers(b"x-fal-request-id") == [b"any-case"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("my-id.1_A", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("a b", False),
        ("ä", False),
        ("", False),
        ("a\tb", False),
    ],
)
async def test_a_request_id_is_taken_over_when_it_has_the_form_of_one(
    backend: RunningBackend, endpoint: Endpoint, given: str, taken: bool
) -> None:
    path = await endpoint("echo")
    async with wire(backend) as connection:
        answer = await connection.ask(post(path, b"{}", f"X-Fal-Request-Id: {given}"))
    (told,) = answer.headers(b"x-fal-request-id")
    assert answer.is_direct
    assert (told == given.encode()) if taken else (len(told) == 32)


# How requests come


async def test_requests_in_one_segment_are_answered_in_order(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo")
    for count in (2, 3, 50):
        requests = [post(path, b'{"text": "%d"}' % n) for n in range(count)]
        async with wire(backend) as connection:
            await connection.send(b"".join(requests))
            answers = [await connection.answer() for _ in range(count)]
            assert [json.loads(answer.body) for answer in answers] == [str(n) for n in range(count)]
            assert (await connection.ask(requests[0])).is_direct


@pytest.mark.parametrize("kind", ["direct", "general", "mixed"])
async def test_ways_can_change_within_one_segment(
    backend: RunningBackend, endpoint: Endpoint, kind: str
) -> None:
    path = await endpoint("echo")
    page = f"GET {path}/docs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    call = post(path, b'{"text": "called"}')
    requests = {"direct": [call, page], "general": [page, call], "mixed": [call, page, call, page]}
    async with wire(backend) as connection:
        await connection.send(b"".join(requests[kind]))
        for request in requests[kind]:
            answer = await connection.answer()
            assert answer.status == 200
            assert (answer.body == b'"called"') is (request is call)
        assert (await connection.ask(call)).is_direct


@pytest.mark.parametrize("last", ["direct", "general"])
async def test_the_last_of_several_may_close_the_connection(
    backend: RunningBackend, endpoint: Endpoint, last: str
) -> None:
    path = await endpoint("echo")
    call = post(path, b'{"text": "last"}', "Connection: close")
    page = f"GET {path}/docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    async with wire(backend) as connection:
        await connection.send(post(path) + (call if last == "direct" else page))
        assert [(await connection.answer()).status for _ in range(2)] == [200, 200]
        assert await is_closed(connection)


async def test_after_one_that_closes_nothing_is_answered(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo")
    async with wire(backend) as connection:
        await connection.send(post(path, b"{}", "Connection: close") + post(path))
        answer = await connection.answer()
        assert (answer.is_direct, answer.headers(b"connection")) == (True, [b"close"])
        assert await is_closed(connection)


async def test_a_request_may_come_in_two_parts_cut_anywhere(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo")
    request = post(f"{path}?times=2", b'{"text": "ab"}', "X-Fal-Request-Id: cut")
    async with wire(backend) as connection:
        for cut in range(1, len(request)):
            await connection.send(request[:cut])
            await fence(backend)
            answer = await connection.ask(request[cut:])
            assert (answer.is_direct, answer.body) == (True, b'"abab"'), cut
            assert answer.headers(b"x-fal-request-id") == [b"cut"]


async def test_two_requests_may_be_cut_anywhere(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo")
    one, two = (post(path, b'{"text": "%d"}' % n) for n in range(2))
    async with wire(backend) as connection:
        for cut in range(1, len(two)):
            await connection.send(one + two[:cut])
            assert (await connection.answer()).body == b'"0"'
            assert (await connection.ask(two[cut:])).body == b'"1"', cut


async def test_a_body_may_come_in_many_pieces(backend: RunningBackend, endpoint: Endpoint) -> None:
    path = await endpoint("echo")
    text = "0123456789" * 20_000
    request = post(path, json.dumps({"text": text}).encode())
    async with wire(backend) as connection:
        for begin in range(0, len(request), 10_007):
            await connection.send(request[begin : begin + 10_007])
            await fence(backend)
        answer = await connection.answer()
        assert (answer.is_direct, json.loads(answer.body)) == (True, text)


@pytest.mark.parametrize("ended", [True, False])
async def test_too_large_a_head_in_pieces_is_431(
    backend: RunningBackend, endpoint: Endpoint, ended: bool
) -> None:
    path = await endpoint("echo")
    head = post(path, b"", *(f"X-{n}: {'x' * 1000}" for n in range(70)))
    async with wire(backend) as connection:
        assert (await connection.ask(post(path))).status == 200
        for begin in range(0, len(head) - (0 if ended else 4), 9000):
            await connection.send(head[begin : begin + 9000])
            await fence(backend)
        answer = await connection.answer()
        assert (answer.status, json.loads(answer.body)["error_type"]) == (431, "head_too_large")
        assert await is_closed(connection)


async def test_too_large_a_head_behind_another_request_is_431(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo")
    head = post(path, b"", *(f"X-{n}: {'x' * 1000}" for n in range(70)))
    before = post(path, b'{"text": "x"}')
    async with wire(backend) as connection:
        await connection.send(before[:-1])
        await connection.send(before[-1:] + head)
        assert (await connection.answer()).status == 431
        assert await is_closed(connection)


async def test_nothing_is_answered_behind_an_answer_before_the_end_of_a_body(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo")
    nothing = post("/1/direct-nothing", b"{}")
    async with wire(backend) as connection:
        await connection.send(nothing[:-1])
        answer = await connection.answer()
        assert (answer.status, answer.headers(b"connection")) == (404, [b"close"])
        await connection.send(nothing[-1:] + post(path, b'{"text": "x"}'))
        assert await is_closed(connection)


async def test_a_head_may_be_as_large_as_the_limit(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo")
    request = post(path, b'{"text": "x"}', f"X-Long: {'x' * 65_000}")
    async with wire(backend) as connection:
        await connection.send(request + request)
        for _ in range(2):
            assert (await connection.answer()).body == b'"x"'
        assert (await connection.ask(request)).is_direct


# What HTTP makes of connections and lengths


@pytest.mark.parametrize(
    ("version", "headers", "closes"),
    [
        ("1.1", [], False),
        ("1.1", ["Connection: keep-alive"], False),
        ("1.1", ["Connection: close"], True),
        ("1.1", ["Connection: foo, Close"], True),
        ("1.0", [], True),
        ("1.0", ["Connection: keep-alive"], True),
    ],
)
async def test_a_connection_stays_or_closes_as_was_asked(
    backend: RunningBackend, endpoint: Endpoint, version: str, headers: list[str], closes: bool
) -> None:
    path = await endpoint("answer")
    for body in (b'{"kind": "object"}', b'{"kind": "words"}'):
        async with wire(backend) as connection:
            answer = await connection.ask(post(path, body, *headers, version=version))
            assert answer.status == 200
            assert answer.headers(b"connection") == ([b"close"] if closes else [])
            if closes:
                assert await is_closed(connection)
            else:
                assert (await connection.ask(post(path, body))).is_direct


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 2", "Transfer-Encoding: chunked"],
        ["Content-Length: two"],
        ["Content-Length: -2"],
        ["Content-Length: +2"],
        ["Content-Length: 2, 2"],
        ["Content-Length:"],
        ["Content-Length: 99999999999999999999999999"],
        ["Content-Length: 2", "Content-Length: 3"],
        ["Transfer-Encoding: chunked, identity"],
        ["No colon"],
        ["X Y: z"],
    ],
)
async def test_a_request_whose_end_is_not_clear_is_400_and_closes(
    backend: RunningBackend, endpoint: Endpoint, headers: list[str]
) -> None:
    path = await endpoint("echo")
    async with wire(backend) as connection:
        assert (await connection.ask(post(path))).is_direct
        answer = await connection.ask(post(path, b"", *headers) + b"{}")
        assert (answer.status, answer.headers(b"connection")) == (400, [b"close"])
        assert await is_closed(connection)


async def test_headers_that_come_twice_are_no_harm(
    backend: RunningBackend, endpoint: Endpoint
) -> None:
    path = await endpoint("echo", "private", "private")
    good, wrong = f"Authorization: Key {backend.key}", "Authorization: Key no:no"
    asked = [
        (200, [good, "X-Twice: 1", "X-Twice: 2"]),
        (200, [good, wrong]),
        (401, [wrong, good]),
        (200, [good, "Accept: a/b", "Accept: text/event-stream"]),
    ]
    async with wire(backend) as connection:
        for status, headers in asked:
            assert (await connection.ask(post(path, b"{}", *headers))).status == status


# Callers who leave


async def until_idle(client: Client, alias: str) -> None:
    """Nothing of it runs, as far as anybody can see."""
    async for _ in client.changes():
        if not any(w.running for w in await client.workers() if w.function == alias):
            return


def holding(path: str, number: int, go: Path | str) -> bytes:
    return post(path, json.dumps({"number": number, "go": str(go)}).encode())


async def test_who_leaves_in_the_middle_of_his_body_is_told_in_the_log(
    backend: RunningBackend, client: Client, endpoint: Endpoint
) -> None:
    path = await endpoint("hold", "body")
    async with wire(backend) as connection:
        await connection.send(holding(path, 1, "")[:-5])
        await fence(backend)
    await wait_for_log(client, "direct-body", "POST / 499 in")
    async with wire(backend) as connection:
        assert (await connection.ask(holding(path, 2, ""))).body == b"2"
    assert not await client.logs(LogQuery("direct-body", search="holds 1"))


async def test_who_leaves_the_queue_is_not_called_for(
    backend: RunningBackend, client: Client, endpoint: Endpoint, tmp_path: Path
) -> None:
    path, go = await endpoint("hold", "queue"), tmp_path / "go"
    async with wire(backend) as first, wire(backend) as third:
        await first.send(holding(path, 1, go))
        await wait_for_log(client, "direct-queue", "holds 1.")
        async with wire(backend) as second:
            await second.send(holding(path, 2, go))
            await fence(backend)
        await wait_for_log(client, "direct-queue", "POST / 499 in")
        await third.send(holding(path, 3, go))
        go.touch()
        assert ((await first.answer()).body, (await third.answer()).body) == (b"1", b"3")
    assert not await client.logs(LogQuery("direct-queue", search="holds 2"))


@pytest.mark.parametrize("leave", ["abort", "close"])
async def test_who_leaves_a_call_that_runs_ends_it(
    backend: RunningBackend, client: Client, endpoint: Endpoint, leave: str
) -> None:
    alias = f"runs-{leave}"
    path = await endpoint("hold", alias)
    async with wire(backend) as leaving, wire(backend) as staying:
        await leaving.send(holding(path, 1, "/never"))
        await wait_for_log(client, f"direct-{alias}", "holds 1.")
        await staying.send(holding(path, 2, ""))
        getattr(leaving.writer.transport, leave)()
        await wait_for_log(client, f"direct-{alias}", "leaves 1.")
        assert (await staying.answer()).body == b"2"
    await wait_for_log(client, f"direct-{alias}", "POST / 499 in")
    await until_idle(client, f"direct-{alias}")


async def test_who_leaves_in_the_middle_of_a_stream_ends_it(
    backend: RunningBackend, client: Client, endpoint: Endpoint
) -> None:
    path = await endpoint("blocks", "left")
    async with wire(backend) as leaving, wire(backend) as staying:
        await leaving.send(post(path, b'{"count": 1000000}'))
        await leaving.head()
        await leaving.reader.readexactly(100_000)
        await staying.send(post(path, b'{"count": 2, "size": 4}'))
        leaving.writer.transport.abort()
        await wait_for_log(client, "direct-left", "closes.")
        assert (await staying.answer()).body == b"\0\0\0\0\0\0\0\1"
    await wait_for_log(client, "direct-left", "POST / 499 in")
    await until_idle(client, "direct-left")


async def test_who_leaves_when_his_stream_is_about_to_begin_ends_it() -> None:
    """The stream is heard of and the caller is gone in one turn of the loop."""
    told: list[int] = []
    closed = asyncio.Event()
    submitted: list[Exchange] = []
    endpoint = SimpleNamespace(is_alias=False)
    calling: Any = SimpleNamespace(submit=submitted.append)
    ledger = SimpleNamespace(answered=lambda *of: told.append(of[4]))
    connection = SimpleNamespace(
        loop=asyncio.get_running_loop(), tasks=set(), answer_complete=lambda _: None
    )
    place: Any = SimpleNamespace(endpoint=endpoint)
    rules: Any = SimpleNamespace(ledger=ledger)
    head = Head(b"POST", "/", "", b"", [], {}, True, 0)
    form = DirectForm(Opened(rules, place, ("1", "label"), Caller("", 0), head), calling)
    call = DirectCall(form, cast(Any, connection))
    call.on_end()
    (exchange,) = submitted
    exchange.status, exchange.content_type = 200, "text/plain"
    exchange.stream = cast(Any, SimpleNamespace(aclose=lambda: set_soon(closed)))
    exchange.heard(exchange)
    call.on_gone()
    async with asyncio.timeout(5):
        await closed.wait()
    assert told == [499]


async def set_soon(event: asyncio.Event) -> None:
    event.set()


# Callers who do not read


async def test_a_stream_waits_for_a_caller_who_does_not_read(
    backend: RunningBackend, client: Client, endpoint: Endpoint
) -> None:
    path, count, size = await endpoint("blocks", "unread"), 1000, 65536
    async with wire(backend) as slow, wire(backend) as other:
        await slow.send(post(path, b'{"count": %d}' % count))
        await wait_for_log(client, "direct-unread", "block 16.")
        before = memory(backend.process.pid) or 0
        for _ in range(50):
            await other.ask(post(await endpoint("echo")))
        newest = (await client.logs(LogQuery("direct-unread", sources=("user",), lines=1)))[-1]
        assert int(newest.message.split()[1].rstrip(".")) < count / 2
        assert (memory(backend.process.pid) or 0) - before < 16 << 20
        assert len((await slow.answer()).body) == count * size


async def test_answers_that_nobody_reads_are_not_made_in_advance(
    backend: RunningBackend, client: Client, endpoint: Endpoint
) -> None:
    path, size, count = await endpoint("answer", "heap"), 2 << 20, 40
    request = post(path, b'{"kind": "large", "count": %d}' % size)
    async with wire(backend) as slow, wire(backend) as other:
        assert (await other.ask(request)).is_direct
        before = memory(backend.process.pid) or 0
        await slow.send(request * count)
        for _ in range(50):
            await other.ask(post(await endpoint("echo")))
        assert (memory(backend.process.pid) or 0) - before < size * count / 4
        for _ in range(count):
            assert len((await slow.answer()).body) == size + 2


# The end


async def test_a_stop_lets_calls_finish_and_closes_what_is_idle(
    backends: StartBackend, tmp_path: Path
) -> None:
    backend, go = backends(), tmp_path / "go"
    async with backend.client() as client:
        await serve(backend, client, FILE, "hold", "hold", "public")
        await serve(backend, client, FILE, "blocks", "blocks", "public")
        async with wire(backend) as idle, wire(backend) as busy, wire(backend) as stream:
            assert (await idle.ask(holding("/1/hold", 1, ""))).is_direct
            await busy.send(holding("/1/hold", 2, go))
            await wait_for_log(client, "hold", "holds 2.")
            await stream.send(post("/1/blocks", b'{"count": 200}'))
            await wait_for_log(client, "blocks", "block 1.")
            backend.process.send_signal(signal.SIGTERM)
            assert await is_closed(idle)
            go.touch()
            answer = await busy.answer()
            assert (answer.body, answer.headers(b"connection")) == (b"2", [b"close"])
            assert await is_closed(busy)
            assert len((await stream.answer()).body) == 200 * 65536
            assert await is_closed(stream)
    assert await asyncio.to_thread(backend.process.wait, 10) == 0


async def full(
    backend: RunningBackend, way: Callable[..., bytes]
) -> tuple[int, list[bytes], bytes]:
    async with wire(backend) as connection:
        answer = await connection.ask(way("/1/hold", b"{}", "X-Fal-Request-Id: full"))
    assert (answer.status, answer.is_direct) == (503, way is post)
    return answer.status, answer.lines(), answer.body


async def test_calls_that_outlast_the_drain_are_told_when_it_ends(backends: StartBackend) -> None:
    backend = backends(FAL_SERVERLESS_DRAIN_TIMEOUT="1", FAL_SERVERLESS_QUEUE_SIZE="1")
    async with backend.client() as client:
        await serve(backend, client, FILE, "hold", "hold", "public")
        async with wire(backend) as busy, wire(backend) as queued:
            await busy.send(holding("/1/hold", 1, "/never"))
            await wait_for_log(client, "hold", "holds 1.")
            await queued.send(holding("/1/hold", 2, "/never"))
            await fence(backend)
            assert await full(backend, post) == await full(backend, expecting)
            began = time.monotonic()
            backend.process.send_signal(signal.SIGTERM)
            assert [(await one.answer()).status for one in (busy, queued)] == [502, 502]
    assert await asyncio.to_thread(backend.process.wait, 10) == 0
    assert time.monotonic() - began < 6
