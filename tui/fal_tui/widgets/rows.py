"""What stands in a table, in which order, and where is the cursor after a change? Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from fal_tui.widgets.cells import Cell, plain


@dataclass(frozen=True)
class Row:
    """One item. Its id is what cursor and marks hold on to."""

    id: str
    cells: tuple[Cell, ...]
    """One for each column; strings are taken literally, never as markup."""
    sort: tuple[Any, ...] | None = None
    """What each column is sorted by; None: by the text of its cells."""
    dim: bool = False
    """Drawn faintly: it is there, but out of use."""


@dataclass(frozen=True)
class Order:
    """By which column rows are sorted."""

    column: int
    flipped: bool = False


def merged(old: dict[str, Row], new: Sequence[Row]) -> list[Row]:
    """The new rows, with the old object wherever nothing of it changed."""
    return [known if (known := old.get(row.id)) == row and known else row for row in new]


def sorted_rows(rows: Sequence[Row], order: Order | None) -> list[Row]:
    """Stable; cells without a value come last either way."""
    if order is None:
        return list(rows)
    column = order.column
    filled = [row for row in rows if _value(row, column) is not None]
    empty = [row for row in rows if _value(row, column) is None]
    filled.sort(key=lambda row: _key(_value(row, column)), reverse=order.flipped)
    return filled + empty


def _value(row: Row, column: int) -> Any:
    if row.sort is not None:
        return row.sort[column] if column < len(row.sort) else None
    return plain(row.cells[column]) if column < len(row.cells) else None


def _key(value: Any) -> tuple[str, Any]:
    """Numbers among themselves, texts among themselves; nothing is ever compared across."""
    if isinstance(value, bool | int | float):
        return ("", value)
    if isinstance(value, str):
        return ("str", value.casefold())
    return (type(value).__name__, value)


def nearest(old: Sequence[Row], index: int, remaining: Container[str]) -> str | None:
    """The id of the row closest to one that went: the next that stayed, else the one before."""
    for row in (*old[index:], *reversed(old[:index])):
        if row.id in remaining:
            return row.id
    return None
