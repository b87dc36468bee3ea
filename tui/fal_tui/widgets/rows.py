"""What stands in a table, in which order, and where is the cursor after a change? Pure."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Protocol

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

    @property
    def made(self) -> Row:
        return self

    @property
    def text(self) -> str:
        """All of its cells, to be searched."""
        return " ".join(plain(cell) for cell in self.cells)


class Maker(Protocol):
    """Makes the rows of items, and says what they are sorted by before they are made."""

    def row(self, item: Any, basis: Any) -> Row: ...

    def sort(self, item: Any, basis: Any) -> tuple[Any, ...] | None: ...


class LateRow:
    """A row that is made when it is first looked at: of thousands only a few ever are.

    `basis`: what it is made of beside its item.
    """

    __slots__ = ("_made", "_sort", "_text", "basis", "id", "item", "maker")

    def __init__(self, id: str, item: Any, basis: Any, maker: Maker) -> None:
        self.id = id
        self.item = item
        self.basis = basis
        self.maker = maker
        self._made: Row | None = None
        self._sort: tuple[Any, ...] | None = None
        self._text: str | None = None

    @property
    def made(self) -> Row:
        if self._made is None:
            self._made = self.maker.row(self.item, self.basis)
        return self._made

    @property
    def cells(self) -> tuple[Cell, ...]:
        return self.made.cells

    @property
    def dim(self) -> bool:
        return self.made.dim

    @property
    def sort(self) -> tuple[Any, ...] | None:
        if self._sort is None:
            self._sort = self.maker.sort(self.item, self.basis)
        return self._sort

    @property
    def text(self) -> str:
        if self._text is None:
            # what is searched and not seen is not kept
            self._text = (self._made or self.maker.row(self.item, self.basis)).text
        return self._text

    def look_again(self) -> bool:
        """Make it anew, because time has passed; whether it looks different."""
        now = self.maker.row(self.item, self.basis)
        if self._made is not None and alike(now, self._made):
            return False
        self._made, self._text = now, None
        return True


AnyRow = Row | LateRow


@dataclass(frozen=True)
class Order:
    """By which column rows are sorted."""

    column: int
    flipped: bool = False


def alike(one: AnyRow, other: AnyRow) -> bool:
    """Whether nothing differs, their colours included: of a Text `==` leaves its style out."""
    return one == other and all(map(_same_style, one.cells, other.cells))


def _same_style(one: Cell, other: Cell) -> bool:
    return isinstance(one, str) or isinstance(other, str) or one.style == other.style


def merged(old: dict[str, AnyRow], new: Sequence[AnyRow]) -> list[AnyRow]:
    """The new rows, with the old object wherever nothing of it changed."""
    return [
        known if (known := old.get(row.id)) is not None and alike(known, row) else row
        for row in new
    ]


class Sorting:
    """Rows that come one by one. Stable; cells without a value come last either way."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self._filled: list[tuple[Any, AnyRow]] = []
        self._empty: list[AnyRow] = []

    def add(self, row: AnyRow) -> None:
        value = _value(row, self.order.column)
        if value is None:
            self._empty.append(row)
        else:
            self._filled.append((_key(value), row))

    def sorted(self) -> list[AnyRow]:
        self._filled.sort(key=itemgetter(0), reverse=self.order.flipped)
        return [*(row for _, row in self._filled), *self._empty]


def sorted_rows(rows: Sequence[AnyRow], order: Order | None) -> list[AnyRow]:
    if order is None:
        return list(rows)
    sorting = Sorting(order)
    for row in rows:
        sorting.add(row)
    return sorting.sorted()


def _value(row: AnyRow, column: int) -> Any:
    sort = row.sort
    if sort is not None:
        return sort[column] if column < len(sort) else None
    return plain(row.cells[column]) if column < len(row.cells) else None


def _key(value: Any) -> tuple[str, Any]:
    """Numbers among themselves, texts among themselves; nothing is ever compared across."""
    if isinstance(value, bool | int | float):
        return ("", value)
    if isinstance(value, str):
        return ("str", value.casefold())
    return (type(value).__name__, value)


def nearest(old: Sequence[AnyRow], index: int, remaining: Container[str]) -> str | None:
    """The id of the row closest to one that went: the next that stayed, else the one before."""
    for row in (*old[index:], *reversed(old[:index])):
        if row.id in remaining:
            return row.id
    return None
