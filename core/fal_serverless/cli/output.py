"""The one writer of stdout and stderr: data here, talk there.

Data is never wrapped, coloured or cut, whether it is read by a person or a pipe.
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, TextIO, TypeVar

from fal_serverless.errors import FalError

T = TypeVar("T")

GAP = "  "
SHORT = 8
"""Characters of a revision's id in running text; lists show all."""

_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""A colour; what is not one and acts, also those of eight bits and those that reorder a line."""


def data(text: str) -> None:
    """A line of what was asked for, to stdout."""
    with _writing():
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def raw(content: bytes) -> None:
    """Bytes as they are; a terminal gets a final newline."""
    with _writing():
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        if content and sys.stdout.isatty() and not content.endswith(b"\n"):
            sys.stdout.buffer.write(b"\n")
        sys.stdout.buffer.flush()


@contextmanager
def _writing() -> Iterator[None]:
    """A reader that is gone is somebody else's matter; that nothing can be written is said."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as exc:
        leave()
        raise FalError(f"the output cannot be written: {exc.strerror}") from exc


def leave(stream: TextIO | None = None) -> None:
    """Nobody takes the output any more, and Python may not try again when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), (stream or sys.stdout).fileno())


def finish() -> None:
    """What a full disk or a closed terminal does not take is no failure of what was done."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # one that is closed is None
        try:
            stream.flush()
        except (OSError, ValueError):
            leave(stream)


def values(value: Any) -> None:
    """Models as JSON, indented."""
    data(_json(value, indent=2))


def value_line(value: Any) -> None:
    """A model as JSON on one line."""
    data(_json(value))


def _json(value: Any, indent: int | None = None) -> str:
    """Whose strings are as harmless in a terminal as other data, and mean the same."""
    text = json.dumps(_plain(value), indent=indent, ensure_ascii=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: Any) -> Any:
    from fal_serverless.models import to_json

    return to_json(value)


def models(
    found: Sequence[T],
    as_json: bool,
    headings: Sequence[str],
    row: Callable[[T], Sequence[object]],
    nothing: str = "",
) -> None:
    """Models as JSON where that is asked for, else as in `table` a row for each."""
    if as_json:
        values(found)
    else:
        table(headings, [row(each) for each in found], nothing)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], nothing: str = "") -> None:
    """Aligned columns under headings, each line whole. `nothing` is said when there is no row."""
    data(render_table(headings, rows))
    if nothing and not rows:
        say(nothing)


def render_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [list(headings), *([_cell(value) for value in row] for row in rows)]
    widths = [max(width(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(_row(line, widths) for line in lines)


def pairs(items: Iterable[tuple[str, object]]) -> None:
    """`Name:  value` lines with the values in one column; empty values are left out."""
    shown = [(f"{name}:", _cell(value)) for name, value in items if value not in (None, "", ())]
    widest = max((width(name) for name, _ in shown), default=0)
    for name, value in shown:
        data(_pad(name, widest) + GAP + value)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return local_time(value)
    if isinstance(value, tuple | list):
        return ", ".join(str(item) for item in value)
    return printable(str(value)).replace("\n", " ")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (_pad(cell, size) for cell, size in zip(cells, widths, strict=True))
    return GAP.join(padded).rstrip()


def _pad(text: str, size: int) -> str:
    return text + " " * (size - width(text))


def width(text: str) -> int:
    """Columns it takes in a terminal."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def printable(text: str) -> str:
    """Colours are kept; control characters that could do more to a terminal are spelled out."""

    def spell(match: re.Match[str]) -> str:
        found = match[0]
        return found if len(found) > 1 else found.encode("unicode_escape").decode()

    return _CONTROL.sub(spell, text)


def local_time(moment: datetime, *, milliseconds: bool = False) -> str:
    """`YYYY-MM-DD HH:MM:SS[.mmm]` in this machine's time zone."""
    here = moment.astimezone()
    text = here.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{here.microsecond // 1000:03d}" if milliseconds else text


def short(revision: str | None) -> str:
    """The beginning of a revision's id."""
    return revision[:SHORT] if revision else "nothing"


def say(text: str) -> None:
    """Talk, to stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def error(text: str) -> None:
    """`Error: ` and the text, in one line."""
    say("Error: " + " ".join(text.split()))


def prepare() -> None:
    """A terminal that lacks a character must not end the program."""
    for stream in filter(None, (sys.stdout, sys.stderr)):  # one that is closed is None
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
