"""Can a colour be read on another one? Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

LEAST = 3.0
"""Contrast below which a colour on the cursor's row gives way to that of the row's own text."""

RGB = tuple[int, int, int]


def contrast(one: RGB, other: RGB) -> float:
    """From 1 (the same) to 21 (black on white), as WCAG 2 has it."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: RGB) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def on_row(segments: Iterable[Segment], row: Style) -> list[Segment]:
    """What stands on a row of that style, in colours that can be read there."""
    if row.reverse:  # their colours would become a patchwork of backgrounds
        return list(Segment.remove_color(segments))
    return [Segment(text, _readable(style or row, row)) for text, style, _ in segments]


@lru_cache(1024)
def _readable(style: Style, row: Style) -> Style:
    front, back = _rgb(style.color), _rgb(row.bgcolor)
    if front is None or back is None or contrast(front, back) >= LEAST:
        return style
    return style + Style(color=row.color)


def _rgb(colour: Color | None) -> RGB | None:
    """None for a colour that the terminal decides."""
    return colour.triplet if colour is not None and colour.triplet is not None else None
