"""Does a caller notice a swap? Calls without pause, while the alias moves back and forth.

32 callers over kept-alive connections; meanwhile rollbacks, alias moves, serves and auth changes,
one after the other. Prints what was sent, what failed, and how long each kind of change took,
beside the rate without any change in the same run. Fails when one call fails.

    python tests/benchmarks/bench_swap.py [seconds]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx

from running import start_backend
from serving import serve

CALLERS = 32
BODY = b'{"text": "x"}'


class Load:
    """Callers that count what they get."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.statuses: dict[int | str, int] = {}
        self.seconds: list[float] = []

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._call(stop))

    async def _call(self, stop: asyncio.Event) -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            while not stop.is_set():
                started = time.perf_counter()
                try:
                    seen: int | str = (await http.post(self.url, content=BODY)).status_code
                except httpx.HTTPError as exc:
                    seen = type(exc).__name__
                self.seconds.append(time.perf_counter() - started)
                self.statuses[seen] = self.statuses.get(seen, 0) + 1

    def told(self, name: str, seconds: float) -> str:
        sent = sum(self.statuses.values())
        failed = sent - self.statuses.get(200, 0)
        p99 = statistics.quantiles(self.seconds, n=100)[98] * 1000
        rate = sent / seconds
        return f"{name:12} {sent:7} sent {failed:4} failed {rate:7.0f}/s  p99 {p99:6.1f} ms"


Changes = dict[str, Callable[[], Awaitable[object]]]


async def change(changes: Changes, seconds: float) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {name: [] for name in changes}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, make in changes.items():
            started = time.perf_counter()
            await make()
            took[name].append(time.perf_counter() - started)
    return took


async def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    backend = start_backend(Path(tempfile.mkdtemp()))
    try:
        async with backend.client() as client:

            async def serve_again() -> str:
                made = await serve(backend, client, "texts.py", "call_text", "call", "public")
                return made.path_url

            url = await serve_again()
            second = (await client.alias("call")).revision
            await serve_again()
            changes: Changes = {
                "rollback": lambda: client.rollback("call"),
                "alias set": lambda: client.set_alias("call", second),
                "auth": lambda: client.set_auth("call", "public"),
                "serve": serve_again,
            }
            still, moving = Load(url), Load(url)
            for load, work in ((still, asyncio.sleep(seconds)), (moving, change(changes, seconds))):
                stop = asyncio.Event()
                calling = asyncio.create_task(load.run(stop))
                took = await work
                stop.set()
                await calling
    finally:
        backend.stop()
    print(still.told("no change", seconds))
    print(moving.told("changing", seconds))
    for name, times in took.items():
        print(f"  {name:14} {len(times):4} times, median {statistics.median(times) * 1000:6.0f} ms")
    return int(set(moving.statuses) != {200})


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
