"""What is there to say about one log entry, row by row? Pure: colours are words, not styles.

Each row stands for a value that can be copied, and some for other entries that have it in common.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from fal_serverless.models import LogEntry, LogQuery
from fal_tui.logs.clock import in_full
from fal_tui.logs.lines import LONGEST, split

Kind = Literal["message", "json", "field", "rest"]

ROWS = 2_000
"""Rows of a message, and of its JSON, that are shown; how many more there are is said."""

FIELDS = ("level", "source", "alias", "function", "revision", "worker", "request_id", "user", "id")
"""In the order shown; what is empty is left out."""


@dataclass(frozen=True)
class Part:
    """One row."""

    kind: Kind
    text: str
    """What is seen; of a message as it was printed, colours and all."""
    value: str
    """What is copied."""
    name: str = ""
    """Of a field or a JSON member; '' for none."""
    indent: int = 0
    query: LogQuery | None = None
    """The entries that have this in common; None where nobody would ask."""


def parts(entry: LogEntry) -> list[Part]:
    """The message as it was printed, the JSON in it laid out, the fields."""
    return [*_message(entry.message), *_json(entry.message), *_fields(entry)]


def json_in(text: str) -> dict[str, Any] | list[Any] | None:
    """The object or list that a message holds or ends with; None when there is none."""
    for bracket in "{[":
        start = text.find(bracket)
        while start >= 0:
            try:
                value = json.loads(text[start:])
            except (ValueError, RecursionError):
                start = text.find(bracket, start + 1) if start < 200 else -1
                continue
            return value if isinstance(value, dict | list) and value else None
    return None


def request_of(entry: LogEntry) -> LogQuery:
    return LogQuery(request_id=entry.request_id)


def _message(message: str) -> Iterator[Part]:
    rows = [row for line in split(message) for row in _pieces(line)]
    for row in rows[:ROWS]:
        yield Part("message", row, message)
    if len(rows) > ROWS:
        yield Part("rest", f"… {len(rows) - ROWS:,} more lines: c copies them", message)


def _pieces(line: str) -> list[str]:
    """A very long line in several: what draws a line draws only its beginning."""
    return [line[at : at + LONGEST] for at in range(0, len(line), LONGEST)] or [""]


def _json(message: str) -> Iterator[Part]:
    value = json_in(message)
    if value is None:
        return
    rows = _laid_out(value)
    yield from islice(rows, ROWS)
    more = sum(1 for _ in rows)
    if more:
        yield Part("rest", f"… {more:,} more lines: c copies them", _copied(value))


def _laid_out(value: Any, name: str = "", indent: int = 0, comma: str = "") -> Iterator[Part]:
    """One row for each line of it; a bracket stands for all that is in it."""

    def row(text: str, *, named: bool = True) -> Part:
        return Part("json", text, _copied(value), name if named else "", indent)

    if not isinstance(value, dict | list) or not value:
        text = json.dumps(value, ensure_ascii=False)
        yield row((text if len(text) <= LONGEST else text[:LONGEST] + "…") + comma)
        return
    opened, closed = "{}" if isinstance(value, dict) else "[]"
    yield row(opened)
    members = list(value.items()) if isinstance(value, dict) else [("", item) for item in value]
    for place, (key, member) in enumerate(members, 1):
        key = json.dumps(key, ensure_ascii=False) if isinstance(value, dict) else ""
        yield from _laid_out(member, key, indent + 1, "," if place < len(members) else "")
    yield row(closed + comma, named=False)


def _copied(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fields(entry: LogEntry) -> Iterator[Part]:
    yield Part("field", in_full(entry.time), entry.time.isoformat(), "time")
    for name in FIELDS:
        value = str(getattr(entry, name))
        if value:
            yield Part("field", value, value, name.replace("_", " "), query=_asked(entry, name))


def _asked(entry: LogEntry, name: str) -> LogQuery | None:
    if name == "request_id":
        return request_of(entry)
    if name == "worker":
        return LogQuery(worker=entry.worker)
    if name == "revision":
        return LogQuery(revision=entry.revision)
    return LogQuery(label=entry.alias) if name == "alias" else None
