from __future__ import annotations

import asyncio
import errno
import os
import re
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from fal_serverless.backend.logs import program, wire
from fal_serverless.backend.logs import store as module
from fal_serverless.backend.logs.rows import LINE_HEAD, last_texts, pack, row_of
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.backend.logs.store import LogStore, _entries
from fal_serverless.client import Client
from fal_serverless.errors import BadInput, Unreachable
from fal_serverless.models import LogEntry, LogQuery, tells_of_missing
from running import Reluctant, stores_on

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def entry(message: str = "hello", **changes: object) -> LogEntry:
    base = LogEntry(0, NOW, "STDOUT", "user", message, "1", "call", "call", "r1")
    return replace(base, **changes)


def select(**query: object) -> Selection:
    return Selection("1", LogQuery(**query))


def texts(found: list[LogEntry]) -> list[str]:
    return [each.message for each in found]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LogStore]:
    made = LogStore(tmp_path, 10**9, 36_500)
    yield made
    await made.close()


async def test_what_was_appended_is_read_back_whole_and_in_order(store: LogStore) -> None:
    given = [entry(f"line {n}", alias="", request_id="q" * n, worker="w") for n in range(3)]
    for each in given:
        store.append(each)
    expected = [replace(each, id=number) for number, each in enumerate(given, 1)]
    assert await store.read(select()) == expected


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
    assert texts(await store.read(select(**query))) == expected
    following = store.follow(select(**query))
    assert [(await anext(following)).message for _ in expected] == expected


async def test_a_tail_waits_for_what_matches_and_leaves_out_the_rest(store: LogStore) -> None:
    found: list[str] = []

    async def follow() -> None:
        async for each in store.follow(select(level="ERROR", search="o", lines=0)):
            found.append(each.message)
            if len(found) == 2:
                return

    store.append(entry("old", level="ERROR"))
    task = asyncio.create_task(follow())
    await store.read(select())
    for message, level in [("no", "INFO"), ("one", "ERROR"), ("bad", "ERROR"), ("two", "ERROR")]:
        store.append(entry(message, level=level))
        await store.read(select())
    await asyncio.wait_for(task, 10)
    assert found == ["one", "two"]


async def test_lines_of_other_users_are_not_there(store: LogStore) -> None:
    store.append(entry(user="2"))
    assert await store.read(select()) == []


async def test_a_bad_regular_expression_is_bad_input(store: LogStore) -> None:
    with pytest.raises(BadInput, match="not a regular expression"):
        await store.read(select(search="("))


async def test_following_misses_and_doubles_nothing(store: LogStore) -> None:
    store.append(entry("past"))
    seen: list[int] = []

    async def follow() -> None:
        async for found in store.follow(select(lines=1)):
            seen.append(found.id)
            started.set()
            if len(seen) == 20_001:
                return

    started = asyncio.Event()
    task = asyncio.create_task(follow())
    await started.wait()
    for n in range(20_000):
        store.append(entry(str(n)))
        if n % 500 == 0:
            await asyncio.sleep(0)
    await asyncio.wait_for(task, 20)
    assert seen == list(range(1, 20_002))


async def test_a_tail_that_nobody_reads_holds_up_no_other(store: LogStore) -> None:
    store.append(entry("first"))
    slow, quick = store.follow(select(lines=1)), store.follow(select(lines=1))
    assert (await anext(slow)).message == (await anext(quick)).message == "first"
    for n in range(5000):
        store.append(entry(str(n)))
    for n in range(5000):
        assert (await anext(quick)).message == str(n)
    assert [(await anext(slow)).message for _ in range(5000)] == [str(n) for n in range(5000)]


async def test_the_store_is_told_that_a_reader_has_gone(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(entry())
    tail = store.follow(select())
    assert (await anext(tail)).message == "hello"
    waiting, asked = asyncio.ensure_future(anext(tail)), asyncio.Event()
    sent: list[tuple[int, int]] = []
    real = store._program.send

    def send(frame: bytes) -> None:
        sent.append(wire.HEAD.unpack_from(frame)[1:])
        asked.set()
        real(frame)

    monkeypatch.setattr(store._program, "send", send)
    await asked.wait()
    waiting.cancel()
    await asyncio.wait((waiting,))
    (_, number) = sent[0]
    assert (wire.DROP, number) in sent


async def test_a_tail_resumes_after_an_id(store: LogStore) -> None:
    for n in range(3000):
        store.append(entry(str(n)))
    resumed = store.follow(select(after=10))
    assert [(await anext(resumed)).id for _ in range(2990)] == list(range(11, 3001))


class Moved:
    """A tail's selection that became another one before its first answer came."""

    def __init__(self, selection: Selection) -> None:
        self.selection = selection

    def now(self) -> Selection:
        return self.selection

    async def moved(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize("after", [0, None])
async def test_what_a_tail_moves_to_is_not_missed_in_the_answer_that_was_on_its_way(
    store: LogStore, after: int | None
) -> None:
    for n in range(6):
        store.append(entry(f"line {n}", revision=f"r{n % 2}"))
    asked = Selection("1", LogQuery(after=after), frozenset({"r0"}))
    moves = Moved(replace(asked, revisions=frozenset({"r0", "r1"})))
    found: list[str] = []
    async with aclosing(store.tail(asked, moves)) as pages, asyncio.timeout(20):
        while len(found) < 6:
            found += re.findall("line .", (await anext(pages)).decode())
    assert found == [f"line {n}" for n in range(6)]


async def test_more_is_read_than_fits_a_page(store: LogStore) -> None:
    for n in range(3000):
        store.append(entry(str(n)))
    assert len(await store.read(select(lines=2500))) == 2500
    assert len(await store.read(select(after=100))) == 2900


async def test_lines_are_there_after_the_store_is_opened_again(tmp_path: Path) -> None:
    first = LogStore(tmp_path, 10**9, 36_500)
    first.append(entry("kept"))
    await first.close()
    second = LogStore(tmp_path, 10**9, 36_500)
    second.append(entry("next"))
    found = await second.read(select())
    await second.close()
    assert [(each.id, each.message) for each in found] == [(1, "kept"), (2, "next")]


async def test_rows_and_blocks_stay_in_order_and_a_block_is_told_when_it_is_kept(
    store: LogStore,
) -> None:
    eased: list[int] = []
    packed = pack("INFO", NOW.timestamp(), "two") + pack("STDERR", NOW.timestamp(), "three")
    store.put(row_of(entry("one")))
    store.lines(("1", "call", "r1", "w1", {}, packed), eased.append)
    store.put(row_of(entry("four")))
    found = await store.read(select())
    assert texts(found) == ["one", "two", "three", "four"]
    assert (found[1].level, found[1].time, found[1].worker) == ("INFO", NOW, "w1")
    assert eased == [len(packed)]


async def test_a_block_that_is_none_does_no_harm(store: LogStore) -> None:
    good = pack("INFO", NOW.timestamp(), "good")
    strange = LINE_HEAD.pack(200, NOW.timestamp(), 0, 3) + b"bad"
    timeless = LINE_HEAD.pack(1, float("nan"), 0, 3) + b"bad"
    for packed in (good + strange, good + timeless, good + b"cut"):
        store.lines(("1", "call", "r1", "w1", {}, packed), lambda _: None)
        assert last_texts(packed, 3)[0] == "good"
    assert texts(await store.read(select())) == ["good"] * 3


async def test_text_that_is_no_text_is_kept_all_the_same(store: LogStore) -> None:
    odd = ["half \ud83d", "nul \x00", "line \u2028 \u2029 \x85 ends", "😀", ""]
    for message in odd:
        store.append(entry(message))
    assert texts(await store.read(select())) == ["half \\ud83d", *odd[1:]]


async def test_a_store_that_is_killed_is_started_again_and_loses_nothing(tmp_path: Path) -> None:
    store = LogStore(tmp_path, 10**9, 36_500)
    seen: list[str] = []

    async def follow() -> None:
        async for found in store.follow(select(after=0)):
            seen.append(found.message)
            if len(seen) == 10_000:
                return

    await store.read(select())
    task = asyncio.create_task(follow())
    for n in range(10_000):
        store.append(entry(str(n)))
        if n % 100 == 0:
            await asyncio.sleep(0.005)
        if n % 2000 == 1999:
            os.kill(stores_on(tmp_path)[0], signal.SIGKILL)
            await store.read(select(lines=1))
    await asyncio.wait_for(task, 20)
    kept = texts(await store.read(select(lines=20_000)))
    await store.close()
    assert kept == seen == [str(n) for n in range(10_000)]
    assert stores_on(tmp_path) == []


async def test_a_store_that_cannot_be_started_is_tried_again_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = Reluctant(program.create_subprocess_exec, errno.EMFILE)
    monkeypatch.setattr(program, "create_subprocess_exec", start)
    store = LogStore(tmp_path, 10**9, 36_500)
    store.append(entry("said meanwhile"))
    async with asyncio.timeout(20):
        assert texts(await store.read(select())) == ["said meanwhile"]
    await store.close()
    assert start.tries == 3


async def test_rows_that_the_store_cannot_keep_up_with_are_counted(
    store: LogStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_HELD", 20_000)
    for n in range(5000):
        store.append(entry(f"{n} " + "x" * 50))
    assert await store.read(select(lines=1))
    found = texts(await store.read(select(lines=10_000)))
    said = [text for text in found if "left out" in text]
    assert sum(int(text.split()[0]) for text in said) == 5000 - (len(found) - len(said)) > 0


async def test_a_tap_hears_one_revision_while_it_is_open(store: LogStore) -> None:
    heard: list[str] = []
    with store.tap("r1", lambda e: heard.append(e.message)):
        store.append(entry("mine"))
        store.append(entry("other", revision="r2"))
    store.append(entry("late"))
    assert heard == ["mine"]


LONG = [
    "first\nsecond ValueError\n\nlast \u2028 \x85 \r\n end",
    "x" * 1_000_000,
    "data: 1\n\nid: 5",
]


async def test_entries_of_many_lines_and_of_a_megabyte_come_whole(store: LogStore) -> None:
    for message in LONG:
        store.append(entry(message))
    found = await store.read(select())
    following = store.follow(select(after=0))
    assert [await anext(following) for _ in LONG] == found
    assert texts(found) == LONG
    assert await store.read(select(search="^second Val.*r$")) == found[:1]
    assert await store.read(select(search="x{1000}")) == found[1:2]


@pytest.mark.parametrize("query", [{}, {"after": 0}, {"after": 2}, {"after": 0, "search": "bye"}])
async def test_a_tail_says_where_it_is_once_nothing_more_is_past(
    store: LogStore, query: dict[str, object]
) -> None:
    for expected in (b"id: 0\n\n", b"id: 3\n\n"):
        async with asyncio.timeout(10), aclosing(store.tail(select(**query))) as pages:
            async for page in pages:
                if not page.endswith(b"}\n\n"):
                    break
        assert page.endswith(expected)
        for _ in range(3):
            store.append(entry("hello"))


async def test_a_client_reads_events_as_the_store_writes_them(store: LogStore) -> None:
    for message in LONG:
        store.append(entry(message))
    found = await store.read(select())
    pages = store.tail(select(after=0))
    content = b""
    while LONG[-1].encode()[-5:] not in content:
        content += await anext(pages)
    content += b'id: 4\ndata: {"cut'

    class Chunks(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for start in range(0, len(content), 997):
                yield content[start : start + 997]

    transport = httpx.MockTransport(lambda request: httpx.Response(200, stream=Chunks()))
    tail = Client("http://backend.test", "id:secret", transport=transport).tail(LogQuery())
    assert [await anext(tail) for _ in LONG] == found
    with pytest.raises(Unreachable):
        await anext(tail)


async def test_many_readers_of_the_same_are_told_the_same(store: LogStore) -> None:
    async def read() -> list[str]:
        following = store.follow(select(lines=0))
        return [(await anext(following)).message for _ in range(1000)]

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(50)]
        await store.read(select())
        for n in range(1000):
            store.append(entry(str(n)))
            if n % 100 == 0:
                await asyncio.sleep(0.01)
    assert all(reader.result() == [str(n) for n in range(1000)] for reader in readers)


async def test_a_reader_who_was_too_slow_is_told_what_is_missing(tmp_path: Path) -> None:
    store = LogStore(tmp_path, 500_000, 36_500)
    slow = store.follow(select(lines=1))
    store.append(entry("first"))
    assert (await anext(slow)).message == "first"
    for n in range(10_000):
        store.append(entry(f"{n} " + "x" * 100))
    kept = await store.read(select(lines=20_000))
    # Entries may go while they are read: until none did.
    while len(kept) > 4000 or kept[-1].id != 10_001 or any(map(tells_of_missing, kept)):
        kept = await store.read(select(lines=20_000))
    told = await anext(slow)
    assert (told.level, told.source, told.id) == ("WARNING", "system", kept[0].id - 1)
    assert told.message.startswith(f"up to {kept[0].id - 2} entries are left out here")
    assert tells_of_missing(told)
    assert (await anext(slow)).id == kept[0].id
    await store.close()


async def test_a_flood_does_not_outgrow_the_store_and_its_files_follow(tmp_path: Path) -> None:
    bound, path = 4 << 20, tmp_path / "entries.db"
    store = LogStore(tmp_path, bound, 36_500)
    packed, written = pack("STDOUT", NOW.timestamp(), "x" * 40) * 1000, asyncio.Event()
    largest = 0
    for _ in range(40):
        written.clear()
        for _ in range(8):
            store.lines(("1", "call", "r1", "w1", {}, packed), lambda _: written.set())
        await written.wait()
        largest = max(largest, path.stat().st_size)
    # Some MB come in one batch.
    assert largest < 2 * bound
    while path.stat().st_size > bound:
        await store.read(select(lines=1))
    kept = await store.read(select(lines=320_000))
    assert [each.id for each in kept] == [*range(kept[0].id, 320_001)]
    assert len(kept) > 15_000
    await store.close()


async def test_what_is_removed_while_an_answer_is_read_is_counted_in_its_place(
    tmp_path: Path,
) -> None:
    store = LogStore(tmp_path, 500_000, 36_500)
    for n in range(1500):
        store.append(entry(f"{n} " + "x" * 100))
    pieces = store.found(select(lines=1500))
    read = [await anext(pieces)]
    for n in range(3000):
        store.append(entry(f"{n} " + "x" * 100))
    while (await store.read(select(lines=20_000)))[0].id <= 750:
        pass
    read += [piece async for piece in pieces]
    found = _entries(b"".join(read))
    (told,) = [each for each in found if tells_of_missing(each)]
    place = found.index(told)
    lost = int(told.message.split()[0])
    assert told.message.startswith(f"{lost} entries are left out here") and lost > 0
    before, after = found[:place], found[place + 1 :]
    assert [each.id for each in before] == [*range(1, place + 1)]
    assert told.id == place + lost
    assert [each.id for each in after] == [*range(told.id + 1, 1501)]
    await store.close()


async def test_a_full_disk_stops_nobody_and_what_was_held_is_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = LogStore(tmp_path, 10**9, 36_500)
    eased: list[int] = []
    store.append(entry("before"))
    await store.read(select())
    (pid,) = stores_on(tmp_path)
    # A file that must not grow fails as a disk without room does.
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    packed = pack("STDOUT", NOW.timestamp(), "meanwhile")
    for _ in range(100):
        store.lines(("1", "call", "r1", "w1", {}, packed), eased.append)
    assert texts(await store.read(select())) == ["before"]
    assert len(eased) == 100
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    following = store.follow(select(after=0))
    assert [(await anext(following)).message for _ in range(101)] == ["before"] + [
        "meanwhile"
    ] * 100
    await store.close()
    assert stores_on(tmp_path) == []
    assert len([r for r in caplog.records if "cannot be written" in r.message]) == 1
    assert len([r for r in caplog.records if "written again" in r.message]) == 1


async def test_what_a_full_disk_has_no_room_for_is_counted(
    store: LogStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_HELD", 20_000)
    await store.read(select())
    (pid,) = stores_on(tmp_path)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    packed = pack("STDOUT", NOW.timestamp(), "x" * 50) * 100
    for _ in range(50):
        store.lines(("1", "call", "r1", "w1", {}, packed), lambda _: None)
        await store.read(select())
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    following, kept = store.follow(select(after=0)), 0
    async for each in following:
        if tells_of_missing(each):
            break
        kept += 1
    assert int(each.message.split()[0]) == 5000 - kept > 0


@pytest.mark.parametrize("content", [b"no database at all " * 500, None])
async def test_a_file_that_cannot_be_read_is_kept_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    first = LogStore(tmp_path, 10**9, 36_500)
    first.append(entry("old"))
    seen = (await first.read(select()))[-1].id
    await first.close()
    path = tmp_path / "entries.db"
    broken = content or path.read_bytes()[:4096] + b"\x7f" * (path.stat().st_size - 4096)
    path.write_bytes(broken)
    second = LogStore(tmp_path, 10**9, 36_500)
    second.append(entry("new"))
    following = second.follow(select(after=seen))
    assert (await anext(following)).message == "new"
    await second.close()
    (aside,) = tmp_path.glob("entries.db.unreadable-*")
    assert aside.read_bytes() == broken
    (said,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert said.startswith("the log file cannot be read") and str(aside) in said


@pytest.mark.parametrize("whole", [False, True])
async def test_a_file_that_is_removed_is_begun_anew_before_the_next_entry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, whole: bool
) -> None:
    """As people make room on a full disk."""
    folder = tmp_path / "logs"
    store = LogStore(folder, 10**9, 36_500)
    store.append(entry("old"))
    following = store.follow(select(after=0))
    assert (await anext(following)).message == "old"
    for path in list(folder.iterdir()) if whole else folder.glob("entries.db*"):
        path.unlink()
    if whole:
        folder.rmdir()
    store.append(entry("new"))
    assert (await anext(following)).message == "new"
    assert texts(await store.read(select())) == ["new"]
    await store.close()
    again = LogStore(folder, 10**9, 36_500)
    assert texts(await again.read(select())) == ["new"]
    await again.close()
    (said,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert said == f"the log file was removed from {folder}; a new one begins"


async def test_who_saw_entries_of_a_file_that_was_removed_misses_none_of_the_next(
    tmp_path: Path,
) -> None:
    """Also when that one has as many by the time they ask."""
    first = LogStore(tmp_path, 10**9, 36_500)
    for number in range(3):
        first.append(entry(f"old {number}"))
    seen = (await first.read(select()))[-1].id
    await first.close()
    for path in tmp_path.glob("entries.db*"):
        path.unlink()
    second = LogStore(tmp_path, 10**9, 36_500)
    for number in range(5):
        second.append(entry(f"new {number}"))
    found = await second.read(select(after=seen))
    await second.close()
    assert texts(found) == [f"new {number}" for number in range(5)]


async def test_who_saw_entries_in_memory_gets_none_again_that_are_older(tmp_path: Path) -> None:
    folder, away = tmp_path / "logs", tmp_path / "away"

    async def lived(name: str, seen: int) -> list[LogEntry]:
        store = LogStore(folder, 10**9, 36_500)
        store.append(entry(name))
        found = await store.read(select(after=seen))
        await store.close()
        return found

    (old,) = await lived("old", 0)
    folder.rename(away)
    folder.write_text("a file where a folder has to be")
    (held,) = await lived("in memory", old.id)
    folder.unlink()
    away.rename(folder)
    assert texts(await lived("new", held.id)) == ["new"]


async def test_questions_outlive_a_file_that_is_damaged_where_it_is_read(tmp_path: Path) -> None:
    first = LogStore(tmp_path, 10**9, 36_500)
    for number in range(5000):
        first.append(entry(f"old {number}"))
    await first.read(select())
    await first.close()
    path = tmp_path / "entries.db"
    content = bytearray(path.read_bytes())
    begin, end = len(content) * 4 // 10, len(content) * 6 // 10
    content[begin:end] = b"\x7f" * (end - begin)
    path.write_bytes(content)
    store = LogStore(tmp_path, 10**9, 36_500)
    assert await store.read(select(search="^new")) == []
    assert list(tmp_path.glob("*.unreadable-*"))
    store.append(entry("new"))
    assert texts(await store.read(select())) == ["new"]
    await store.close()


async def test_without_a_folder_entries_are_kept_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "logs").write_text("a file where a folder has to be")
    store = LogStore(tmp_path / "logs", 10**9, 36_500)
    store.append(entry("one"))
    following = store.follow(select())
    assert (await anext(following)).message == "one"
    store.append(entry("two"))
    assert (await anext(following)).message == "two"
    assert texts(await store.read(select(search="t.o"))) == ["two"]
    await store.close()
    (said,) = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert "no logs can be written" in said


async def test_a_clock_that_jumps_back_changes_no_order(store: LogStore) -> None:
    times = [NOW, NOW + timedelta(days=400), NOW - timedelta(days=3), NOW + timedelta(seconds=1)]
    following, came = store.follow(select(after=0)), []
    for number, when in enumerate(times):
        store.append(entry(str(number), time=when))
        came.append(await anext(following))
    assert texts(came) == ["0", "1", "2", "3"]
    assert texts(await store.read(select())) == ["0", "1", "2", "3"]
    assert texts(await store.read(select(since=NOW))) == ["0", "1", "3"]
    assert texts(await store.read(select(until=NOW))) == ["0", "2"]


async def test_a_time_that_no_calendar_has_harms_nobody(store: LogStore) -> None:
    strange = LINE_HEAD.pack(1, 1e30, 0, 3) + b"bad"
    store.lines(("1", "call", "r1", "w1", {}, strange), lambda _: None)
    store.lines(("1", "call", "r1", "w1", {}, b"".join([strange] * 3)), lambda _: None)
    store.append(entry("good"))
    assert texts(await store.read(select())) == ["good"]


async def test_a_batch_that_is_none_costs_no_other(
    store: LogStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.put((2**63, "INFO", "user", "bad", "1", "call", "", "r1", "", ""))
    await store.read(select())
    store.append(entry("good"))
    assert texts(await store.read(select())) == ["good"]
    assert "1 log entries cannot be kept" in caplog.text
