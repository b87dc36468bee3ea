from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime

import httpx
import pytest

from fal_serverless import errors
from fal_serverless.client import Client, pause
from fal_serverless.client.answers import NAMES, log_entry
from fal_serverless.models import LogEntry, LogQuery, to_json


def answering(handler: Callable[[httpx.Request], httpx.Response]) -> Client:
    return Client("http://backend.test", "id:secret", transport=httpx.MockTransport(handler))


def raising(error: Exception) -> Client:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    return answering(handler)


def every_httpx_error() -> Iterator[type[Exception]]:
    waiting = [httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError]
    while waiting:
        cls = waiting.pop()
        yield cls
        waiting += cls.__subclasses__()


def make_error(cls: type[Exception]) -> Exception:
    if issubclass(cls, httpx.HTTPStatusError):
        request = httpx.Request("GET", "http://backend.test")
        return cls("boom", request=request, response=httpx.Response(500))
    try:
        return cls("boom")
    except TypeError:
        return cls()


@pytest.mark.parametrize("cls", list(every_httpx_error()), ids=lambda cls: cls.__name__)
async def test_every_error_of_httpx_becomes_one_of_ours(cls: type[Exception]) -> None:
    with pytest.raises(errors.FalError):
        await raising(make_error(cls)).functions()


async def why_not(error: httpx.ConnectError) -> str:
    with pytest.raises(errors.Unreachable) as raised:
        await raising(error).functions()
    return raised.value.message


@pytest.mark.parametrize(
    ("reason", "helps"),
    [
        ("unable to get local issuer certificate", True),
        ("self-signed certificate", True),
        ("certificate has expired", False),
        ("Hostname mismatch, certificate is not valid for 'backend.test'.", False),
    ],
)
async def test_a_file_is_asked_for_only_where_it_helps(reason: str, helps: bool) -> None:
    said = f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {reason} (_ssl.c:1006)"
    told = await why_not(httpx.ConnectError(said))
    assert f"not trusted here ({reason})" in told and ("--ca FILE" in told) is helps


async def test_a_name_without_an_address_is_told_apart_from_a_backend_that_is_away() -> None:
    assert await why_not(httpx.ConnectError("x")) == "no backend answers at http://backend.test"
    unknown = httpx.ConnectError("x")
    unknown.__cause__ = OSError()
    unknown.__cause__.__context__ = socket.gaierror()
    assert (await why_not(unknown)).endswith(": this machine knows no address of that name")


@pytest.mark.parametrize("cls", list(errors.every_class()), ids=lambda cls: cls.__name__)
async def test_every_error_of_ours_comes_back_as_itself(cls: type[errors.FalError]) -> None:
    body = errors.to_json(cls("what happened", alias="call"))
    backend = answering(lambda request: httpx.Response(cls.status, json=body))
    with pytest.raises(cls) as raised:
        await backend.functions()
    assert type(raised.value) is cls
    assert (raised.value.message, raised.value.data) == ("what happened", {"alias": "call"})


async def test_an_answer_that_is_no_json_says_so() -> None:
    for status in (200, 404, 500):
        made = httpx.Response(status, text="<html>")
        with pytest.raises(errors.BadAnswer, match="JSON"):
            await answering(lambda request, made=made: made).functions()


@pytest.mark.parametrize("content", [b"<html>", b"", b'{"message": "no upstream"}', b"[]"])
@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_without_its_backend_is_nobody_who_answers(
    status: int, content: bytes
) -> None:
    backend = answering(lambda request: httpx.Response(status, content=content))
    said = f"behind http://backend.test.*: a proxy there says {status}"
    with pytest.raises(errors.Unreachable, match=said):
        await backend.functions()
    with pytest.raises(errors.Unreachable, match=said):
        await anext(backend.changes())


async def test_an_answer_from_elsewhere_names_the_place() -> None:
    moved = httpx.Response(301, headers={"location": "https://backend.test/v1/functions"})
    with pytest.raises(errors.BadAnswer, match=r"context add NAME https://backend\.test$"):
        await answering(lambda request: moved).functions()


async def test_an_answer_of_another_shape_names_the_field() -> None:
    backend = answering(lambda request: httpx.Response(200, json=[{"name": 3}]))
    with pytest.raises(errors.BadAnswer, match="name"):
        await backend.aliases()


async def test_the_key_travels_as_authorization() -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[])

    await answering(handler).functions()
    assert seen[0].headers["authorization"] == "Key id:secret"


async def test_read_only_refuses_before_anything_is_sent() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    transport = httpx.MockTransport(handler)
    client = Client("http://backend.test", "id:secret", readonly=True, transport=transport)
    for change in (
        client.set_auth("call", "public"),
        client.rollback("call"),
        client.delete_function("call"),
        client.generate_key("API"),
        client.stop_worker("w"),
        anext(client.serve(b"")),
    ):
        with pytest.raises(errors.ReadOnly):
            await change


async def test_names_are_quoted_into_paths() -> None:
    seen: list[bytes] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path)
        return httpx.Response(204)

    await answering(handler).delete_function("a/b ?")
    assert seen == [b"/v1/functions/a%2Fb%20%3F"]


async def test_a_log_query_sends_only_what_narrows() -> None:
    seen: list[dict[str, str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(dict(request.url.params))
        return httpx.Response(200, json=[])

    await answering(handler).logs(LogQuery(label="call", lines=20))
    assert seen == [{"label": "call", "lines": "20"}]


async def test_a_serve_raises_the_error_its_stream_ends_with() -> None:
    failure = json.dumps(errors.to_json(errors.BuildFailed("no version of flask==99", log=["x"])))
    stream = (
        'data: {"kind": "phase", "phase": "environment"}\n\n'
        ": alive\n\n"
        f"event: error\ndata: {failure}\n\n"
    )
    backend = answering(lambda request: httpx.Response(200, text=stream))
    events = backend.serve(b"bundle", alias="call")
    assert (await anext(events)).phase == "environment"
    with pytest.raises(errors.BuildFailed, match="flask==99"):
        await anext(events)


async def test_a_serve_cut_short_is_unreachable_not_done() -> None:
    backend = answering(lambda request: httpx.Response(200, text=": open\n\n"))
    with pytest.raises(errors.Unreachable):
        await anext(backend.serve(b"bundle"))


async def test_a_tail_that_saw_no_entry_yet_goes_on_from_where_it_was() -> None:
    asked: list[dict[str, str]] = []
    tries: list[int] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(dict(request.url.params))
        return httpx.Response(200, text=[": open\n\nid: 7\n\nid: 8\n", ""][len(asked) > 1])

    async def lost(error: errors.Unreachable, count: int) -> None:
        tries.append(count)
        if count == 2:
            raise error

    with pytest.raises(errors.Unreachable):
        await anext(answering(handler).tail(LogQuery(lines=5), lost=lost))
    assert (asked, tries) == ([{"lines": "5"}, *[{"lines": "5", "after": "7"}] * 2], [0, 1, 2])


async def test_a_tail_outlasts_a_proxy_whose_backend_is_away() -> None:
    answers = iter([(200, entry_event(1)), (502, "<html>"), (503, ""), (200, entry_event(2))])
    told: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        status, text = next(answers)
        return httpx.Response(status, text=text)

    async def lost(error: errors.Unreachable, count: int) -> None:
        told.append(error.message)

    async with aclosing(answering(handler).tail(LogQuery(), lost=lost)) as tail:
        assert [(await anext(tail)).id for _ in range(2)] == [1, 2]
    assert len(told) == 3 and "502" in told[1] and "503" in told[2]


async def test_an_entry_ends_the_count_of_tries() -> None:
    entries = iter(range(1, 10))
    answers = iter([0, 0, 2, 0, 1])

    def handler(request: httpx.Request) -> httpx.Response:
        lines = [entry_event(next(entries)) for _ in range(next(answers))]
        return httpx.Response(200, content="".join(lines).encode())

    tries: list[int] = []

    async def lost(error: errors.Unreachable, count: int) -> None:
        tries.append(count)

    async with aclosing(answering(handler).tail(LogQuery(), lost=lost)) as tail:
        assert [(await anext(tail)).id for _ in range(3)] == [1, 2, 3]
    assert tries == [0, 1, 0, 1]


def entry_event(number: int) -> str:
    time = datetime(2026, 1, 1, tzinfo=UTC)
    entry = LogEntry(number, time, "INFO", "user", "said", "1", request_id=str(number))
    return f"id: {number}\ndata: {json.dumps(to_json(entry))}\n\n"


def test_entries_of_a_tail_share_their_names_and_no_more_than_so_many_are_kept() -> None:
    names = {str(number): str(number) for number in range(NAMES + 1)}
    line = entry_event(7).partition("data: ")[2].encode()
    first, second = (log_entry(line, names) for _ in range(2))
    assert first.request_id is second.request_id and len(names) < 10


async def test_a_tail_tells_how_far_it_is_where_no_entry_does() -> None:
    places: list[int] = []
    backend = answering(lambda request: httpx.Response(200, text=": open\n\nid: 7\n\nid: 9\n\n"))
    with pytest.raises(errors.Unreachable):
        await anext(backend.tail(LogQuery(lines=5), reached=places.append))
    assert places == [7, 9]


async def test_a_tail_raises_the_error_its_stream_ends_with() -> None:
    failure = json.dumps(errors.to_json(errors.BadInput("too slow")))
    backend = answering(lambda _: httpx.Response(200, text=f"event: error\ndata: {failure}\n\n"))
    with pytest.raises(errors.BadInput, match="too slow"):
        await anext(backend.tail(LogQuery(), lost=pause))


async def test_an_answer_comes_head_first_and_then_part_by_part() -> None:
    gate = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one "
        await gate.wait()
        yield b"two"

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=parts(), headers={"x-fal-request-id": "r-1"})

    async with answering(answer) as asked, aclosing(asked.answering("f", user="1")) as found:
        head = await anext(found)
        assert (head.status, head.request_id, head.body) == (200, "r-1", b"")
        assert (await anext(found)).body == b"one "
        gate.set()
        rest = [part async for part in found]
        assert [part.body for part in rest] == [b"two", b""]
        assert rest[-1].seconds >= rest[0].seconds >= head.seconds
    gate.set()
    async with answering(answer) as asked:
        assert (await asked.invoke("f", user="1")).body == b"one two"


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/../../v1/functions/call", "/1/f/v1/functions/call"),
        ("/a/../b/.", "/1/f/b/"),
        ("/a/b/..", "/1/f/a/"),
        ("/..", "/1/f/"),
        ("/a//b?up=../..", "/1/f/a//b?up=../.."),
        ("/%2e%2e/v1", "/1/f/%2e%2e/v1"),
    ],
)
async def test_no_path_of_a_call_leads_out_of_its_endpoint(path: str, asked: str) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(200)

    async with answering(answer) as client:
        await client.invoke("f", path=path, user="1")
    assert seen == [asked]
