"""How fast can one worker print, and what does it cost those who call something else meanwhile?

A function prints as fast as it goes, first alone, then beside a load on another endpoint. Its lines
are counted when all are kept: one that is not there, or there twice or out of turn, spoils the
round.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

from benchmarks import calling, load, processes
from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun, Place
from benchmarks.parts.logs import check_lines
from benchmarks.parts.part import Course
from benchmarks.parts.runs import MANY, failures_of, record, timed
from benchmarks.peers.ours import LABEL, House, Wanted
from benchmarks.tables import NOTHING, Table, megabytes, millis, times, whole
from fal_serverless.client import Client
from fal_serverless.models import LogQuery
from running import RunningBackend

LINES = 300_000
"""Of one flood."""
SHOUT = "shout"
QUIET, ALONE, BESIDE = "printing.quiet", "printing.alone", "printing.beside"
MEMBERS: tuple[str, ...] = ()
TITLES = {QUIET: "the load alone", ALONE: "the flood alone", BESIDE: "both"}
PATIENCE = 300.0
"""Seconds for a flood."""


@dataclass(frozen=True)
class Flood:
    """A function that printed, and all its lines kept."""

    lines: int
    seconds: float
    """From the call until the last line is kept."""

    @property
    def rate(self) -> float:
        """Lines per second."""
        return self.lines / self.seconds


@dataclass(frozen=True)
class Seen:
    """One round."""

    quiet: load.Measured
    alone: Flood
    beside: Flood
    measured: load.Measured
    """The load beside a flood."""
    before: int
    """Resident bytes of the backend, without its workers."""
    after: int


def measure(course: Course, figures: Figures) -> None:
    with failures_of(figures, "printing"):
        course.say("preparing printing")
        house = House(course.shop.room("printing"))
        house.fill([Wanted("served.py", "echo", LABEL), Wanted("served.py", SHOUT, SHOUT)])
        for number in range(course.rounds):
            course.say(f"round {number + 1}: printing")
            with failures_of(figures, "printing"):
                _record(figures, _round(house, course))


def _round(house: House, course: Course) -> Seen:
    with house.running() as backend:
        place, shout = house.place(backend, LABEL), house.place(backend, SHOUT)
        calling.first_answer(place, time.perf_counter())
        calling.verify(place)
        _print(shout, 1)
        quiet = timed(place, course, MANY)
        before = processes.rss(backend.process.pid)
        alone = asyncio.run(_alone(backend, shout))
        measured, beside = asyncio.run(_beside(backend, place, shout, course))
        after = processes.rss(backend.process.pid)
    return Seen(quiet, alone, beside, measured, before, after)


def _record(figures: Figures, seen: Seen) -> None:
    record(figures, QUIET, seen.quiet, MANY)
    record(figures, BESIDE, seen.measured, MANY)
    for name, flood in ((ALONE, seen.alone), (BESIDE, seen.beside)):
        figures.add(name, "lines", flood.lines)
        figures.add(name, "kept", flood.rate)
    figures.add(QUIET, "rss", seen.before)
    figures.add(BESIDE, "rss", seen.after)


async def _alone(backend: RunningBackend, shout: Place) -> Flood:
    async with backend.client() as client:
        start = await _last(client)
        flood = await _flood(client, shout, LINES)
        await _check(client, start, LINES, 1)
    return flood


async def _beside(
    backend: RunningBackend, place: Place, shout: Place, course: Course
) -> tuple[load.Measured, Flood]:
    """Floods follow each other until the load is over."""
    async with backend.client() as client:
        start = await _last(client)
        loading = asyncio.create_task(asyncio.to_thread(timed, place, course, MANY))
        floods = []
        while not loading.done():
            floods.append(await _flood(client, shout, LINES))
        measured = await loading
        await _check(client, start, LINES, len(floods))
    lines, seconds = sum(f.lines for f in floods), sum(f.seconds for f in floods)
    return measured, Flood(lines, seconds)


async def _flood(client: Client, shout: Place, lines: int) -> Flood:
    began = time.perf_counter()
    await asyncio.to_thread(_print, shout, lines)
    # The store answers when all that it was told before is kept.
    await _last(client)
    return Flood(lines, time.perf_counter() - began)


def _print(shout: Place, lines: int) -> None:
    body = json.dumps({"lines": lines}).encode()
    status, answer = calling.ask(shout, body, shout.targets[0], timeout=PATIENCE)
    if status != 200:
        raise BadRun(f"the flood was answered {status} {answer[:200]!r}")


async def _last(client: Client) -> int:
    """The newest entry's id."""
    return (await client.logs(LogQuery(lines=1)))[-1].id


async def _check(client: Client, start: int, lines: int, floods: int) -> None:
    """That each line of each flood is there once and in turn. Raises BadRun."""
    numbers: list[int] = []
    query = LogQuery(label=SHOUT, sources=("user",), after=start, lines=0)
    async for entry in client.tail(query):
        numbers.append(int(entry.message.split()[1]))
        if len(numbers) == floods * lines:
            break
    for flood in range(floods):
        check_lines(lines, numbers[flood * lines : (flood + 1) * lines])


def table(figures: Figures) -> Table:
    headings = ["", "printed", "kept per s", f"req/s, {MANY}", "p50", "p99", "p99 vs alone"]
    rows = [row for row in (_row(name, figures) for name in TITLES) if {*row[1:]} != {NOTHING}]
    note = f"{LINES:,} lines of about 50 characters are one flood. RSS is the backend's own."
    return Table("While a function prints as fast as it can", [*headings, "RSS"], rows, note)


def _row(name: str, figures: Figures) -> list[str]:
    def at(figure: str) -> float | None:
        return figures.median(Key(name, figure))

    p99 = f"p99@{MANY}"
    speed = [whole(at(f"rate@{MANY}")), millis(at(f"p50@{MANY}")), millis(at(p99))]
    ratio = times(figures.ratio(Key(name, p99), Key(QUIET, p99)))
    lines = [whole(at("lines")), whole(at("kept"))]
    return [TITLES[name], *lines, *speed, ratio, megabytes(at("rss"))]
