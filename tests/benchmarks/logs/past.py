"""How soon is something found among millions of entries, and how much room do they take?

The store is written by its own writer, in batches as workers send them: ten hours of many
endpoints, one of them loud, with the things that people look for put in as rarely as they are in
life. It is asked through the store's own process, as the backend asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun
from benchmarks.tables import Table, megabytes, millis, whole
from fal_serverless.backend.logs.file import LogFile
from fal_serverless.backend.logs.rows import LINE_HEAD, LINE_LEVELS, Block, LogRow
from fal_serverless.backend.logs.selection import Selection
from fal_serverless.backend.logs.store import LogStore
from fal_serverless.models import Level, LogEntry, LogQuery

HOURS = 10
ENDPOINTS = 100
"""Functions, each served under an alias; the first writes half of the lines."""
BATCH = 1000
PER_CALL = 9
"""Lines that a call prints, before the gateway's line."""
LEAST = 100_000
"""Entries of a store in which everything that is asked for can be."""
ERRORS = 5
ROUNDS = 20
"""Times that each question is asked."""
USER = "1"
ROOM = 10**12
"""Bytes and days: nothing is to be removed."""

_LEVEL: dict[Level, int] = {name: number for number, name in enumerate(LINE_LEVELS)}


@dataclass(frozen=True)
class Asked:
    """One question, and what the answer must be like."""

    name: str
    title: str
    query: LogQuery
    least: int
    """Entries that must be found, and no more than `lines`."""
    holds: Callable[[LogEntry], bool]
    revisions: frozenset[str] | None = None


class Past:
    """So many entries, the last of which was written now."""

    def __init__(self, entries: int) -> None:
        self.entries = entries - entries % BATCH
        self.end = time.time()
        self.begin = self.end - HOURS * 3600
        batches = self.entries // BATCH
        self._rare = {round((n + 0.95) * batches / ERRORS) for n in range(ERRORS)}
        self._early = max(1, batches // 20)
        """Batches in which the one endpoint writes that is quiet since."""

    def write(self, file: LogFile) -> float:
        """Seconds of the writer alone."""
        seconds = 0.0
        for number in range(self.entries // BATCH):
            items = [*self._batch(number)]
            began = time.perf_counter()
            file.write("benchmark", number + 1, items)
            seconds += time.perf_counter() - began
        return seconds

    def _batch(self, number: int) -> Iterator[Block | LogRow]:
        at = self.begin + (self.end - self.begin) * number * BATCH / self.entries
        function = 0 if number % 2 else 1 + (number // 2) % (ENDPOINTS - 2)
        if number < self._early and number % 10 == 4:
            function = ENDPOINTS - 1
        where = (USER, f"f{function}", f"r{function}", f"w-{function}")
        for call in range(BATCH // (PER_CALL + 1)):
            request = request_of(number, call)
            packed = b"".join(self._lines(number, call, at, request.encode()))
            yield (*where, {request: f"a{function}"}, packed)
            said = "POST / 200 in 12.3 ms (queue 0.1 ms)"
            yield _row(at, "INFO", "request", said, function, request)

    def _lines(self, number: int, call: int, at: float, request: bytes) -> Iterator[bytes]:
        for line in range(PER_CALL):
            text = b"step %d of batch %d: 17 items in 3.25 ms" % (line, number)
            level: Level = "STDOUT"
            if number in self._rare and (call, line) == (3, 3):
                level, text = (
                    "ERROR",
                    b"Traceback (most recent call last):\n  ...\nValueError: rare",
                )
            head = LINE_HEAD.pack(_LEVEL[level], at, len(request), len(text))
            yield head + request + text


def _row(at: float, level: Level, source: Any, said: str, function: int, request: str) -> LogRow:
    where = (USER, f"f{function}", f"a{function}", f"r{function}", f"w-{function}", request)
    return (round(at * 1e6), level, source, said, *where)


def request_of(batch: int, call: int) -> str:
    """32 characters in no order, as request ids have."""
    return f"{(batch * 1000 + call + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def questions(past: Past) -> list[Asked]:
    """What is asked of a store with `past`; texts are searched for in its last hour."""
    hour = datetime.fromtimestamp(past.end, UTC) - timedelta(hours=1)
    middle = datetime.fromtimestamp(past.begin, UTC) + timedelta(hours=HOURS / 2)
    request = request_of(past.entries // BATCH // 3, 7)
    quiet = f"r{ENDPOINTS - 1}"

    def rare(entry: LogEntry) -> bool:
        return entry.message.endswith("\nValueError: rare")

    return [
        Asked("all", "newest 100 of all", LogQuery(), 100, lambda e: True),
        Asked(
            "endpoint",
            "newest 100 of the loud endpoint",
            LogQuery(),
            100,
            lambda e: e.revision == "r0",
            frozenset(("r0",)),
        ),
        Asked(
            "quiet",
            "newest 100 of one that is quiet for hours",
            LogQuery(),
            100,
            lambda e: e.revision == quiet,
            frozenset((quiet,)),
        ),
        Asked("revision", "… of a revision", LogQuery(revision="r7"), 100, lambda e: True),
        Asked(
            "request",
            "one request's",
            LogQuery(request_id=request),
            PER_CALL + 1,
            lambda e: e.request_id == request,
        ),
        Asked("errors", "level: the only 5 errors", LogQuery(level="ERROR"), ERRORS, rare),
        Asked(
            "source",
            "source: one in ten",
            LogQuery(sources=("request",)),
            100,
            lambda e: e.source == "request",
        ),
        Asked(
            "until",
            "newest 100 until the middle",
            LogQuery(until=middle),
            100,
            lambda e: e.time <= middle,
        ),
        Asked(
            "search.few",
            "last hour, text that is rare",
            LogQuery(since=hour, search="ValueError: rare"),
            1,
            rare,
        ),
        Asked(
            "search.none",
            "last hour, text that is not there",
            LogQuery(since=hour, search="no such text"),
            0,
            rare,
        ),
        Asked(
            "search.regex",
            "last hour, expression with a text in it",
            LogQuery(since=hour, search=r"^Value\w+: rare$"),
            1,
            rare,
        ),
        Asked(
            "search.bare",
            "last hour, expression without one",
            LogQuery(since=hour, search=r"^[U-W]\w+:"),
            1,
            rare,
        ),
        Asked(
            "search.case",
            "last hour, whatever the case",
            LogQuery(since=hour, search=r"(?i)valueerror"),
            1,
            rare,
        ),
    ]


def measure(entries: int, folder: Path, figures: Figures) -> None:
    past = Past(entries)
    file = LogFile(folder / "entries.db", ROOM, ROOM)
    figures.add("past", "write", past.entries / past.write(file))
    file.close()
    size = sum(path.stat().st_size for path in folder.iterdir())
    figures.add("past", "bytes", size / past.entries * 1e6)
    figures.add("past", "entries", past.entries)
    figures.add("past", "hour", past.entries / HOURS)
    asyncio.run(_ask(past, folder, figures))


async def _ask(past: Past, folder: Path, figures: Figures) -> None:
    store = LogStore(folder, ROOM, ROOM)
    try:
        for asked in questions(past):
            for _ in range(ROUNDS if not asked.name.startswith("search") else ROUNDS // 4):
                began = time.perf_counter()
                found = await store.read(Selection(USER, asked.query, asked.revisions))
                figures.add(asked.name, "seconds", time.perf_counter() - began)
                _check(asked, found)
    finally:
        await store.close()


def _check(asked: Asked, found: list[LogEntry]) -> None:
    """Raises BadRun."""
    if len(found) < asked.least or not all(map(asked.holds, found)):
        raise BadRun(f"{asked.title}: {len(found)} entries, or others than were asked for")


def table(entries: int, figures: Figures) -> Table:
    def of(figure: str) -> float | None:
        return figures.median(Key("past", figure))

    rows = [
        [asked.title, millis(figures.median(Key(asked.name, "seconds")))]
        for asked in questions(Past(entries))
    ]
    note = (
        f"{whole(of('entries'))} entries, {whole(of('hour'))} of them in the last hour;"
        f" {megabytes(of('bytes'))} a million; written at {whole(of('write'))} a second."
    )
    return Table("Found in the store", ["", "median"], rows, note)
