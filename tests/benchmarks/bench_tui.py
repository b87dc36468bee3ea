"""Does fal-tui hold what it promises? The real program in a pseudo-terminal, over a real backend.

First paint against the smallest Textual application, 10,000 functions against 100, keys while a
tenth of 10,000 functions has other figures every second, keys while 5,000 lines a second arrive,
memory, and CPU time when nothing happens. What is measured is what arrives on the terminal. Prints
each figure with its limit, and fails when one misses it.

    python tests/benchmarks/bench_tui.py [paint many keys pulse idle memory logs]
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import crowd
from benchmarks import bench_first_paint, bench_log_pane
from benchmarks.bench_log_pane import Figure, Painted, p99, watched
from benchmarks.processes import cpu_seconds, rss
from running import RunningBackend
from tui.terminal import PATIENCE

MANY, FEW = 10_000, 100
"""Functions."""
CALLED = 10
"""Each how manieth of them is called in every second."""
KEYS = 150
STARTS = 3
QUIET = 10.0
"""Seconds that nobody presses a key."""
PAUSES = 0.02, 0.08
"""Seconds between two keys, so that they meet every part of a refresh."""
MB = 1e6
SHIFT_LEFT = "\x1b[1;2D"
UNDER_CURSOR = re.compile(rb"\xe2\x96\x8c[^\xe2]*?function-(\d+)")
DICE = random.Random(7)


def cursor(seen: bytes) -> int | None:
    """The function under the cursor, in what was painted last."""
    found = UNDER_CURSOR.findall(seen)
    return int(found[-1]) if found else None


@contextmanager
def backend(folder: Path, count: int, called: int = 0) -> Iterator[RunningBackend]:
    """One that has `count` functions already."""
    home = folder / f"home-{count}"
    if not home.exists():
        crowd.settle(home, count)
    running = crowd.start(home, called)
    try:
        asyncio.run(_warm(running))
        yield running
    finally:
        running.stop()


async def _warm(running: RunningBackend) -> None:
    """What a backend does once after its start is not the program's cost."""
    async with running.client() as client:
        await client.functions()


@contextmanager
def opened(running: RunningBackend) -> Iterator[Painted]:
    screen = Painted(env=running.env, size=bench_log_pane.SIZE)
    try:
        screen.until("● live")
        yield screen
    finally:
        screen.kill()


def forget_cache(running: RunningBackend) -> None:
    for path in running.config.paths.cache.glob("*functions-*"):
        path.unlink()


def usable(running: RunningBackend) -> float:
    """Seconds from the start of the program until keys have moved to the last function and back."""
    forget_cache(running)
    began = time.perf_counter()
    with opened(running) as screen:
        insist(screen, "G", lambda seen: (cursor(seen) or 0) >= FEW - 1)
        insist(screen, "g", lambda seen: cursor(seen) == 0)
        return time.perf_counter() - began


def insist(screen: Painted, key: str, framed: Callable[[bytes], bool]) -> None:
    """Press a key again and again, as who waits for a list does, until its frame is there."""
    seen, ends = b"", time.monotonic() + PATIENCE
    while not framed(seen):
        if time.monotonic() > ends:
            raise SystemExit(f"no frame after {key!r}: {seen[-500:]!r}")
        screen.type(key)
        seen += screen.read(0.1)


def pressing(screen: Painted, keys: int = KEYS) -> list[float]:
    """Seconds from a key to the frame in which the cursor has moved, up and down a list."""
    screen.press("j", lambda seen: cursor(seen) is not None)
    took: list[float] = []
    while len(took) < keys:
        for key in "j" * 12 + "k" * 12:
            time.sleep(DICE.uniform(*PAUSES))
            took.append(screen.press(key, lambda seen: cursor(seen) is not None))
    return took


def idle(screen: Painted) -> float:
    """Per cent of a processor while nobody does anything."""
    end = time.monotonic() + 2
    while time.monotonic() < end:
        screen.read(0.1)
    before, end = cpu_seconds(screen.pid), time.monotonic() + QUIET
    while time.monotonic() < end:
        screen.read(0.1)
    return 100 * (cpu_seconds(screen.pid) - before) / QUIET


def paint(folder: Path) -> Iterator[Figure]:
    ratio = bench_first_paint.ratio(9)
    yield Figure("first paint, minimal Textual application = 1", ratio, 1.3, "x")


def many(folder: Path) -> Iterator[Figure]:
    with backend(folder, FEW) as few, backend(folder, MANY) as full:
        ratios = [usable(full) / usable(few) for _ in range(STARTS)]
    what = f"{MANY:,} functions listed and usable, {FEW} = 1"
    yield Figure(what, statistics.median(ratios), 1.5, "x")


def keys(folder: Path) -> Iterator[Figure]:
    with backend(folder, MANY, CALLED) as running, opened(running) as screen:
        took = pressing(screen)
    what = f"key to frame, {MANY // CALLED:,} of {MANY:,} change each second, p99"
    yield Figure(what, p99(took) * 1000, 50, "ms")


def pulse(folder: Path) -> Iterator[Figure]:
    with backend(folder, MANY, CALLED) as running, opened(running) as screen:
        opening = screen.press("0", lambda seen: b"Latency" in seen and b"function-" in seen)
        yield Figure(f"Pulse of {MANY:,} functions, key to frame", opening * 1000, 500, "ms")
        # by name: where calls order the list, a cursor comes to the first row and has no frame
        screen.type(SHIFT_LEFT + "O")
        insist(screen, "j", lambda seen: cursor(seen) is not None)
        yield Figure(
            "key to frame in Pulse, as many change, p99", p99(pressing(screen)) * 1000, 50, "ms"
        )


def resting(folder: Path) -> Iterator[Figure]:
    with backend(folder, MANY) as running, opened(running) as screen:
        yield Figure("processor time at rest, Functions", idle(screen), 2, "%")
        screen.press("0", lambda seen: b"Latency" in seen)
        yield Figure("processor time at rest, Pulse", idle(screen), 2, "%")


def memory(folder: Path) -> Iterator[Figure]:
    lines = bench_log_pane.LINES
    with backend(folder, MANY, CALLED) as running:
        asyncio.run(bench_log_pane.prepare(running, folder / "talk.py"))
        with opened(running) as screen:
            screen.type("4")
            screen.until("following")
            with bench_log_pane.calling(running, lines, 0):
                screen.until(f"{lines:,} lines")
            taken = rss(screen.pid) / MB
    yield Figure(f"memory, {MANY:,} functions and {lines:,} lines", taken, 200, "MB")


def logs(folder: Path) -> Iterator[Figure]:
    running = bench_log_pane.start_backend(folder / "home-logs")
    try:
        asyncio.run(bench_log_pane.prepare(running, folder / "talk.py"))
        took = bench_log_pane.pressing(running, 5000)
    finally:
        running.stop()
    yield Figure("key to frame in the log pane, 5,000 lines/s, p99", p99(took) * 1000, 50, "ms")


PARTS: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "paint": paint,
    "many": many,
    "keys": keys,
    "pulse": pulse,
    "idle": resting,
    "memory": memory,
    "logs": logs,
}


def main(words: list[str]) -> int:
    unknown = [word for word in words if word not in PARTS]
    if unknown:
        print(f"Error: no figure '{unknown[0]}'; there are: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    missed = 0
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder, watched() as late:
        for word in words or PARTS:
            for figure in PARTS[word](Path(folder)):
                print(figure.line(), flush=True)
                missed += not figure.holds
    print(
        f"load after: {os.getloadavg()[0]:.1f}; a thread that only sleeps woke up late by "
        f"{p99(late) * 1000:.1f} ms, p99"
    )
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
