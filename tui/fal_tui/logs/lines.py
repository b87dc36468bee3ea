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
"""Characters of one line that are drawn; how many more there are is said."""
MOST = 1_000
"""Lines of one entry that are drawn; how many more there are is said."""


def split(message: str) -> list[str]:
    """Its lines as they came; one empty line when there is no text."""
    if "\n" not in message:
        return [message]
    return message.rstrip("\n").split("\n")


def drawn(message: str) -> list[str]:
    """Its lines, of very many the first ones and how many there are besides."""
    lines = split(message)
    if len(lines) <= MOST:
        return lines
    return [*lines[:MOST], f"… {len(lines) - MOST:,} more lines: c copies them"]


def seen(message: str) -> str:
    """All of its text as it is searched and copied: as `clean`, but whole, line for line."""
    if message.isprintable():
        return message
    return "\n".join(
        line if line.isprintable() else printable(_COLOUR.sub("", _last_state(line).expandtabs()))
        for line in split(message)
    )


def coloured(message: str) -> str:
    """As `seen`, with the colours that its lines gave themselves; each ends with none."""
    if message.isprintable():
        return message
    safe = (_only_colours(_last_state(line).expandtabs()) for line in split(message))
    return "\n".join(line + "\x1b[0m" if "\x1b" in line else line for line in safe)


def clean(line: str) -> str:
    """The text that is seen of one line: no colours, no tabs, what `\\r` overwrote left out."""
    if line.isprintable() and len(line) <= LONGEST:
        return line
    return printable(_COLOUR.sub("", _laid_out(line)))


def styled(line: str) -> Text:
    """The same characters as `clean`, with the colours that the line gave itself."""
    if line.isprintable() and len(line) <= LONGEST:
        return Text(line, end="")
    safe = _only_colours(_laid_out(line))
    text = AnsiDecoder().decode_line(safe) if "\x1b" in safe else Text(safe)
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
        return len(drawn(message)) if "\n" in message else 1
    return sum(_rows(clean(line), width) for line in drawn(message))


def cells(line: str) -> int:
    return len(line) if line.isascii() else cell_len(line)


def _rows(text: str, width: int) -> int:
    if text.isascii():
        return max(-(-len(text) // width), 1)
    return len(chopped(text, width))


def _only_colours(line: str) -> str:
    kept: list[str] = []
    place = 0
    for colour in _COLOUR.finditer(line):
        kept += printable(line[place : colour.start()]), colour[0].replace(":", ";")
        place = colour.end()
    return "".join([*kept, printable(line[place:])])


def _laid_out(line: str) -> str:
    line = _last_state(line).expandtabs()
    if len(line) <= LONGEST:
        return line
    return f"{line[:LONGEST]} … {len(line) - LONGEST:,} more characters: c copies them"


def _last_state(line: str) -> str:
    """A progress bar: what a terminal would show in the end."""
    line = line.rstrip("\r")
    if "\r" not in line:
        return line
    return next((part for part in reversed(line.split("\r")) if part.strip()), "")
