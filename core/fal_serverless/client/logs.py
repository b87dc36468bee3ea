"""Logs of the past and as they come, and what changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fal_serverless import errors
from fal_serverless.client.answers import log_entry, read_json
from fal_serverless.client.wire import Wire
from fal_serverless.models import Change, LogEntry, LogQuery, from_json, to_json

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries to take up a tail."""

Lost = Callable[[errors.Unreachable, int], Awaitable[object]]
"""What happened, and how often since the last entry."""


class Logs(Wire):
    """What is written, and what changes."""

    async def logs(self, query: LogQuery) -> list[LogEntry]:
        """The newest `query.lines` entries that match, oldest first."""
        body = await self._call("GET", "/v1/logs", params=_log_params(query))
        return from_json(list[LogEntry], body)

    async def tail(
        self,
        query: LogQuery,
        *,
        lost: Lost | None = None,
        reached: Callable[[int], object] | None = None,
    ) -> AsyncGenerator[LogEntry, None]:
        """The newest `query.lines` entries (all after `query.after` when given), then each new one.

        Without `lost`, Unreachable is raised when the connection is lost. With it, the tail goes on
        where it was, each entry once: `lost` is called with what happened and the number of tries
        since the last entry; it waits as long as it likes (`pause` does), or raises to give up.
        `reached` is told how far the tail is (as for `query.after`) where no entry says so: once
        all that is past was given, and now and then while nothing matches.
        """
        tries = 0
        while True:
            try:
                async with aclosing(self._tail(query)) as found:
                    async for seen, entry in found:
                        query, tries = replace(query, after=seen), 0
                        if entry is not None:
                            yield entry
                        elif reached is not None:
                            reached(seen)
                raise errors.Unreachable("the backend closed the log stream")
            except errors.Unreachable as exc:
                if lost is None:
                    raise
                await lost(exc, tries)
                tries += 1

    async def _tail(self, query: LogQuery) -> AsyncGenerator[tuple[int, LogEntry | None], None]:
        """How far it is, with an entry or without."""
        names: dict[str, str] = {}
        async with self._opened("GET", "/v1/logs/tail", params=_log_params(query)) as events:
            async for name, seen, data in events:
                if name == "error":
                    raise errors.from_json(read_json(data))
                if seen:
                    yield int(seen), log_entry(data, names) if data else None

    async def changes(self) -> AsyncGenerator[Change, None]:
        """What changes in the backend, as it happens; the first is always a `resync`."""
        async with self._stream("GET", "/v1/events") as lines:
            async for _, data in lines:
                yield from_json(Change, data)
        raise errors.Unreachable("the backend closed the event stream")


def _log_params(query: LogQuery) -> dict[str, Any]:
    values = to_json(query)
    return {name: value for name, value in values.items() if value not in (None, "", [])}


async def pause(_lost: errors.Unreachable, tries: int) -> None:
    """For `tail`: longer from try to try, for ever."""
    await asyncio.sleep(min(FIRST_PAUSE * 2.0 ** min(tries, 10), LONGEST_PAUSE))
