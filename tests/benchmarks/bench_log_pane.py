"""Does the log pane hold what it promises? fal-tui in a pseudo-terminal, over a real backend.

A function prints a million lines, 1,000 and 5,000 a second, and as fast as it can; what is measured
is what arrives on the terminal: when a printed line is painted, when a key has its frame, how much
memory the program takes with 100,000 lines. Filling and filtering are timed in the pane itself,
with what the backend sent, up to the frame. Fails when one figure misses its limit.

    python tests/benchmarks/bench_log_pane.py
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from rich.console import RenderableType
from textual.app import App, ComposeResult
from textual.screen import Screen

from benchmarks.processes import rss
from fal_serverless.models import LogEntry, LogQuery
from fal_tui.precedence import Precedence
from fal_tui.widgets.log_pane import LogPane
from running import RunningBackend, start_backend
from serving import serve
from tui.terminal import PATIENCE, Terminal

LINES = 100_000
SECONDS = 10.0
"""Of one flow of lines."""
SIZE = (160, 45)
"""So high that no line of a flow is scrolled past between two frames."""
LEAST = 60
"""Keys pressed; fewer are no measurement."""
NAP = 0.005
LABEL = "talk"
FUNCTION = """
import time

from fal_serverless import isolated


@isolated(serve=True, keep_alive=600)
def talk(lines: int, rate: float = 0):
    began = time.monotonic()
    for number in range(lines):
        print(f"line {number} @{time.time_ns()} handled a request in {number % 97} ms", flush=True)
        if rate and (wait := began + number / rate - time.monotonic()) > 0:
            time.sleep(wait)
    return lines
"""
PRINTED = re.compile(rb"line (\d+) @(\d{19}) ")
UNDER_CURSOR = re.compile(rb"\xe2\x96\x8c[^\xe2]*?line (\d+) @")
LEFT = re.compile(rb"held \xc2\xb7 G|new \xc2\xb7 G")
EXPRESSION = "request in 9[0-6] ms$"


@dataclass(frozen=True)
class Figure:
    """At most `limit`, in `unit`."""

    what: str
    value: float
    limit: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.value <= self.limit

    def line(self) -> str:
        verdict = "reached" if self.holds else "MISSED"
        return f"{self.what:<58}{self.value:9.1f} {self.unit:<3} ≤ {self.limit:g}  {verdict}"


class Painted(Terminal):
    """fal-tui, and what it paints."""

    pressed = b""
    """What was painted between the last key and its frame."""

    def until(self, needle: str) -> None:
        """As of any terminal, but of a long stream: only its end is looked through."""
        wanted, end, rest = needle.encode(), time.monotonic() + PATIENCE, b""
        while wanted not in rest:
            if time.monotonic() > end:
                raise SystemExit(f"{needle!r} was not drawn: {rest[-500:]!r}")
            rest = rest[-len(wanted) :] + self.read(0.5)

    def drain(self) -> None:
        """Throw away what was painted up to now."""
        while select.select([self._fd], [], [], 0)[0]:
            os.read(self._fd, 1 << 20)

    def read(self, seconds: float) -> bytes:
        """What is painted within that time; b'' when nothing is."""
        if select.select([self._fd], [], [], seconds)[0]:
            return os.read(self._fd, 1 << 20)
        return b""

    def press(self, key: str, framed: Callable[[bytes], bool]) -> float:
        """Seconds until the frame is there that `framed` knows by what was painted since."""
        self.drain()
        started, seen = time.perf_counter(), b""
        self.type(key)
        while not framed(seen):
            if time.perf_counter() - started > PATIENCE:
                raise SystemExit(f"no frame after {key!r}: {seen[-500:]!r}")
            seen += self.read(0.5)
        self.pressed = seen
        return time.perf_counter() - started


@contextmanager
def calling(backend: RunningBackend, lines: int, rate: float) -> Iterator[threading.Thread]:
    """A call that prints; waited for in the end."""

    async def call() -> None:
        async with backend.client() as client:
            body = json.dumps({"lines": lines, "rate": rate}).encode()
            answer = await client.invoke(LABEL, body)
            assert answer.status == 200, answer

    thread = threading.Thread(target=lambda: asyncio.run(call()))
    thread.start()
    yield thread
    thread.join()


@contextmanager
def opened(backend: RunningBackend) -> Iterator[Painted]:
    """fal-tui on the logs of all endpoints, following."""
    screen = Painted(env=backend.env, size=SIZE)
    try:
        screen.until("live")
        screen.type("4")
        screen.until("following")
        yield screen
    finally:
        screen.kill()


def painting(backend: RunningBackend, rate: int) -> list[float]:
    """Seconds from the printing of each line until a frame is on the terminal that reaches it.

    Where more lines come between two frames than there are rows, some are scrolled past.
    """
    count = int(rate * SECONDS)
    reached: list[tuple[int, int]] = []
    began = time.time_ns()
    with opened(backend) as screen, calling(backend, count, rate):
        rest, newest, ends = b"", -1, time.monotonic() + SECONDS + PATIENCE
        while newest < count - 1 and time.monotonic() < ends:
            rest += screen.read(0.5)
            now = time.time_ns()
            lines = [found for found in PRINTED.finditer(rest) if int(found[2]) > began]
            seen = max((int(found[1]) for found in lines), default=-1)
            if seen > newest:
                newest = seen
                reached.append((newest, now))
            rest = rest[-200:]
    printed = [
        int(found[2]) for found in map(PRINTED.match, asyncio.run(last(backend, count))) if found
    ]
    if newest != count - 1 or len(printed) != count:
        raise SystemExit(f"of {count:,} lines {len(printed):,} are there, and {newest + 1:,} seen")
    lags, frames = [], iter(reached)
    upto, when = next(frames)
    for number, at in enumerate(printed):
        while upto < number:
            upto, when = next(frames)
        lags.append((when - at) / 1e9)
    return lags


async def last(backend: RunningBackend, count: int) -> list[bytes]:
    """The newest printed lines."""
    async with backend.client() as client:
        query = LogQuery(label=LABEL, lines=count, sources=("user",))
        return [entry.message.encode() for entry in await client.logs(query)]


def pressing(backend: RunningBackend, rate: int) -> list[float]:
    """Seconds from a key to its frame while lines come: held and read, and followed again."""
    took: list[float] = []
    with opened(backend) as screen, calling(backend, int(rate * SECONDS * 1.5), rate):
        began = time.monotonic()
        time.sleep(1)
        while time.monotonic() < began + SECONDS:
            took.append(screen.press("k", lambda seen: LEFT.search(seen) is not None))
            place = where(screen)
            for key, number in (("k", place - 1), ("k", place - 2), ("j", place - 1), ("j", place)):
                took.append(screen.press(key, lambda seen, number=number: cursor(seen) == number))
            took.append(screen.press("G", lambda seen: b"following" in seen))
            time.sleep(0.05)
    if len(took) < LEAST:
        raise SystemExit(f"only {len(took)} keys had their frame")
    return took


def where(screen: Painted) -> int:
    """The line under the cursor, as of the last key."""
    seen = screen.pressed
    while (found := cursor(seen)) is None:
        seen += screen.read(0.5)
    return found


def cursor(seen: bytes) -> int | None:
    found = UNDER_CURSOR.findall(seen)
    return int(found[-1]) if found else None


def keeping(backend: RunningBackend) -> float:
    """MB that the whole program takes for the lines, over a pane with next to none."""
    with opened(backend) as screen:
        time.sleep(1)
        screen.drain()
        empty = rss(screen.pid)
        with calling(backend, LINES, 0):
            screen.until(f"{LINES:,} lines")
        return (rss(screen.pid) - empty) / 1e6


class Pane(App[None]):
    """The log pane, alone, with nobody to ask."""

    def __init__(self) -> None:
        super().__init__()
        self._precedence = Precedence()
        """As the whole application has it: the collector must not hold up a frame."""
        self.wanted: re.Pattern[str] | None = None
        """What is waited for in a frame."""
        self.framed = asyncio.Event()
        self.framed_at = 0.0

    def compose(self) -> ComposeResult:
        yield LogPane(lambda: None)

    def on_mount(self) -> None:
        self._precedence.take_over_collecting()

    def on_unmount(self) -> None:
        self._precedence.give_back_collecting()

    @property
    def pane(self) -> LogPane:
        return self.query_one(LogPane)

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, renderable)
        if self.wanted is not None:
            rows = self.screen._compositor.render_strips()
            if self.wanted.search("\n".join(row.text for row in rows)):
                self.wanted, self.framed_at = None, time.perf_counter()
                self.framed.set()

    async def frame_with(self, text: str) -> float:
        """When the first frame was out that has it."""
        self.framed.clear()
        self.wanted = re.compile(text)
        await self.framed.wait()
        return self.framed_at


async def filling(entries: list[LogEntry]) -> tuple[float, float]:
    """Seconds until all are painted, and from a typed filter to its frame."""
    app = Pane()
    count = f"{len(entries):,}"
    async with app.run_test(size=(160, 45)) as pilot:
        app.pane.view.focus()
        await pilot.pause()
        frame = asyncio.create_task(app.frame_with(f"{count} lines"))
        started = time.perf_counter()
        for at in range(0, len(entries), 1000):
            app.pane.view.write(entries[at : at + 1000])
            await asyncio.sleep(0)
        filled = await frame - started
        await pilot.press("&", *("space" if key == " " else key for key in EXPRESSION))
        frame = asyncio.create_task(app.frame_with(f"of {count} shown"))
        await asyncio.sleep(0)
        started = time.perf_counter()
        app.simulate_key("enter")
        return filled, await frame - started


@contextmanager
def watched() -> Iterator[list[float]]:
    """Seconds that a program which only sleeps wakes up too late: what the machine itself costs."""
    late: list[float] = []
    over = threading.Event()

    def sleep() -> None:
        while not over.is_set():
            began = time.perf_counter()
            time.sleep(NAP)
            late.append(time.perf_counter() - began - NAP)

    thread = threading.Thread(target=sleep)
    thread.start()
    try:
        yield late
    finally:
        over.set()
        thread.join()


def p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


async def prepare(backend: RunningBackend, file: Path) -> None:
    file.write_text(FUNCTION)
    async with backend.client() as client:
        await serve(backend, client, file, LABEL, LABEL)
        assert (await client.invoke(LABEL, b'{"lines": 1}')).status == 200


async def sent(backend: RunningBackend) -> list[LogEntry]:
    entries: list[LogEntry] = []
    async with backend.client() as client:
        async for entry in client.tail(LogQuery(label=LABEL, lines=LINES)):
            entries.append(entry)
            if len(entries) == LINES:
                return entries
    raise SystemExit("the backend has too few lines")


def figures(backend: RunningBackend) -> Iterator[Figure]:
    yield Figure(f"memory for {LINES:,} lines over an empty pane", keeping(backend), 60, "MB")
    filled, filtered = zip(
        *(asyncio.run(filling(asyncio.run(sent(backend)))) for _ in range(3)), strict=True
    )
    yield Figure(
        f"{LINES:,} entries, given to painted, median of 3", statistics.median(filled), 1, "s"
    )
    what = f"expression over {LINES:,} entries, key to frame, median of 3"
    yield Figure(what, statistics.median(filtered) * 1000, 200, "ms")
    yield Figure(
        "print to painted at 1,000 lines/s, p99", p99(painting(backend, 1000)) * 1000, 150, "ms"
    )
    yield Figure(
        "key to frame at 5,000 lines/s, p99", p99(pressing(backend, 5000)) * 1000, 50, "ms"
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        backend = start_backend(Path(folder) / "home")
        try:
            asyncio.run(prepare(backend, Path(folder) / "talk.py"))
            missed = 0
            with watched() as late:
                for figure in figures(backend):
                    print(figure.line(), flush=True)
                    missed += not figure.holds
            print(f"meanwhile a sleeping thread woke up late by {p99(late) * 1000:.1f} ms, p99")
        finally:
            backend.stop()
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
