"""`function logs --follow`: each entry once, whatever becomes of the connection.

Where the log stood is asked before what is past is fetched; from then on the last entry printed, or
looked at in vain, says where to go on, so a lost connection loses and doubles nothing.
"""

from __future__ import annotations

import asyncio
import select
import stat
import sys
import threading
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import replace
from os import fstat
from typing import TYPE_CHECKING

from fal_serverless.cli import output
from fal_serverless.errors import Unreachable
from fal_serverless.models import LogEntry, LogQuery

if TYPE_CHECKING:
    from fal_serverless.cli.session import Session

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two tries to reconnect."""

LOST = "Lost the backend; trying again …"


class Following:
    """One tail over as many connections as it takes."""

    def __init__(
        self, session: Session, query: LogQuery, show: Callable[[LogEntry], None], nothing: str
    ) -> None:
        """`nothing` is said when there is nothing yet. The query names a revision in full."""
        self._session = session
        self._query = query
        self._show = show
        self._nothing = nothing
        self._lost_at: float | None = None
        self._pause = FIRST_PAUSE

    async def run(self) -> None:
        """Until nobody reads what is printed. Raises what is wrong at the first connection."""
        alone = asyncio.Event()
        unwatch = _when_nobody_reads(alone.set)
        tasks = (asyncio.ensure_future(self._run()), asyncio.ensure_future(alone.wait()))
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            unwatch()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        await self._begin()
        while True:
            try:
                await self._go_on()
            except Unreachable:
                if self._lost_at is None:
                    self._lost_at = time.monotonic()
                    output.say(LOST)
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    async def _begin(self) -> None:
        """What is past. Only now is an embedded backend started: who stops it later means it."""
        async with await self._session.connect() as client:
            newest = await client.logs(LogQuery(lines=1))
            self._query = replace(self._query, after=newest[-1].id if newest else 0)
            past = await client.logs(replace(self._query, after=None))
            for entry in past:
                self._print(entry)
            if self._query.lines and not past:
                output.say(self._nothing)

    async def _go_on(self) -> None:
        async with await self._session.connect(start=False) as client:
            await client.user()
            self._found()
            async with aclosing(client.tail(self._query, reached=self._reach)) as entries:
                async for entry in entries:
                    self._print(entry)

    def _found(self) -> None:
        if self._lost_at is not None:
            output.say(f"Reconnected after {max(time.monotonic() - self._lost_at, 1):.0f} s.")
        self._lost_at, self._pause = None, FIRST_PAUSE

    def _print(self, entry: LogEntry) -> None:
        self._reach(entry.id)
        self._show(entry)

    def _reach(self, seen: int) -> None:
        """What was looked at in vain is not missing when it is removed before the next try."""
        self._query = replace(self._query, after=seen)


def _when_nobody_reads(act: Callable[[], object]) -> Callable[[], None]:
    """Act when the pipe that stdout is has lost its reader; call what is returned to stop looking.

    A quiet tail writes nothing, and would never learn of it.
    """
    loop = asyncio.get_running_loop()
    with suppress(OSError, ValueError):
        descriptor = sys.stdout.fileno()
        if stat.S_ISFIFO(fstat(descriptor).st_mode):
            over = threading.Event()
            threading.Thread(target=_watch, args=(descriptor, loop, act, over), daemon=True).start()
            return over.set
    return lambda: None


def _watch(
    descriptor: int,
    loop: asyncio.AbstractEventLoop,
    act: Callable[[], object],
    over: threading.Event,
) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLERR)
    while not over.is_set():
        if poll.poll(200) and not over.is_set():
            with suppress(RuntimeError):  # it ends anyway
                loop.call_soon_threadsafe(act)
            return
