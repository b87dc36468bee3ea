"""Text from outside, made fit to be drawn: control characters become visible, lines stay lines."""

from __future__ import annotations

from rich.text import Text

from fal_tui.logs.printable import printable


def lines(text: str) -> str:
    """Character for character, so that positions stay true."""
    if text.isprintable():
        return text
    return "\n".join(printable(line) for line in text.split("\n"))


def styled(text: Text) -> Text:
    """The same styles over safe characters."""
    if text.plain.replace("\n", "").isprintable():
        return text
    safe = text.copy()
    safe.plain = lines(text.plain)
    return safe
