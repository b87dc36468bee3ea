"""What do logs cost those who call? The same load, quiet and while another endpoint prints a flood.

All of the backend's lines are followed meanwhile, the flood's and one for each call of the load. A
line of the flood that does not arrive, or arrives twice or out of turn, spoils the round.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks import calling, load
from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun, Place
from benchmarks.parts.part import Course
from benchmarks.parts.runs import MANY, failures_of, record, timed
from benchmarks.peers.ours import LABEL, House, Wanted
from benchmarks.tables import Table, millis, times, whole
from fal_serverless.client import Client
from fal_serverless.models import LogEntry, LogQuery
from running import RunningBackend

RATES = {"logs.loud": 1000, "logs.louder": 5000}
"""Lines per second."""
MEMBERS = tuple(RATES)
QUIET = "logs.quiet"
FLOOD = "flood"
MARGIN = 2.0
"""Seconds that the flood goes on beyond the load."""
LEAST = 0.9
"""Share of the lines asked for that must have been printed: less is not that rate."""
ARRIVAL = 30.0
"""Seconds for the first line of a flood, and for the last."""
LINE = re.compile(r"line (\d+) of a flood")


@dataclass
class Tail:
    """What one who follows all logs gets."""

    numbers: list[int] = field(default_factory=list)
    """Of the flood's lines, as they came."""
    lags: list[float] = field(default_factory=list)
    """Seconds from each line's printing to its arrival."""
    others: int = 0
    """Lines that are not the flood's."""
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, client: Client, after: int) -> None:
        """Until cancelled. Raises Unreachable."""
        async for entry in client.tail(LogQuery(after=after)):
            self.hear(entry, time.time())

    def hear(self, entry: LogEntry, now: float) -> None:
        found = LINE.match(entry.message)
        if found is None:
            self.others += 1
            return
        self.numbers.append(int(found[1]))
        self.lags.append(now - entry.time.timestamp())
        self._came.set()

    async def reach(self, count: int) -> None:
        """Until so many of the flood's lines came."""
        while len(self.numbers) < count:
            self._came.clear()
            await self._came.wait()


@dataclass(frozen=True)
class Loud:
    """A load beside a flood."""

    measured: load.Measured
    printed: int
    tail: Tail


def check_lines(printed: int, numbers: Sequence[int]) -> None:
    """That each line came once and in turn. Raises BadRun."""
    came, wanted = set(numbers), set(range(printed))
    if list(numbers) == sorted(wanted):
        return
    lost, again, strange = len(wanted - came), len(numbers) - len(came), len(came - wanted)
    if strange:
        raise BadRun(f"beside {printed} lines came {strange} that nobody printed")
    if lost or again:
        raise BadRun(f"of {printed} lines {lost} never came and {again} came again")
    raise BadRun(f"{printed} lines came out of turn")


def measure(course: Course, figures: Figures) -> None:
    rates = {name: rate for name, rate in RATES.items() if course.wants_member("logs", name)}
    with failures_of(figures, "logs"):
        course.say("preparing logs")
        house = House(course.shop.room("logs"))
        house.fill([Wanted("served.py", "echo", LABEL), Wanted("served.py", FLOOD, FLOOD)])
        for number in range(course.rounds):
            course.say(f"round {number + 1}: logs")
            with failures_of(figures, "logs"):
                _round(house, rates, course, figures)


def _round(house: House, rates: dict[str, int], course: Course, figures: Figures) -> None:
    with house.running() as backend:
        place = house.place(backend, LABEL)
        calling.first_answer(place, time.perf_counter())
        calling.verify(place)
        quiet = timed(place, course, MANY)
        loud = {
            name: asyncio.run(_loud(backend, place, house.place(backend, FLOOD), rate, course))
            for name, rate in rates.items()
        }
    record(figures, QUIET, quiet, MANY)
    for name, seen in loud.items():
        record(figures, name, seen.measured, MANY)
        figures.add(name, "printed", seen.printed)
        figures.add(name, "came", len(seen.tail.numbers))
        figures.add(name, "others", seen.tail.others)
        figures.add(name, "lag", statistics.median(seen.tail.lags))
        figures.add(name, "latest", max(seen.tail.lags))


async def _loud(
    backend: RunningBackend, place: Place, flood: Place, rate: int, course: Course
) -> Loud:
    seconds = course.warm_up + max(1, course.seconds) + MARGIN
    tail = Tail()
    async with backend.client() as client:
        last = await client.logs(LogQuery(lines=1))
        following = asyncio.create_task(tail.follow(client, last[-1].id))
        try:
            printing = asyncio.create_task(asyncio.to_thread(flood_of, flood, seconds, rate))
            await _until(tail, 1, following, printing)
            measured = await asyncio.to_thread(timed, place, course, MANY)
            was_over = printing.done()
            printed = await printing
            await _until(tail, printed, following)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
    check_lines(printed, tail.numbers)
    if tail.others < measured.requests:
        raise BadRun(f"only {tail.others} lines of {measured.requests} calls came")
    if was_over:
        raise BadRun("the flood was over before the load was")
    if printed < LEAST * seconds * rate:
        raise BadRun(f"{printed} lines in {seconds:g} s are not {rate} a second")
    return Loud(measured, printed, tail)


def flood_of(place: Place, seconds: float, rate: int) -> int:
    """How many lines it came to."""
    body = json.dumps({"seconds": seconds, "per_second": rate}).encode()
    status, answer = calling.ask(place, body, place.targets[0], timeout=seconds + ARRIVAL)
    if status != 200 or not answer.isdigit():
        raise BadRun(f"the flood was answered {status} {answer[:200]!r}")
    return int(answer)


async def _until(tail: Tail, count: int, *ends: asyncio.Task[Any]) -> None:
    """Until so many lines came or never will; what is missing then is told elsewhere."""
    reached = asyncio.create_task(tail.reach(count))
    await asyncio.wait((reached, *ends), timeout=ARRIVAL, return_when=asyncio.FIRST_COMPLETED)
    reached.cancel()


def table(figures: Figures) -> Table:
    headings = ["", f"req/s, {MANY}", "p50", "p99", "p99 vs quiet"]
    headings += ["printed", "came", "others", "median after", "all after"]
    names = [name for name in (QUIET, *RATES) if Key(name, f"p99@{MANY}") in figures.values]
    note = "All lines of the backend are followed: the others are the load's, one for each call."
    rows = [_row(name, figures) for name in names]
    return Table("While logs are written and followed", headings, rows, note)


def _row(name: str, figures: Figures) -> list[str]:
    def at(figure: str) -> float | None:
        return figures.median(Key(name, figure))

    p99 = f"p99@{MANY}"
    speed = [whole(at(f"rate@{MANY}")), millis(at(f"p50@{MANY}")), millis(at(p99))]
    ratio = times(figures.ratio(Key(name, p99), Key(QUIET, p99)))
    lines = [whole(at(figure)) for figure in ("printed", "came", "others")]
    title = f"{RATES[name]:,} lines/s" if name in RATES else "quiet"
    return [title, *speed, ratio, *lines, millis(at("lag")), millis(at("latest"))]
