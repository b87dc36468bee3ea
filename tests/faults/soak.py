"""Does anything grow, and does any call fail, over many minutes of everything at once?

Calls of a served function and of a function's own server, served files, rollbacks, auth and key
changes, cold starts, tails that come and go: all the time, with a bound. Every few seconds memory,
descriptors, threads, processes and files are counted, over the backend and all that it started.
What counts as growth is the median of the last quarter against that of the second: the first one
warms up. Ends with 1 when a call failed or something grew over its bound. Linux.

    python tests/faults/soak.py [--seconds 600]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.processes import memory, tree
from fal_serverless.errors import FalError
from fal_serverless.models import LogQuery
from faults.stage import Stage, stage

EVERY = 2.0
"""Seconds between two looks."""
MB = 1 << 20


@dataclass(frozen=True)
class Sample:
    """What there is at one moment, over all processes."""

    memory: float
    """MB, shared pages divided among those who share them."""
    backend_memory: float
    """MB that the backend's own process has in memory."""
    descriptors: int
    """Of the backend, its gateways and its log store: workers come and go, with their own."""
    threads: int
    processes: int
    files: int
    """Below the state folder and where temporary files go; not what a revision owns."""


NAMES = {
    "memory": "memory, MB",
    "backend_memory": "memory of the backend's process, MB",
    "descriptors": "descriptors of backend, gateways, log store",
}
OURS = b"fal_serverless.backend"
"""In the command line of what lives as long as the backend."""
BOUNDS = Sample(memory=40, backend_memory=15, descriptors=20, threads=10, processes=6, files=20)
"""How much more there may be in the last quarter than in the second."""


def look(home: Path, pid: int) -> Sample:
    family = tree(pid)
    found = memory(pid)
    return Sample(
        memory=(found.pss or found.rss) / MB,
        backend_memory=_resident(pid),
        descriptors=sum(_count(f"/proc/{one}/fd") for one in family if _is_ours(one)),
        threads=sum(_count(f"/proc/{one}/task") for one in family),
        processes=len(family),
        files=_files(home),
    )


def _is_ours(pid: int) -> bool:
    with suppress(OSError):
        return OURS in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _resident(pid: int) -> float:
    fields_of = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields_of[1]) * os.sysconf("SC_PAGE_SIZE") / MB


def _count(folder: str) -> int:
    with suppress(OSError):
        return len(os.listdir(folder))  # noqa: PTH208 - names are enough
    return 0


def _files(home: Path) -> int:
    """Revisions and environments are what somebody asked for; what goes meanwhile is no matter."""
    kept = ("revisions", "environments")
    folders = [each for each in (home / "state").iterdir() if each.name not in kept]
    walks = [os.walk(folder) for folder in [*folders, home / "tmp"]]
    return sum(len(inner) + len(found) for walk in walks for _, inner, found in walk)


def growth(samples: list[Sample]) -> Sample:
    """Of each figure, from the second quarter to the last."""
    quarter = len(samples) // 4
    before, after = samples[quarter : 2 * quarter], samples[-quarter:]
    first, last = (list(zip(*map(astuple, each), strict=True)) for each in (before, after))
    return Sample(*(median(b) - median(a) for a, b in zip(first, last, strict=True)))


class Soak:
    """The load, until it is told to stop."""

    def __init__(self, made: Stage, seconds: float) -> None:
        self._stage = made
        self._until = time.monotonic() + seconds
        self.done: dict[str, int] = {}
        self.failed: list[str] = []

    @property
    def goes_on(self) -> bool:
        return time.monotonic() < self._until

    async def repeat(self, what: str, act: Callable[[], Awaitable[object]], pause: float) -> None:
        """Each time it must end well."""
        while self.goes_on:
            try:
                await act()
            except FalError as error:
                self.failed.append(f"{what}: {error.message}")
            else:
                self.done[what] = self.done.get(what, 0) + 1
            await asyncio.sleep(pause)

    def change(self, kind: str) -> Callable[[], Awaitable[object]]:
        async def act() -> None:
            async with self._stage.client() as client:
                error = await self._stage.ledger.change(kind, client)
            if error is not None:
                raise error

        return act

    def call(self, label: str, body: bytes, right: bytes) -> Callable[[], Awaitable[object]]:
        async def act() -> None:
            async with self._stage.client() as client:
                answer = await client.invoke(label, body)
            if (answer.status, answer.body) != (200, right):
                raise FalError(f"{answer.status} {answer.body[:200]!r}")

        return act

    async def serve(self) -> None:
        """A new revision; the oldest that no alias points at goes, so that as many stay."""
        await self.change("serve")()
        async with self._stage.client() as client:
            for old in (await client.revisions("changing"))[8:]:
                if not old.aliases:
                    await client.delete_revision(old.id)
                    break

    async def keys(self) -> None:
        await self.change("key")()
        await self.change("revoke")()

    async def tail(self) -> None:
        """Reads a while and goes."""
        async with self._stage.client() as client:
            with suppress(TimeoutError):
                async with asyncio.timeout(3):
                    async for _ in client.tail(LogQuery()):
                        pass


async def run(seconds: float) -> int:
    samples: list[Sample] = []
    async with stage("soak") as made:
        await made.open(FAL_SERVERLESS_GATEWAYS="2", FAL_SERVERLESS_LOG_MAX_BYTES=str(8 << 20))
        assert made.backend is not None
        for name in ("cold", "talks", "listens"):
            await made.serve(name, auth="public")
        soak = Soak(made, seconds)
        samples = await _under_load(made, soak)
        async with made.client() as client:
            left = len(await client.revisions("changing"))
    if not samples:
        print(*made.outcome.lost, sep="\n")  # it did not come to an end
        return 1
    failed = soak.failed + made.outcome.failed
    done = soak.done | {"calls": made.outcome.answered}
    return report(samples, seconds, done, failed, left, made)


async def _under_load(made: Stage, soak: Soak) -> list[Sample]:
    assert made.backend is not None
    pid, samples = made.backend.process.pid, []
    numbers = itertools.count()

    async def talk() -> None:
        first = next(numbers) * 200
        body = f'{{"first": {first}, "count": 200}}'.encode()
        await soak.call("talks", body, b"200")()

    async with asyncio.TaskGroup() as group:
        load = {
            "serves": (soak.serve, 2.0),
            "rollbacks": (soak.change("rollback"), 1.0),
            "auth changes": (soak.change("auth"), 0.7),
            "keys made and revoked": (soak.keys, 1.0),
            "cold starts": (soak.call("cold", b'{"number": 7}', b"7"), 0.5),
            "calls that print": (talk, 0.3),
            "calls of a server": (soak.call("listens", b"x", b"fine"), 0.1),
            "tails": (soak.tail, 0.1),
        }
        for what, (act, pause) in load.items():
            group.create_task(soak.repeat(what, act, pause))
        while soak.goes_on:
            await asyncio.sleep(EVERY)
            samples.append(await asyncio.to_thread(look, made.home, pid))
    return samples


def report(
    samples: list[Sample],
    seconds: float,
    done: dict[str, int],
    failed: list[str],
    left: int,
    made: Stage,
) -> int:
    """In Markdown; 0 when all is as it has to be."""
    grown = growth(samples)
    print("| | second quarter | last quarter | growth | bound |\n|---|---:|---:|---:|---:|")
    quarter, over = len(samples) // 4, []
    for field in fields(Sample):
        first = median(getattr(one, field.name) for one in samples[quarter : 2 * quarter])
        last = median(getattr(one, field.name) for one in samples[-quarter:])
        more, bound = getattr(grown, field.name), getattr(BOUNDS, field.name)
        name = NAMES.get(field.name, field.name)
        print(f"| {name} | {first:.0f} | {last:.0f} | {more:+.0f} | {bound:.0f} |")
        over += [name] if more > bound else []
    told = ", ".join(f"{count:,} {what}" for what, count in done.items())
    print(f"\n{seconds:.0f} s: {told}; {left} revisions in the end")
    bad = failed + made.outcome.lost + made.outcome.leftover + [f"{name} grew" for name in over]
    print(f"failed: {len(failed)}; lost: {len(made.outcome.lost)}; left: {made.outcome.leftover}")
    for what in bad:
        print(f"    {what}")
    return 1 if bad else 0


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--seconds", type=float, default=600)
    sys.exit(asyncio.run(run(asked.parse_args().seconds)))
