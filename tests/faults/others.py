"""What do callers of another endpoint notice? Two of them call it all the time.

A call fails when its answer is wrong or does not come. Excepted are calls that a killed backend
had, and those that come while there is none: they are counted apart.
"""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress

import httpx

CALLERS = 2
PAUSE = 0.01
"""Seconds between two calls of one caller: a load with a bound."""
PAUSE_DOWN = 0.1
"""While there is no backend, which is not to be kept from starting."""
PATIENCE = 10.0
"""Seconds after which a call counts as failed."""


class Others:
    """Callers of one public endpoint that returns the number it is given."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answered = 0
        self.cut = 0
        """Calls that a killed backend had, or that found none."""
        self.failed: list[str] = []
        self.slowest = 0.0
        """Seconds."""
        self.is_down = False
        """There is no backend, and that is right so."""
        self._numbers = itertools.count()
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._call()) for _ in range(CALLERS)]

    async def heard(self, count: int = 4) -> None:
        """Until so many more calls were answered, or failed."""
        wanted = self.answered + len(self.failed) + count
        while self.answered + len(self.failed) < wanted:
            await asyncio.sleep(PAUSE)

    async def close(self) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _call(self) -> None:
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            while not self._stop.is_set():
                await self._once(http)
                with suppress(TimeoutError):
                    pause = PAUSE_DOWN if self.is_down else PAUSE
                    await asyncio.wait_for(self._stop.wait(), pause)

    async def _once(self, http: httpx.AsyncClient) -> None:
        number, was_down = next(self._numbers), self.is_down
        began = asyncio.get_running_loop().time()
        try:
            answer = await http.post(self._url, json={"number": number})
            said = f"{answer.status_code} {answer.text[:200]}"
        except httpx.HTTPError as error:
            said = repr(error)
        if said == f"200 {number}":
            self.answered += 1
            self.slowest = max(self.slowest, asyncio.get_running_loop().time() - began)
        elif was_down or self.is_down:
            self.cut += 1
        else:
            self.failed.append(said)
