from __future__ import annotations

import fcntl
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from fal_serverless.backend.logs import file as module
from fal_serverless.backend.logs import wire
from fal_serverless.backend.logs.file import LogFile
from fal_serverless.backend.logs.folder import LogFolder
from fal_serverless.backend.logs.rows import LogRow
from fal_serverless.backend.logs.search import WINDOW, Search
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.models import LogEntry, LogQuery, tells_of_missing

NOW = 1_700_000_000
DAY = 86_400


def row(message: str, seconds: float = NOW, revision: str = "r1", request_id: str = "") -> LogRow:
    at = round(seconds * 1_000_000)
    return (at, "INFO", "user", message, "1", "call", "", revision, "w", request_id)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


OpenFile = Callable[..., LogFile]
T = TypeVar("T")


@pytest.fixture
def open_file(tmp_path: Path) -> Iterator[OpenFile]:
    made: list[LogFile] = []

    def make(max_bytes: int = 10**9, max_days: float = 30) -> LogFile:
        path = tmp_path / "entries.db"
        made.append(LogFile(path, max_bytes, max_days, clock=lambda: NOW))
        return made[-1]

    yield make
    for file in made:
        file.close()


def select(**query: object) -> Selection:
    return Selection("1", LogQuery(**query))


def found(file: LogFile, **query: object) -> list[int]:
    search = Search(file)
    try:
        return done(search.find(select(**query))).ids
    finally:
        search.close()


def done(slices: Generator[None, None, T]) -> T:
    """What they come to."""
    try:
        while True:
            next(slices)
    except StopIteration as end:
        return end.value


def entries(events: bytes) -> list[LogEntry]:
    return msgspec.json.decode(wire.json_list(events), type=list[LogEntry])


def trim(file: LogFile) -> None:
    for _ in file.trim():
        pass


def fill_past(file: LogFile) -> None:
    """Ten thousand entries, half of which are so old that they go."""
    for batch in range(10):
        at = NOW - 40 * DAY if batch < 5 else NOW
        file.write("a", batch + 1, [row(f"line {n}", at) for n in range(1000)])


def test_a_batch_that_comes_again_is_written_once(open_file: OpenFile) -> None:
    file = open_file()
    assert file.write("a", 1, [row("one")])
    assert file.write("b", 1, [row("two")])
    assert not file.write("a", 1, [row("one")])
    file.close()
    again = open_file()
    assert not again.write("b", 1, [row("two")])
    assert again.write("b", 2, [row("three")])
    assert found(again) == [1, 2, 3]


def test_nothing_of_a_batch_that_fails_is_taken_for_written(open_file: OpenFile) -> None:
    file = open_file()
    with pytest.raises(ValueError):
        file.write("a", 1, [row("lost", revision="r1"), ("not a row",)])
    assert file.write("a", 1, [row("kept", revision="r2"), row("kept", revision="r1")])
    file.close()
    again = open_file()
    seen, events = done(Search(again).after(select(after=0), 0))
    assert [(each.id, each.revision) for each in entries(events)] == [(1, "r2"), (2, "r1")]
    assert (seen, again.written) == (2, 2)


def test_ids_are_never_given_twice(open_file: OpenFile) -> None:
    file = open_file()
    file.write("a", 1, [row("old", NOW - 40 * DAY)])
    trim(file)
    assert found(file) == []
    file.close()
    again = open_file()
    again.write("a", 2, [row("new")])
    assert found(again) == [2]


def test_ids_that_a_crash_may_have_given_are_left_out(open_file: OpenFile) -> None:
    open_file().write("a", 1, [row("one")])
    after_a_crash = open_file()
    after_a_crash.write("a", 2, [row("two")])
    assert found(after_a_crash) == [1, module.UNSURE + 2]


def test_what_is_written_after_all_has_gone_is_no_part_of_it(open_file: OpenFile) -> None:
    file = open_file()
    file.write("a", 1, [row("old", NOW - 40 * DAY)])
    trim(file)
    file.write("a", 2, [row("new")])
    assert (file.first, file.last) == (2, 2)


def test_a_batch_that_comes_again_after_a_look_at_ages_is_written_once(
    open_file: OpenFile,
) -> None:
    file = open_file()
    file.write("a", 1, [row("one")])
    trim(file)
    file.close()
    assert not open_file().write("a", 1, [row("one")])


def test_what_stands_beside_older_entries_stays_until_it_is_old_itself(
    open_file: OpenFile,
) -> None:
    file = open_file()
    file.write("a", 1, [row("late to come", NOW - 40 * DAY), row("new")])
    trim(file)
    assert found(file) == [1, 2]


def test_how_far_entries_have_gone_never_goes_back(open_file: OpenFile) -> None:
    file = open_file()
    file.write("a", 1, [row(str(n), NOW - DAY) for n in range(1000)])
    file.write("a", 2, [row(str(n), NOW - 40 * DAY) for n in range(1000)])
    trim(file)
    assert file.removed == 2000
    file.close()
    stricter = open_file(max_days=0.5)
    trim(stricter)
    assert (found(stricter), stricter.removed) == ([], 2000)


def test_entries_over_their_age_go(open_file: OpenFile) -> None:
    file = open_file()
    for batch in range(40):
        at = NOW - (40 - batch) * DAY
        file.write("a", batch + 1, [row(str(n), at) for n in range(500)])
    trim(file)
    assert found(file, lines=100_000) == list(range(5001, 20_001))


def test_the_oldest_of_too_many_go(open_file: OpenFile) -> None:
    file = open_file(max_bytes=400_000)
    for batch in range(5):
        file.write("a", batch + 1, [row(f"line {n} " + "x" * 100) for n in range(1000)])
    assert file.is_full
    trim(file)
    assert not file.is_full
    assert found(file, lines=10_000) == list(range(3001, 5001))


def test_a_file_that_may_not_be_so_large_any_more_gives_back_what_it_has_too_much(
    open_file: OpenFile, tmp_path: Path
) -> None:
    file = open_file()
    fill_past(file)
    file.close()
    path = tmp_path / "entries.db"
    assert path.stat().st_size > 400_000
    file = open_file(max_bytes=200_000)
    trim(file)
    assert path.stat().st_size <= 200_000
    kept = found(file, lines=20_000)
    assert len(kept) >= 2000 and kept == [*range(kept[0], 10_001)]
    # What is free within the bound is not given back, but written again.
    assert sum(1 for _ in file.trim()) == 0
    file.write("a", 11, [row("line") for _ in range(2000)])
    trim(file)
    assert path.stat().st_size <= 200_000
    (said,) = file.reader().execute("PRAGMA integrity_check").fetchone()
    assert said == "ok"


def test_a_file_that_cannot_give_back_writes_again_what_is_free(
    open_file: OpenFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As all were that an earlier version began.
    with monkeypatch.context() as earlier:
        earlier.setattr(module, "INCREMENTAL", 0)
        file = open_file()
    fill_past(file)
    file.close()
    path = tmp_path / "entries.db"
    size = path.stat().st_size
    file = open_file(max_bytes=300_000)
    trim(file)
    assert not file.is_full
    for batch in range(11, 14):
        file.write("a", batch, [row("line") for _ in range(1000)])
    file.close()
    assert path.stat().st_size == size
    assert found(open_file(), lines=20_000)[-1] == 13_000


def test_since_is_found_by_marks_and_late_entries_are_not_missed(open_file: OpenFile) -> None:
    file = open_file()
    for batch in range(10):
        rows = [row(str(n), NOW + batch) for n in range(1000)]
        file.write("a", batch + 1, [*rows, row("late", NOW + batch - 1.5)])
    assert len(found(file, since=moment(NOW + 8), lines=100_000)) == 2000
    assert len(found(file, since=moment(NOW + 7.4), lines=100_000)) == 2001


def test_an_endpoint_and_a_request_are_found_among_many(open_file: OpenFile) -> None:
    file = open_file()
    rows = [row(str(n), revision=f"r{n % 7}", request_id=f"q{n}") for n in range(7000)]
    file.write("a", 1, rows)
    assert found(file, revision="r3", lines=2) == [6990, 6997]
    assert found(file, request_id="q41") == [42]
    assert found(file, request_id="q41", revision="r1") == []


@pytest.mark.parametrize("seen", [0, 1, 2001])
def test_a_reader_whom_removal_overtakes_between_two_slices_is_told(
    open_file: OpenFile, seen: int
) -> None:
    file = open_file()
    fill_past(file)
    search = Search(file)
    slices = search.after(select(search="nowhere"), seen)
    next(slices)
    trim(file)
    last, events = done(slices)
    (told,) = entries(events)
    assert (last, told.id) == (5000, 5000)
    assert tells_of_missing(told)
    # What one slice looked at is not missing.
    assert int(told.message.split()[2]) == 5000 - (seen + WINDOW)
    search.close()


def test_a_page_of_what_was_found_ends_before_what_is_removed(open_file: OpenFile) -> None:
    file = open_file()
    fill_past(file)
    search = Search(file)
    wanted = [2, 4999, 5000, 5001, 9999, 10_000]
    assert [each.id for each in entries(search.show(wanted)[1])] == wanted
    trim(file)
    assert search.show(wanted) == (5000, b"")
    last, events = search.show(wanted[3:])
    assert (last, [each.id for each in entries(events)]) == (10_000, wanted[3:])
    # A clock that was wrong for a while lets what is in the middle go first.
    for batch, at in enumerate((NOW, NOW - 40 * DAY, NOW), 11):
        file.write("a", batch, [row("line", at) for _ in range(1000)])
    trim(file)
    wanted = [10_999, 11_000, 11_001, 12_000, 12_001]
    shown = [search.show(wanted[start:]) for start in (0, 2, 4)]
    assert [(last, len(entries(events))) for last, events in shown] == [
        (11_000, 2),
        (12_000, 0),
        (12_001, 1),
    ]
    search.close()


def test_who_goes_on_from_an_id_misses_only_what_went_when_a_clock_was_wrong(
    open_file: OpenFile,
) -> None:
    file = open_file()
    for batch, at in enumerate((NOW, NOW - 40 * DAY, NOW), 1):
        file.write("a", batch, [row("line", at) for _ in range(1000)])
    trim(file)
    search = Search(file)
    for begin in (0, 1):
        seen, came = begin, list[LogEntry]()
        while seen < 3000:
            seen, events = done(search.after(select(), seen))
            came += entries(events)
        (told,) = [each for each in came if tells_of_missing(each)]
        assert told.message.startswith("up to 1000 entries")
        # The one that tells stands in place of the last that is gone.
        assert [each.id for each in came] == [*range(begin + 1, 1001), *range(2000, 3001)]
    search.close()


def test_a_store_waits_for_the_one_before_it(tmp_path: Path) -> None:
    folder = LogFolder(tmp_path, 10**9, 30, print)

    def open_and_close() -> None:
        folder.open().close()
        folder.close()

    with ThreadPoolExecutor(1) as threads, (tmp_path / "logs.lock").open("a") as before:
        fcntl.flock(before, fcntl.LOCK_EX)
        opening = threads.submit(open_and_close)
        assert not wait([opening], timeout=0.2).done
        fcntl.flock(before, fcntl.LOCK_UN)
        opening.result(10)
