"""Figures as people read them: a table for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

NOTHING = "-"
"""For what was not measured."""


@dataclass(frozen=True)
class Table:
    title: str
    headings: Sequence[str]
    """The first column names the row and stands left, the others stand right."""
    rows: Sequence[Sequence[str]]
    note: str = ""
    """A sentence below it."""

    def text(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = [_padded(line, widths) for line in lines]
        return "\n".join([self.title, *(f"  {line}" for line in shown), *self._notes()]) + "\n"

    def markdown(self) -> str:
        rule = ["---", *["---:"] * (len(self.headings) - 1)]
        lines = [f"| {' | '.join(cells)} |" for cells in (self.headings, rule, *self.rows)]
        return "\n".join([f"**{self.title}**", "", *lines, *("", *self._notes())]) + "\n"

    def _notes(self) -> list[str]:
        return [self.note] if self.note else []


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if column else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def whole(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def tenths(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f}"


def millis(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    shown = seconds * 1000
    return f"{shown:,.0f} ms" if shown >= 100 else f"{shown:.{1 if shown >= 10 else 2}f} ms"


def megabytes(size: float | None) -> str:
    return NOTHING if size is None else f"{size / 1e6:,.0f} MB"


def percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share * 100:.1f} %"


def times(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{ratio:.3g}x"
