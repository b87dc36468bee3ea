"""Whatever a function says, however it says it: what comes of it in the log of a real backend."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from fal_serverless.client import Client
from fal_serverless.models import LogEntry, LogQuery
from running import RunningBackend
from serving import serve

FILE = "talking.py"


async def said(client: Client, label: str, count: int, **query: Any) -> list[LogEntry]:
    """The first so many entries of the function itself, past or to come."""
    found: list[LogEntry] = []
    async with asyncio.timeout(20):
        async for entry in client.tail(LogQuery(label, 10_000, sources=("user",), **query)):
            found.append(entry)
            if len(found) == count:
                return found
    raise AssertionError("the log stream ended")


@pytest.fixture
async def say(backend: RunningBackend, client: Client) -> Any:
    """Calls `say` one way; the entries of that call."""
    if "talking" not in {alias.name for alias in await client.aliases()}:
        await serve(backend, client, FILE, "say", alias="talking", from_source=True)

    async def call(way: str, count: int) -> list[LogEntry]:
        answer = await client.invoke("talking", json.dumps({"way": way}).encode())
        found = await said(client, "talking", count, request_id=answer.request_id)
        assert {(e.alias, e.function) for e in found} == {("talking", "talking")}
        assert len({e.worker for e in found}) == 1 and found[0].worker
        assert all(e.revision for e in found)
        return found

    return call


async def test_log_records_keep_their_level(say: Any) -> None:
    assert [(e.level, e.message) for e in await say("levels", 6)] == [
        ("TRACE", "level 5"),
        ("DEBUG", "level 10"),
        ("INFO", "level 20"),
        ("WARNING", "level 30"),
        ("ERROR", "level 40"),
        ("ERROR", "level 50"),
    ]


async def test_a_record_is_one_entry_also_by_a_handler_of_the_users(say: Any) -> None:
    (entry,) = await say("several_lines", 1)
    assert (entry.level, entry.message) == ("INFO", "one\ntwo\nthree")
    (entry,) = await say("own_handler", 1)
    assert (entry.level, entry.message) == ("ERROR", "<ERROR> with\ntwo lines")


async def test_what_a_handler_prints_of_a_record_is_one_entry_with_its_level(say: Any) -> None:
    record, bar = await say("printing_handler", 2)
    assert (record.level, record.message) == ("ERROR", "* for one\n  as told")
    assert (bar.level, bar.message) == ("STDERR", "100 %")


async def test_a_warning_is_one_entry(say: Any) -> None:
    (entry,) = await say("warned", 1)
    assert entry.level == "WARNING"
    first, second = entry.message.splitlines()
    assert first.endswith("UserWarning: mind this") and "warnings.warn" in second


@pytest.mark.parametrize(
    ("way", "begin"),
    [
        ("fail", "Traceback"),
        ("logged_failure", "it went wrong\nTraceback"),
        ("told_failure", "it failed: Traceback"),
        ("written_failure", "12:00 | ERROR | it failed\nTraceback"),
        ("failure_to_stdout", "Traceback"),
        ("hooked_failure", "Traceback"),
        ("thread_failure", "Exception in thread failing:\nTraceback"),
        ("task_failure", "Task exception was never retrieved\n"),
    ],
)
async def test_a_traceback_is_one_entry(say: Any, way: str, begin: str) -> None:
    (entry,) = await say(way, 1)
    assert entry.level == "ERROR"
    assert entry.message.startswith(begin)
    assert entry.message.endswith("ValueError: the reason\nin two lines")


async def test_an_error_that_python_cannot_show_ends_no_worker(say: Any) -> None:
    (entry,) = await say("closed_failure", 1)
    assert entry.level == "ERROR"
    assert entry.message.startswith("Traceback (most recent call last):\n")
    assert "in closed_failure" in entry.message
    # Since Python 3.13 it is Python that says so, in other words.
    assert "\ntalking.Closed: " in entry.message and "KeyError" in entry.message
    assert "__notes__" in entry.message.splitlines()[-1]
    (entry,) = await say("several_lines", 1)
    assert entry.message.startswith("one")


async def test_that_a_record_cannot_be_formatted_is_one_error(say: Any) -> None:
    (entry,) = await say("ill_formatted", 1)
    assert entry.level == "ERROR"
    assert entry.message.startswith("--- Logging error ---\nTraceback")
    assert entry.message.endswith("Message: '%d apples'\nArguments: ('many',)")


async def test_a_printed_traceback_comes_after_what_was_printed_before(say: Any) -> None:
    half, trace = await say("printed_failure", 2)
    assert (half.level, half.message) == ("STDERR", "half")
    assert trace.level == "ERROR" and trace.message.endswith("in two lines")


async def test_a_traceback_of_a_child_is_one_entry_with_what_led_to_it(say: Any) -> None:
    before, trace = await say("child_failure", 2)
    assert (before.level, before.message) == ("STDERR", "before")
    assert trace.level == "ERROR" and trace.message.endswith("KeyError: 'x'")
    assert "ZeroDivisionError: division by zero\n\nDuring handling" in trace.message


async def test_a_half_line_of_a_fork_that_ends_itself_is_kept(say: Any) -> None:
    (entry,) = await say("forked", 1)
    assert (entry.level, entry.message) == ("STDERR", "half of a fork")


async def test_what_goes_past_python_belongs_to_the_one_call_that_runs(say: Any) -> None:
    found = {(e.level, e.message) for e in await say("raw", 4)}
    texts = ("by os.write", "by C", "of a child")
    assert found == {*(("STDOUT", text) for text in texts), ("STDERR", "badly")}


async def test_long_lines_bytes_colours_and_ends_without_newline_arrive_whole(say: Any) -> None:
    assert [e.message for e in await say("odd", 4)] == [
        "x" * 1_000_000,
        "café \ufffd\x00",
        "\x1b[31mred\x1b[0m",
        "no end",
    ]


async def test_threads_pools_and_tasks_belong_to_the_call_that_uses_them(say: Any) -> None:
    expected = ["of a thread", "of a pool", "of to_thread", "of a task"]
    for _ in range(2):  # the pool's thread was started by the call before
        assert [e.message for e in await say("threads", 4)] == expected


@pytest.mark.parametrize("name", ["crowd", "async_crowd"])
async def test_calls_that_run_at_once_keep_all_their_lines_apart(
    backend: RunningBackend, client: Client, name: str
) -> None:
    await serve(backend, client, FILE, name, alias=name, from_source=True)
    names = [f"n{n}" for n in range(8)]
    calls = [client.invoke(name, json.dumps({"name": n}).encode()) for n in names]
    whose = {a.request_id: n for a, n in zip(await asyncio.gather(*calls), names, strict=True)}
    found = await said(client, name, 8 * 15)
    assert {e.request_id for e in found} == set(whose)
    for entry in found:
        assert entry.message.split()[0] == whose[entry.request_id]
    ways = Counter(tuple(entry.message.split()[1:]) for entry in found)
    assert len(ways) == 15 and set(ways.values()) == {8}


async def test_a_childs_line_has_the_call_also_when_the_next_one_follows_at_once(
    backend: RunningBackend, client: Client
) -> None:
    await serve(backend, client, FILE, "children", alias="children", from_source=True)
    names = [f"n{n}" for n in range(40)]
    calls = [client.invoke("children", json.dumps({"name": n}).encode()) for n in names]
    whose = {a.request_id: n for a, n in zip(await asyncio.gather(*calls), names, strict=True)}
    for entry in await said(client, "children", len(names)):
        assert whose[entry.request_id] == entry.message


async def test_a_thread_that_outlives_its_call_still_belongs_to_it(
    backend: RunningBackend, client: Client
) -> None:
    await serve(backend, client, FILE, "lasting", alias="lasting", from_source=True)
    first = await client.invoke("lasting", b'{"seconds": 0.3}')
    second = await client.invoke("lasting", b'{"seconds": 0.6}')
    found = [(e.request_id, e.message) for e in await said(client, "lasting", 4)]
    ids = (first.request_id, second.request_id)
    assert found == [(id, text) for text in ("now", "later") for id in ids]


async def test_a_servers_half_line_comes_after_a_moment_and_records_may_name_their_request(
    backend: RunningBackend, client: Client
) -> None:
    await serve(backend, client, FILE, "server", alias="talking-server", from_source=True)
    answer = await client.invoke("talking-server", method="GET", path="/here")
    found = await said(client, "talking-server", 2)
    named, half = found
    assert (named.message, named.level, named.request_id) == ("named", "WARNING", answer.request_id)
    assert (half.message, half.level, half.request_id) == ("asked for /here", "STDOUT", "")
    assert half.worker == named.worker and half.revision == named.revision
