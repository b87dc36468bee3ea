"""Names and values in two columns; what is too long goes on below its beginning. Pure."""

from __future__ import annotations

from rich.text import Text

from fal_tui.render import Look

Field = tuple[str, Text | str]

LEAST = 12
"""Cells a value gets before it is folded further."""


def fields(look: Look, *given: Field) -> Text:
    width = max(len(name) for name, _ in given) + 2
    return Text("\n").join(_field(name, value, width, look) for name, value in given)


def _field(name: str, value: Text | str, width: int, look: Look) -> Text:
    shown = value if isinstance(value, Text) else Text(value)
    room = max(look.width - width, LEAST) if look.width else 0
    pieces = [piece for line in shown.split("\n") for piece in folded(line, room)] or [Text()]
    text = Text().append(name.ljust(width), look.palette.muted).append_text(pieces[0])
    for piece in pieces[1:]:
        text.append("\n" + " " * width).append_text(piece)
    return text


def folded(line: Text, room: int) -> list[Text]:
    """Pieces of at most `room` characters, broken after spaces where there are; 0: one piece."""
    pieces: list[Text] = []
    while room and len(line) > room:
        space = line.plain.rfind(" ", 1, room + 1)
        place = space + 1 if space > 0 else room
        pieces.append(line[:place])
        line = line[place:]
    return [*pieces, line]
