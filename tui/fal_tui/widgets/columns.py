"""Which columns of a table fit into a width, and how wide is each? Pure; draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

GAP = 2
"""Cells between two columns."""
WIDEST = 48
"""Cells that a column without a width of its own takes at most."""
UNBOUND = 1_000
"""The same where all is to be seen."""
NARROWEST = 16
"""Cells below which such a column never shrinks. Before it shrinks below half of its wish, less
important ones go."""

Align = Literal["left", "right", "center"]


@dataclass(frozen=True)
class Column:
    key: str
    label: str
    width: int | None = None
    """Cells; None: as wide as its cells, up to WIDEST, and it may shrink."""
    align: Align = "left"
    priority: int = 0
    """When there is not enough width, columns of the lowest priority go first."""


@dataclass(frozen=True)
class Placed:
    """One column that is drawn."""

    index: int
    """Its place among all columns."""
    width: int
    """Cells."""


def fit(
    columns: Sequence[Column], natural: Sequence[int], total: int, widest: int = WIDEST
) -> tuple[Placed, ...]:
    """The columns that fit into `total` cells, left to right.

    `natural` is the width that each would like. The most important column always stays; what is
    left beside one that was too wide goes to less important ones that are narrow.
    """
    widths = [_wanted(column, size, widest) for column, size in zip(columns, natural, strict=True)]
    least = [_least(column, size) for column, size in zip(columns, widths, strict=True)]
    kept = list(range(len(columns)))
    while len(kept) > 1 and _needs(kept, least) > total:
        last = max(kept, key=_rank(columns))
        narrowest = min(least[last], max(NARROWEST, len(columns[last].label)))
        if columns[last].width is None and least[last] > narrowest:
            least[last] = narrowest
        else:
            kept.remove(last)
    _shrink(widths, least, kept, total)
    for index in sorted(set(range(len(columns))) - set(kept), key=_rank(columns)):
        if _needs([*kept, index], widths) <= total:
            kept = sorted([*kept, index])
    return tuple(Placed(index, min(widths[index], max(total, 1))) for index in kept)


def _wanted(column: Column, natural: int, widest: int) -> int:
    return min(natural, widest) if column.width is None else column.width


def _least(column: Column, width: int) -> int:
    if column.width is not None:
        return width
    return min(width, max(NARROWEST, len(column.label), width // 2))


def _needs(kept: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[index] for index in kept) + GAP * (len(kept) - 1)


def _rank(columns: Sequence[Column]) -> Callable[[int], tuple[int, int]]:
    """The most important first, of equals the leftmost."""
    return lambda index: (-columns[index].priority, index)


def _shrink(widths: list[int], least: Sequence[int], kept: Sequence[int], total: int) -> None:
    """Take from the widest, cell by cell, until all fit."""
    over = _needs(kept, widths) - total
    while over > 0:
        able = [index for index in kept if widths[index] > least[index]]
        if not able:
            return
        widths[max(able, key=lambda index: widths[index])] -= 1
        over -= 1
