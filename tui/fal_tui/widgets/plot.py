"""A few curves over time with their axes, and several such plots side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Literal

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip
from textual.widget import Widget

from fal_tui.palette import PLAIN, Palette
from fal_tui.widgets.braille import ACROSS, EMPTY, Canvas, Levels, spread

GAP = 3
"""Cells between two plots."""
LEAST_HEIGHT = 4
"""Lines of a plot: title, two rows of dots, time."""


@dataclass(frozen=True)
class Curve:
    label: str
    values: Levels
    """Oldest first, 0 or more; None where there is none."""
    now: str
    """The newest, in words."""
    style: str = ""
    kind: Literal["line", "area"] = "line"
    merge: Callable[[list[float]], float] = max
    """What is shown of several values for which there is one place."""


@dataclass(frozen=True)
class Plot:
    title: str
    curves: tuple[Curve, ...]
    """Later ones are drawn over earlier ones."""
    length: int
    """Values of a curve that there can be; missing ones are older."""
    since: str
    """How long ago the left end is, in words."""
    unit: Callable[[float], str]
    """How a value is written at the axis."""
    nothing: str
    """Said when no curve has a value over 0."""
    least: float = 1.0
    """How high it is at least."""
    log: bool = False
    """Each power of ten is as high as another."""


def ceiling(value: float, least: float) -> float:
    """1, 2 or 5 of a power of ten, not below `value`."""
    size = 0.001
    while True:
        for step in (1, 2, 5):
            if step * size >= max(value, least) * 0.999999:
                return step * size
        size *= 10


def floor(value: float) -> float:
    """The power of ten below `value`."""
    return float(10.0 ** math.floor(math.log10(value) - 0.000001))


def _level(bottom: float, top: float, value: float) -> float:
    """How high a value is, from 0 to 1; where the bottom is not 0, each power of ten is as high."""
    if not bottom:
        return value / top
    return math.log(max(value, bottom) / bottom) / math.log(top / bottom) if value else 0.0


def draw(plot: Plot, width: int, height: int, palette: Palette) -> list[Text]:
    """`height` lines of exactly `width` cells."""
    values = [value for curve in plot.curves for value in curve.values if value is not None]
    highest = max(values, default=0.0)
    top = ceiling(highest, plot.least)
    bottom = floor(min((value for value in values if value), default=top / 10)) if plot.log else 0.0
    scale = partial(_level, bottom, top)
    marks = (plot.unit(top), plot.unit(bottom))
    room = max(map(len, marks))
    columns, rows = max(width - room - 1, 1), max(height - 2, 1)
    body = _body(plot, columns, rows, scale)
    if not highest:
        _say(body[(rows - 1) // 2], plot.nothing, columns, palette)
    lines = [_title(plot, width, palette)]
    for index, line in enumerate(body):
        mark = marks[0] if index == 0 else marks[1] if index == rows - 1 else ""
        lines.append(Text().append(f"{mark:>{room}} ", palette.muted).append_text(line))
    lines.append(Text(" " * (room + 1)).append(_times(plot, columns), palette.muted))
    return [_exactly(line, width) for line in lines[:height]]


def _title(plot: Plot, width: int, palette: Palette) -> Text:
    """As many curves are named as fit."""
    text = Text().append(plot.title, "bold")
    for curve in plot.curves:
        more = Text("  ").append("▄" if curve.kind == "area" else "─", curve.style)
        more.append(f" {curve.label} ", palette.muted).append(curve.now)
        if text.cell_len + more.cell_len > width:
            break
        text.append_text(more)
    return text


def _body(plot: Plot, columns: int, rows: int, scale: Callable[[float], float]) -> list[Text]:
    layers = []
    for curve in plot.curves:
        canvas = Canvas(columns, rows)
        values = spread(curve.values, plot.length, columns * ACROSS, curve.merge)
        levels = [None if value is None else scale(value) for value in values]
        getattr(canvas, curve.kind)(levels)
        layers.append((canvas.masks, curve.style))
    return [_row([(masks[row], style) for masks, style in layers], columns) for row in range(rows)]


def _row(layers: Sequence[tuple[list[int], str]], columns: int) -> Text:
    """One row of all layers; a cell has the colour of the last one that has a dot in it."""
    cells = []
    for column in range(columns):
        mask, style = 0, ""
        for masks, colour in layers:
            if masks[column]:
                mask, style = mask | masks[column], colour
        cells.append((chr(EMPTY + mask) if mask else " ", style))
    line = Text()
    for style, some in groupby(cells, key=itemgetter(1)):
        line.append("".join(character for character, _ in some), style)
    return line


def _say(line: Text, words: str, columns: int, palette: Palette) -> None:
    # What is said last can be done without where there is little room.
    shorter = (words, words.partition(";")[0], words.partition(" in the ")[0])
    said = next((each for each in shorter if len(each) <= columns), shorter[-1])
    line.plain = said[:columns].center(columns)
    line.stylize(palette.muted)


def _times(plot: Plot, columns: int) -> str:
    middle = "log scale" if plot.log and columns >= 2 * len("log scale") + len(plot.since) else ""
    left = f"{plot.since}{middle:^{max(columns - len(plot.since) - 3, 0)}}"
    return f"{left}now"[:columns]


def _exactly(line: Text, width: int) -> Text:
    line.truncate(width)
    line.pad_right(max(width - line.cell_len, 0))
    return line


class Plots(Widget):
    """Two side by side, in as many rows as there are; drawn only when something is new."""

    DEFAULT_CSS = """
    Plots { height: 12; padding: 0 1; background: $surface; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._plots: tuple[Plot, ...] = ()
        self._palette = PLAIN
        self._lines: list[Text] | None = None

    def show(self, plots: Sequence[Plot], palette: Palette) -> None:
        self._plots, self._palette = tuple(plots), palette
        self._lines = None
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._lines = None

    def on_resize(self) -> None:
        self._lines = None

    def render_line(self, y: int) -> Strip:
        if self._lines is None:
            self._lines = self._drawn()
        width, style = self.content_size.width, self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, style)
        segments = Segment.apply_style(self._lines[y].render(self.app.console), _ground(style))
        return Strip(segments).adjust_cell_length(width, style)

    def _drawn(self) -> list[Text]:
        width, height = self.content_size
        each = (width - GAP) // 2
        high = max(height // max(len(self._plots) // 2, 1), LEAST_HEIGHT)
        lines: list[Text] = []
        for left, right in zip(self._plots[::2], self._plots[1::2], strict=True):
            pairs = zip(
                draw(left, each, high, self._palette),
                draw(right, each, high, self._palette),
                strict=True,
            )
            lines += [Text(" " * GAP).join(pair) for pair in pairs]
        return lines


def _ground(style: Style) -> Style:
    return Style(color=style.color, bgcolor=style.bgcolor)
