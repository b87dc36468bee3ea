"""What is told of a call: a line in the endpoint's log, and a count."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from fal_serverless.backend.logs.rows import LogRow
from fal_serverless.backend.records import Endpoint
from fal_serverless.models import ColdStart, Level, Source

CLIENT_CLOSED = 499
"""Status in the log of a call whose caller hung up (nginx's number; nobody receives it)."""


class Count(Protocol):
    """Counts one call."""

    def __call__(
        self,
        user: str,
        function: str,
        label: str,
        status: int,
        milliseconds: float,
        cold: ColdStart | None,
        /,
    ) -> None: ...


class Ledger:
    """`put` takes rows of the log."""

    def __init__(self, put: Callable[[LogRow], object], count: Count) -> None:
        self._put = put
        self._count = count

    def say(
        self, endpoint: Endpoint, request_id: str, worker: str, message: str, level: Level = "ERROR"
    ) -> None:
        """Something about a call that only the owner may know."""
        self._put(_row(endpoint, request_id, worker, message, level, "system"))

    def answered(
        self,
        endpoint: Endpoint,
        request_id: str,
        worker: str,
        what: str,
        status: int,
        milliseconds: float,
        cold: ColdStart | None = None,
    ) -> None:
        """The line of a request; `what`: its method and path. Queries are data: not here."""
        failed = status >= 500
        line = f"{what} {status} in {milliseconds:.1f} ms"
        if cold is not None:
            line = f"{line} (cold start: {parts_of(cold)})"
        level: Level = "ERROR" if failed else "INFO"
        self._put(_row(endpoint, request_id, worker, line, level, "request"))
        self._count(endpoint.user, endpoint.function, endpoint.label, status, milliseconds, cold)


def _row(
    endpoint: Endpoint, request_id: str, worker: str, message: str, level: Level, source: Source
) -> LogRow:
    alias = endpoint.label if endpoint.is_alias else ""
    of = (endpoint.user, endpoint.function, alias, endpoint.revision)
    return (time.time_ns() // 1000, level, source, message, *of, worker, request_id)


def parts_of(cold: ColdStart) -> str:
    """`queue 0 ms, environment 0 ms, load 12 ms, setup 3 ms`."""
    parts = {
        "queue": cold.queue,
        "environment": cold.environment,
        "load": cold.load,
        "setup": cold.setup,
    }
    return ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in parts.items())
