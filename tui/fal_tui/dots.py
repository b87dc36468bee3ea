"""Braille characters of an SVG as drawn dots: our font has none of them. Pure."""

from __future__ import annotations

import re
from html import unescape
from re import Match

from fal_tui.widgets.braille import EMPTY

CELL, LINE = 12.2, 24.4
"""Width and height of a cell in Rich's pictures."""
ABOVE = 18.5
"""From the top of a cell to where its text stands."""
RADIUS = 2.2

_TEXT = re.compile(r'<text class="([^"]+)" x="([\d.]+)" y="([\d.]+)"([^>]*)>([^<]*)</text>')
_BRAILLE = re.compile("[\u2800-\u28ff]")
_PLACES = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit, from the lowest."""


def with_dots(svg: str) -> str:
    return _TEXT.sub(_drawn, svg)


def _drawn(match: Match[str]) -> str:
    kind, x, y, others, written = match.groups()
    text = unescape(written)
    if not _BRAILLE.search(text):
        return match[0]
    top = float(y) - ABOVE
    circles = [
        _circle(float(x) + (index + 0.25 + column / 2) * CELL, top + (row + 0.5) / 4 * LINE)
        for index, character in enumerate(text)
        if _BRAILLE.match(character)
        for bit, (column, row) in enumerate(_PLACES)
        if ord(character) - EMPTY >> bit & 1
    ]
    rest = _BRAILLE.sub("\u00a0", text).replace("&", "&amp;").replace("<", "&lt;")
    left = f'<text class="{kind}" x="{x}" y="{y}"{others}>{rest}</text>' if rest.strip() else ""
    return f'<path class="{kind}" d="{"".join(circles)}"/>{left}'


def _circle(x: float, y: float) -> str:
    arc = f"a{RADIUS},{RADIUS} 0 1,0"
    return f"M{x - RADIUS:.1f},{y:.1f}{arc} {2 * RADIUS},0{arc} {-2 * RADIUS},0"
