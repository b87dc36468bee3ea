"""Lines of the logs, and what to ask for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Level = Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "STDOUT", "STDERR"]

LEVELS: tuple[Level, ...] = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "STDOUT", "STDERR")

LEVEL_RANK: dict[str, int] = {
    "TRACE": 0,
    "DEBUG": 1,
    "INFO": 2,
    "STDOUT": 2,
    "STDERR": 2,
    "WARNING": 3,
    "ERROR": 4,
}
"""Order for `--level`; a function's plain output counts as INFO."""

Source = Literal["builder", "system", "request", "user"]
"""Who wrote a log line: uv, the backend, the gateway's line per request, the function."""

SOURCES: tuple[Source, ...] = ("builder", "system", "request", "user")


@dataclass(frozen=True, slots=True)
class LogEntry:
    id: int
    """Grows by time of arrival; 0 before it is stored."""
    time: datetime
    level: Level
    source: Source
    message: str
    user: str
    function: str = ""
    alias: str = ""
    """The alias it was called under; '' for the revision's own endpoint or no call."""
    revision: str = ""
    worker: str = ""
    request_id: str = ""


_MISSING = re.compile(
    r"… \d+ lines? dropped …|(?:up to )?\d+ (?:lines|entries) are left out here: .*"
)


def tells_of_missing(entry: LogEntry) -> bool:
    """Whether others should stand there, so that nobody may overlook it."""
    ours = entry.source == "system" and entry.level == "WARNING"
    return ours and _MISSING.fullmatch(entry.message) is not None


@dataclass(frozen=True)
class LogQuery:
    """Which log entries; every given field narrows."""

    label: str = ""
    """An alias (every revision it served) or a revision's id; '' for all endpoints."""
    lines: int = 100
    """The newest so many; for a tail: how many of the past come first."""
    since: datetime | None = None
    until: datetime | None = None
    level: Level | None = None
    """This level and above, by LEVEL_RANK."""
    sources: tuple[Source, ...] = ()
    search: str = ""
    """Regular expression, searched in the message."""
    revision: str = ""
    """Its id, or what it begins with."""
    worker: str = ""
    request_id: str = ""
    after: int | None = None
    """Only entries with a larger id: where a tail resumes. `lines` does not cut then."""
