from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fal_serverless.backend.logs.file import LogFile
from fal_serverless.backend.logs.rows import LogRow
from fal_serverless.backend.logs.search import Search
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.models import LogQuery

NOW = 1_700_000_000
DAY = 86_400


def row(message: str, seconds: float = NOW, revision: str = "r1", request_id: str = "") -> LogRow:
    at = round(seconds * 1_000_000)
    return (at, "INFO", "user", message, "1", "call", "", revision, "w", request_id)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


OpenFile = Callable[..., LogFile]


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


def found(file: LogFile, **query: object) -> list[int]:
    search = Search(file)
    slices = search.find(Selection("1", LogQuery(**query)))
    try:
        while True:
            next(slices)
    except StopIteration as done:
        return done.value.ids
    finally:
        search.close()


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


def test_ids_are_never_given_twice(open_file: OpenFile) -> None:
    file = open_file()
    file.write("a", 1, [row("old", NOW - 40 * DAY)])
    for _ in file.trim():
        pass
    assert found(file) == []
    file.close()
    again = open_file()
    again.write("a", 2, [row("new")])
    assert found(again) == [2]


def test_entries_over_their_age_go(open_file: OpenFile) -> None:
    file = open_file()
    for batch in range(40):
        at = NOW - (40 - batch) * DAY
        file.write("a", batch + 1, [row(str(n), at) for n in range(500)])
    for _ in file.trim():
        pass
    assert found(file, lines=100_000) == list(range(5001, 20_001))


def test_the_oldest_of_too_many_go(open_file: OpenFile) -> None:
    file = open_file(max_bytes=400_000)
    for batch in range(5):
        file.write("a", batch + 1, [row(f"line {n} " + "x" * 100) for n in range(1000)])
    assert file.is_full
    for _ in file.trim():
        pass
    assert not file.is_full
    assert found(file, lines=10_000) == list(range(3001, 5001))


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
