"""Readers of the log store: who is answered when, and who is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.backend.logs import questions as module
from fal_serverless.backend.logs import wire
from fal_serverless.backend.logs.file import LogFile
from fal_serverless.backend.logs.questions import Questions
from fal_serverless.backend.logs.search import Search
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.models import LogQuery


class Reader:
    """In the place of a peer: what it was sent, as (kind, number, last id looked at, events)."""

    is_behind = False

    def __init__(self) -> None:
        self.got: list[tuple[int, int, int, bytes]] = []

    def send(self, kind: int, number: int, payload: bytes) -> None:
        seen, _ = wire.PAGE_HEAD.unpack_from(payload)
        self.got.append((kind, number, seen, payload[wire.PAGE_HEAD.size :]))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LogFile]:
    made = LogFile(tmp_path / "entries.db", 10**9, 30)
    yield made
    made.close()


@pytest.fixture
def questions(file: LogFile, monkeypatch: pytest.MonkeyPatch) -> Questions:
    """Those of a store that answers tails at once."""
    monkeypatch.setattr(module, "TAIL_EVERY", 0)
    monkeypatch.setattr(module, "TAIL_EACH", 0)
    return Questions(file, Search(file))


def say(file: LogFile, batch: int, count: int, level: str = "INFO") -> None:
    row = (1, level, "user", "said", "1", "call", "", "r1", "w", "")
    file.write("a", batch, [row] * count)


def ask(questions: Questions, reader: Any, number: int) -> None:
    selection = Selection("1", LogQuery(level="ERROR"))
    questions.next((reader, number), wire.Next(selection, 0, True))


def answer(questions: Questions) -> None:
    while questions.is_busy:
        questions.work()


def test_a_reader_for_whom_nothing_comes_is_told_how_far_it_is(
    file: LogFile, questions: Questions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FAR", 10)
    reader = Reader()
    say(file, 1, 10)
    ask(questions, reader, 1)
    answer(questions)
    assert reader.got == []
    say(file, 2, 1)
    questions.work()
    answer(questions)
    assert reader.got == [(wire.PAGE, 1, 11, b"")]


def test_one_answer_goes_to_all_who_wait_for_the_same_and_to_none_who_has_gone(
    file: LogFile, questions: Questions
) -> None:
    stays, goes = Reader(), Reader()
    for number, reader in ((1, stays), (2, goes), (3, stays)):
        ask(questions, reader, number)
        answer(questions)
    questions.drop((goes, 2))
    say(file, 1, 1, "ERROR")
    questions.work()
    answer(questions)
    assert sorted((number, seen) for _, number, seen, _ in stays.got) == [(1, 1), (3, 1)]
    assert goes.got == []


def test_a_question_that_nobody_waits_for_any_more_is_no_work(
    file: LogFile, questions: Questions
) -> None:
    reader = Reader()
    for number in (1, 2):
        ask(questions, reader, number)
        answer(questions)
    questions.drop_all(reader)
    say(file, 1, 1, "ERROR")
    questions.work()
    assert not questions.is_busy and reader.got == []
