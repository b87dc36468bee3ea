"""How soon does a printed line reach who follows, and do many who follow cost each other?

A function prints at a steady rate. First one client follows it; then many do, one of which never
reads. Every line must reach everybody who reads, once and in turn.
"""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun, Place
from benchmarks.parts.logs import FLOOD, Tail, check_lines, flood_of
from benchmarks.peers.ours import House, Wanted
from benchmarks.tables import Table, millis, whole
from fal_serverless.models import LogQuery
from running import RunningBackend

RATE = 1000
"""Lines per second."""
PATIENCE = 30.0
"""Seconds for the last line to arrive."""
ONE, MANY = "live.one", "live.many"
_NUMBER = re.compile(rb'"message":"line (\d+) of a flood')


@dataclass(frozen=True)
class Setting:
    """How a round goes."""

    seconds: float
    followers: int
    """Beside the one whose lines are timed, and one that does not read."""


class Follower:
    """A connection that reads what comes and counts it; cheap, so that many fit beside."""

    def __init__(self, backend: RunningBackend, after: int) -> None:
        self.numbers: list[int] = []
        self._port = backend.port
        self._head = (
            f"GET /v1/logs/tail?label={FLOOD}&sources=user&after={after} HTTP/1.1\r\n"
            f"Host: 127.0.0.1\r\nAuthorization: Key {backend.key}\r\n\r\n"
        ).encode()
        self._rest = b""
        self._came = asyncio.Event()

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._head)
        await reader.readuntil(b": open\n\n")
        return reader, writer

    async def follow(self, reader: asyncio.StreamReader) -> None:
        """Until cancelled."""
        while chunk := await reader.read(1 << 16):
            events = self._rest + chunk
            whole, _, self._rest = events.rpartition(b"\n\n")
            self.numbers += map(int, _NUMBER.findall(whole))
            self._came.set()

    async def reach(self, count: int) -> None:
        """Until so many lines came."""
        while len(self.numbers) < count:
            self._came.clear()
            await self._came.wait()


def measure(setting: Setting, folder: Path, figures: Figures) -> None:
    house = House(folder)
    house.fill([Wanted("served.py", FLOOD, FLOOD)])
    with house.running() as backend:
        place = house.place(backend, FLOOD)
        flood_of(place, 0.1, 10)
        for name, followers in ((ONE, 0), (MANY, setting.followers)):
            tail = asyncio.run(_round(backend, place, setting.seconds, followers))
            cuts = statistics.quantiles(tail.lags, n=100)
            figures.add(name, "lines", len(tail.numbers))
            figures.add(name, "followers", followers + 1)
            figures.add(name, "p50", cuts[49])
            figures.add(name, "p99", cuts[98])
            figures.add(name, "max", max(tail.lags))


async def _round(backend: RunningBackend, place: Place, seconds: float, followers: int) -> Tail:
    tail = Tail()
    async with backend.client() as client:
        after = (await client.logs(LogQuery(lines=1)))[-1].id
        others = [Follower(backend, after) for _ in range(followers)]
        opened = [await other.open() for other in others]
        deaf = [await Follower(backend, after).open() for _ in others[:1]]
        tasks = [
            asyncio.create_task(other.follow(reader))
            for other, (reader, _) in zip(others, opened, strict=True)
        ]
        tasks.append(asyncio.create_task(tail.follow(client, after)))
        printed = await asyncio.to_thread(flood_of, place, seconds, RATE)
        try:
            async with asyncio.timeout(PATIENCE):
                for reader in (tail, *others):
                    await reader.reach(printed)
        except TimeoutError:
            pass
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait(tasks)
        for _, writer in (*opened, *deaf):
            writer.close()
    _check(printed, [tail.numbers, *(other.numbers for other in others)])
    return tail


def _check(printed: int, everybody: Sequence[list[int]]) -> None:
    """Raises BadRun."""
    if printed < 100:
        raise BadRun(f"only {printed} lines were printed")
    for numbers in everybody:
        check_lines(printed, numbers)


def table(figures: Figures) -> Table:
    rows = []
    for name in (ONE, MANY):
        shown = [figures.median(Key(name, figure)) for figure in ("p50", "p99", "max")]
        count = whole(figures.median(Key(name, "followers")))
        lines = whole(figures.median(Key(name, "lines")))
        rows.append([f"{count} follow", lines, *map(millis, shown)])
    note = f"{RATE:,} lines a second; where many follow, one more does not read."
    return Table("From print to a client's tail", ["", "lines", "p50", "p99", "latest"], rows, note)
