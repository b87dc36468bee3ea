"""How does one cell of a table become segments of an exact width? Knows no table."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from fal_tui.logs.printable import printable
from fal_tui.widgets.columns import Align

Cell = Text | str
"""Taken literally: markup in a string is text."""


def plain(cell: Cell) -> str:
    return cell if isinstance(cell, str) else cell.plain


def width_of(cell: Cell) -> int:
    return cell_len(printable(plain(cell)))


def draw(cell: Cell, width: int, align: Align, style: Style, console: Console) -> Iterable[Segment]:
    """Exactly `width` cells of it; what is cut off is shown by an ellipsis."""
    if isinstance(cell, str):
        return [Segment(_sized(printable(cell), width, align), style)]
    text = cell.copy()
    if not text.plain.isprintable():
        text.plain = printable(text.plain)
    text.end = ""
    text.truncate(width, overflow="ellipsis")
    text.align(align, width)
    base = style + console.get_style(text.style, default=Style.null())
    return Segment.apply_style(text.render(console), base)


def _sized(text: str, width: int, align: Align) -> str:
    size = cell_len(text)
    if size > width:
        return set_cell_size(set_cell_size(text, max(width - 1, 0)) + "…", width)
    left = {"left": 0, "right": width - size, "center": (width - size) // 2}[align]
    return " " * left + text + " " * (width - size - left)


def foreground(style: Style) -> Style:
    """The same without its background, for text over a background that is not known yet."""
    return Style(color=style.color, bold=style.bold, italic=style.italic, dim=style.dim)


def centred(text: Cell, y: int, width: int, height: int, style: Style, console: Console) -> Strip:
    """Line `y` of a text in the upper middle of an empty area; a Text is one block."""
    if isinstance(text, Text):
        return _block(text, y, width, height, style, console)
    lines = Text(text, justify="center").wrap(console, max(width - 4, 1))
    top = max((height - len(lines)) // 3, 0)
    if not top <= y < top + len(lines):
        return Strip.blank(width, style)
    line = lines[y - top].plain.strip()
    left = " " * max((width - cell_len(line)) // 2, 0)
    return Strip([Segment(left + line, style)]).adjust_cell_length(width, style)


def _block(text: Text, y: int, width: int, height: int, style: Style, console: Console) -> Strip:
    lines = text.split("\n", allow_blank=True)
    top = max((height - len(lines)) // 3, 0)
    if not top <= y < top + len(lines):
        return Strip.blank(width, style)
    wide = min(max(line.cell_len for line in lines), max(width - 2, 1))
    left = Segment(" " * ((width - wide) // 2), style)
    strip = Strip([left, *draw(lines[y - top], wide, "left", style, console)])
    return strip.adjust_cell_length(width, style)
