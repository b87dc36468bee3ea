"""What a worker says: log entries that know their revision, worker and call, and its record's news.

The last lines are kept for the error that ends it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from fal_serverless.backend.engine import frames
from fal_serverless.backend.engine.spec import Spec
from fal_serverless.models import Level, LogEntry, Source

KEPT_LINES = 50
"""Lines of the function that travel with the error when its worker fails."""
QUIET = 0.1
"""Seconds between two tellings of a state that flips with every call."""


class Journal:
    """The log of one worker."""

    def __init__(self, spec: Spec, worker: str, log: Callable[[LogEntry], object]) -> None:
        self._spec = spec
        self._worker = worker
        self._log = log
        self._recent: deque[str] = deque(maxlen=KEPT_LINES)
        self._aliases: dict[str, str] = {}

    def recent(self) -> list[str]:
        """The function's last lines, oldest first."""
        return list(self._recent)

    def call_begins(self, request_id: str, alias: str) -> None:
        if alias:
            self._aliases[request_id] = alias

    def call_ends(self, request_id: str) -> None:
        self._aliases.pop(request_id, None)

    def say(self, level: Level, text: str) -> None:
        """A line of ours."""
        self._write(level, "system", text, "", datetime.now(UTC))

    def heard(self, level: Level, text: str) -> None:
        """A line that came through a pipe; nobody knows of which call."""
        self._recent.append(text)
        self._write(level, "user", text, "", datetime.now(UTC))

    def line(self, payload: bytes) -> None:
        """A LOG frame."""
        level, at, request_id, text = frames.log_line(payload)
        self._recent.append(text)
        self._write(level, "user", text, request_id, datetime.fromtimestamp(at, UTC))

    def _write(self, level: Level, source: Source, text: str, call: str, at: datetime) -> None:
        entry = LogEntry(
            id=0,
            time=at,
            level=level,
            source=source,
            message=text,
            user=self._spec.user,
            function=self._spec.function,
            alias=self._aliases.get(call, ""),
            revision=self._spec.revision,
            worker=self._worker,
            request_id=call,
        )
        self._log(entry)


class Herald:
    """Tells news at once, and news of little weight at most every `QUIET` seconds."""

    def __init__(self, tell: Callable[[], object]) -> None:
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell()

    def soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(QUIET, self.now)
