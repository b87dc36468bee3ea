"""How is one log entry drawn? A prefix (time, kind, label) and the rows of its message.

It knows no scrolling and no cursor. Colours come in as styles.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from re import Pattern
from types import MappingProxyType
from zlib import crc32

from rich.cells import set_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from fal_serverless.models import LogEntry
from fal_tui import naming
from fal_tui.logs.buffer import Gap, Item
from fal_tui.logs.clock import WIDTHS, Clock, in_full, written
from fal_tui.logs.lines import LONGEST, chopped, coloured, drawn, seen, styled
from fal_tui.logs.printable import printable
from fal_tui.naming import Names
from fal_tui.widgets.log_looks import LABEL_COLOURS

KIND = 7
"""Cells of the word that says what a line is: its source, or the level of the function's own."""
LABEL = 12
"""Cells of the endpoint's name."""
_NO_LIMIT = nullcontext()


@dataclass(frozen=True)
class Look:
    """All that decides how entries look."""

    styles: Mapping[str, Style] = field(default_factory=dict)
    """Component class without its prefix -> style over the background."""
    clock: Clock = "local"
    labels: bool = False
    """Say for each line whose it is."""
    wrap: int | None = None
    """Cells of a row; None: lines are not wrapped."""
    hits: Pattern[str] | None = None
    """What is searched for."""
    names: Names = field(default_factory=dict)
    """Of anonymous functions."""

    def style(self, name: str) -> Style:
        return self.styles.get(name, Style.null())


def prefix_width(clock: Clock, labels: bool) -> int:
    parts = [WIDTHS[clock], KIND, LABEL if labels else 0]
    return sum(width + 1 for width in parts if width)


def prefix(item: Item, look: Look, now: datetime) -> list[Segment]:
    """Exactly `prefix_width` cells."""
    if isinstance(item, Gap):
        return [Segment(" " * prefix_width(look.clock, look.labels), look.style("gap"))]
    segments = []
    if look.clock != "off":
        segments.append(Segment(written(item.time, look.clock, now) + " ", look.style("time")))
    segments.append(Segment(f"{kind(item):<{KIND}} ", look.style(_kind_style(item))))
    if look.labels:
        segments.append(Segment(_label(item, look.names), look.style(_label_style(item))))
    return segments


def body(
    item: Item,
    look: Look,
    console: Console,
    limit: AbstractContextManager[object] = _NO_LIMIT,
) -> list[Strip]:
    """The rows of its message, uncut to the right unless they are wrapped.

    `limit` is around the search for hits, and what it raises is raised.
    """
    if isinstance(item, Gap):
        return [Strip([Segment(printable(item.text), look.style("gap"))])]
    style = look.style(_message_style(item))
    message = item.message
    if look.hits is None and look.wrap is None and message.isprintable() and len(message) < LONGEST:
        # most lines: nothing to find out about them
        return [Strip([Segment(message, style)])]
    texts = [styled(line) for line in drawn(message)]
    if look.hits is not None:
        with limit:
            for text in texts:
                text.highlight_regex(look.hits, look.style("hit"))
    rows = [row for text in texts for row in _wrapped(text, look.wrap)]
    strips = [Strip(Segment.apply_style(row.render(console), style)) for row in rows[:1]]
    # of an error in many lines only the first one shouts
    style += Style(bold=False)
    return strips + [Strip(Segment.apply_style(row.render(console), style)) for row in rows[1:]]


def name(entry: LogEntry, names: Names) -> str:
    """Whose line it is, as people call it."""
    return naming.function(_whose(entry), names)


def _whose(entry: LogEntry) -> str:
    return entry.alias or entry.function or entry.revision


def kind(entry: LogEntry) -> str:
    return entry.level.lower() if entry.source == "user" else entry.source


def plain(
    item: Item, *, labels: bool = False, colours: bool = False, names: Names = MappingProxyType({})
) -> str:
    """All its lines for the clipboard, files and pagers, without other control characters."""
    if isinstance(item, Gap):
        return item.text
    message = coloured(item.message) if colours else seen(item.message)
    label = f"{printable(name(item, names))} " if labels and _whose(item) else ""
    return f"{in_full(item.time)} {kind(item):<{KIND}} {label}{message}"


def _wrapped(text: Text, width: int | None) -> list[Text]:
    if width is None:
        return [text]
    pieces = chopped(text.plain, width)
    if len(pieces) == 1:
        return [text]
    offsets, place = [], 0
    for piece in pieces[:-1]:
        place += len(piece)
        offsets.append(place)
    rows = list(text.divide(offsets))
    for row in rows:
        row.end = ""
    return rows


def _label(entry: LogEntry, names: Names) -> str:
    text = printable(name(entry, names))
    return set_cell_size(text if len(text) <= LABEL else text[: LABEL - 1] + "…", LABEL) + " "


def _label_style(entry: LogEntry) -> str:
    return f"label-{crc32(_whose(entry).encode()) % LABEL_COLOURS}"


def _kind_style(entry: LogEntry) -> str:
    return entry.level.lower()


def _message_style(entry: LogEntry) -> str:
    if entry.level in ("ERROR", "WARNING", "DEBUG", "TRACE"):
        return entry.level.lower()
    return "message" if entry.source == "user" else "aside"
