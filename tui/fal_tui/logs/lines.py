"""How does the text of a log entry look in a terminal? Colours stay, nothing else acts.

A message may hold several lines, tabs, progress bars that overwrite themselves, and escape
sequences. It knows nothing of levels, times or widgets.
"""

from __future__ import annotations

import re

from rich.ansi import AnsiDecoder
from rich.cells import cell_len, chop_cells
from rich.text import Text

from fal_tui.logs.printable import printable

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")

LONGEST = 20_000
"""Characters of one line that are drawn; the line panel shows the rest."""


def split(message: str) -> list[str]:
    """Its lines as they came; one empty line when there is no text."""
    if "\n" not in message:
        return [message]
    return message.rstrip("\n").split("\n")


def clean(line: str) -> str:
    """The text that is seen of one line: no colours, no tabs, what `\\r` overwrote left out."""
    if line.isprintable() and len(line) <= LONGEST:
        return line
    return printable(_COLOUR.sub("", _laid_out(line)))


def styled(line: str) -> Text:
    """The same characters as `clean`, with the colours that the line gave itself."""
    if line.isprintable() and len(line) <= LONGEST:
        return Text(line, end="")
    kept: list[str] = []
    place = 0
    laid_out = _laid_out(line)
    for colour in _COLOUR.finditer(laid_out):
        kept += printable(laid_out[place : colour.start()]), colour[0].replace(":", ";")
        place = colour.end()
    kept.append(printable(laid_out[place:]))
    text = AnsiDecoder().decode_line("".join(kept)) if place else Text(kept[-1])
    text.end = ""
    return text


def chopped(text: str, width: int) -> list[str]:
    """In pieces of at most `width` cells; at least one piece."""
    if text.isascii():
        return [text[at : at + width] for at in range(0, len(text), width)] or [""]
    return chop_cells(text, width) or [""]


def height(message: str, width: int | None) -> int:
    """Rows that it takes; `width` None: lines are not wrapped."""
    if width is None:
        return len(split(message)) if "\n" in message else 1
    return sum(_rows(clean(line), width) for line in split(message))


def cells(line: str) -> int:
    return len(line) if line.isascii() else cell_len(line)


def _rows(text: str, width: int) -> int:
    if text.isascii():
        return max(-(-len(text) // width), 1)
    return len(chopped(text, width))


def _laid_out(line: str) -> str:
    line = line.rstrip("\r")
    if "\r" in line:
        line = _last_overwrite(line)
    return line.expandtabs()[:LONGEST]


def _last_overwrite(line: str) -> str:
    """A progress bar: what a terminal would show in the end."""
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")
