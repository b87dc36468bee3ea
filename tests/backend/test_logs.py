from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fal_serverless.backend import logs
from fal_serverless.backend.logs import LogStore, Selection
from fal_serverless.errors import BadInput
from fal_serverless.models import LogEntry, LogQuery

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def entry(message: str = "hello", **changes: object) -> LogEntry:
    base = LogEntry(0, NOW, "STDOUT", "user", message, "1", "call", "call", "r1")
    return replace(base, **changes)


def select(**query: object) -> Selection:
    return Selection("1", LogQuery(**query))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LogStore]:
    made = LogStore(tmp_path, 10**9, 30)
    yield made
    made.close()


async def test_what_was_appended_is_read_back_whole_and_in_order(store: LogStore) -> None:
    written = [store.append(entry(f"line {n}")) for n in range(3)]
    assert await store.read(select()) == written


async def test_the_newest_lines_come_oldest_first(store: LogStore) -> None:
    for n in range(10):
        store.append(entry(f"line {n}"))
    found = await store.read(select(lines=2))
    assert [e.message for e in found] == ["line 8", "line 9"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"level": "WARNING"}, ["bad", "worse"]),
        ({"level": "INFO"}, ["plain", "bad", "worse"]),
        ({"sources": ("system",)}, ["bad"]),
        ({"search": "^wor.e$"}, ["worse"]),
        ({"request_id": "q1"}, ["plain"]),
        ({"revision": "r2"}, ["worse"]),
        ({"since": NOW + timedelta(seconds=1)}, ["worse"]),
        ({"until": NOW}, ["detail", "plain", "bad"]),
        ({"after": 2}, ["bad", "worse"]),
    ],
)
async def test_each_narrowing_holds_for_reading_and_for_following(
    store: LogStore, query: dict[str, object], expected: list[str]
) -> None:
    for line in (
        entry("detail", level="DEBUG"),
        entry("plain", request_id="q1"),
        entry("bad", level="WARNING", source="system"),
        entry("worse", level="ERROR", revision="r2", time=NOW + timedelta(minutes=1)),
    ):
        store.append(line)
    found = await store.read(select(**query))
    assert [e.message for e in found] == expected
    if "after" not in query:
        matches = logs.matcher(select(**query))
        everything = await store.read(select())
        assert [e.message for e in everything if matches(e)] == expected


async def test_lines_of_other_users_are_not_there(store: LogStore) -> None:
    store.append(entry(user="2"))
    assert await store.read(select()) == []


async def test_a_bad_regular_expression_is_bad_input(store: LogStore) -> None:
    with pytest.raises(BadInput, match="not a regular expression"):
        await store.read(select(search="("))


async def test_following_misses_and_doubles_nothing_beyond_what_memory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "RECENT", 50)
    store = LogStore(tmp_path, 10**9, 30)
    store.append(entry("past"))
    seen: list[int] = []

    async def follow() -> None:
        async for found in store.follow(select(lines=1)):
            seen.append(found.id)
            if len(seen) == 1:
                started.set()
            if len(seen) == 5001:
                return

    started = asyncio.Event()
    task = asyncio.create_task(follow())
    await started.wait()
    for n in range(5000):
        store.append(entry(str(n)))
        if n % 500 == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(task, 20)
    store.close()
    assert seen == list(range(1, 5002))


async def test_lines_are_there_after_the_store_is_opened_again(tmp_path: Path) -> None:
    first = LogStore(tmp_path, 10**9, 30)
    written = first.append(entry("kept"))
    first.close()
    second = LogStore(tmp_path, 10**9, 30)
    assert await second.read(select()) == [written]
    assert second.append(entry("next")).id == written.id + 1
    second.close()


async def test_lines_over_their_age_and_the_oldest_of_too_many_go(tmp_path: Path) -> None:
    store = LogStore(tmp_path, 200_000, 30, clock=lambda: NOW)
    store.append(entry("ancient", time=NOW - timedelta(days=31)))
    for n in range(5000):
        store.append(entry(f"line {n} " + "x" * 100))
    await store.read(select(lines=1))
    with logs.closing(logs._connect(tmp_path / "logs.db")) as connection:
        store._trim(connection)
    left = await store.read(select(lines=10_000))
    assert left[0].message != "ancient"
    assert len(left) == 4500
    assert left[-1].message.startswith("line 4999")
    store.close()


async def test_a_tap_hears_one_revision_while_it_is_open(store: LogStore) -> None:
    heard: list[str] = []
    with store.tap("r1", lambda e: heard.append(e.message)):
        store.append(entry("mine"))
        store.append(entry("other", revision="r2"))
    store.append(entry("late"))
    assert heard == ["mine"]
