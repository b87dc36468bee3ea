"""What every list has in common: a grid, a filter, its own cursor, and words for when it is empty.

A list turns models of the store into rows and says which item is under the cursor. What is done
with an item is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from fal_serverless.timelimit import TimeLimit, TooSlow
from fal_tui import render
from fal_tui.actions import STANDARD
from fal_tui.bound import Bound
from fal_tui.headings import COLUMNS
from fal_tui.messages import FilterChanged
from fal_tui.naming import Names
from fal_tui.palette import PLAIN, Palette
from fal_tui.places import Kind, Place
from fal_tui.render import Look
from fal_tui.slow import LONGEST, matching, taken_away
from fal_tui.store import Item, Store, Topic, item_id
from fal_tui.widgets.cells import plain
from fal_tui.widgets.filtering import matcher
from fal_tui.widgets.grid import Grid
from fal_tui.widgets.rows import AnyRow, LateRow, Order, Row, Sorting

MANY = 1000
"""Rows above which a list is made bit by bit, and its rows when they are looked at."""
SLICE = 1000
"""Rows that are looked through in one go: a few milliseconds."""


@dataclass(frozen=True)
class Ready:
    """A long list, ready to be shown, and what it was made of."""

    of: Sequence[Item]
    palette: Palette
    filter: str
    mood: object
    rows: list[LateRow]
    in_order: tuple[Order, list[AnyRow]] | None
    """The rows sorted, as the list was ordered then."""
    items: dict[str, Item]

    def is_of(self, items: Sequence[Item], palette: Palette, filter: str, mood: object) -> bool:
        same = self.of is items and self.palette == palette
        return same and self.filter == filter and self.mood == mood


class RowMaker:
    """Rows of one list in one palette."""

    def __init__(self, listing: Listing, palette: Palette) -> None:
        self.palette = palette
        self._listing = listing

    def row(self, item: Item, basis: Any) -> Row:
        return self._listing.make_row(item, basis, Look.at_once(self.palette, self._listing.names))

    def sort(self, item: Item, basis: Any) -> tuple[Any, ...] | None:
        return self._listing.sort_of(item, basis)


class FilterInput(Input):
    """What is typed after `/`; enter goes back to the list and keeps it, esc clears it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", show=False),
        Binding("enter,down,tab", "leave(False)", show=False),
    ]

    DEFAULT_CSS = """
    FilterInput, FilterInput:focus {
        height: 1; border: none; padding: 0 1; background: $boost; color: $text-accent;
    }
    """

    def __init__(self) -> None:
        super().__init__(placeholder="filter: regex, !inverse, -f fuzzy", select_on_focus=False)
        self._refused = ""
        """What takes too long: while it is typed it stays, to be mended, and filters nothing."""

    @property
    def wanted(self) -> str:
        """What the list is filtered by; '' for nothing."""
        return "" if self.value == self._refused else self.value

    def refuse(self) -> None:
        """Filter by this no more."""
        if self.has_focus:
            self._refused = self.value
        else:
            self.value = ""
            self.reveal(False)

    def forget_refused(self) -> None:
        """It was changed, if it was: what is typed again is tried again."""
        if self.value != self._refused:
            self._refused = ""

    def reveal(self, shown: bool) -> None:
        """Hidden it is disabled, too: else it may be given the focus when the list has no room."""
        self.display, self.disabled = shown, not shown

    def action_leave(self, clear: bool) -> None:
        if clear or not self.wanted:
            self.value = ""
        self.query_ancestor(Listing).grid.focus()
        self.reveal(bool(self.value))


class Listing(Vertical):
    """One list; subclasses say what it lists."""

    DEFAULT_CSS = """
    Listing { width: 1fr; height: 1fr; }
    Listing > Grid { height: 1fr; padding-right: 1; }
    """

    kind: ClassVar[Kind]
    nothing: str = "Nothing here."
    """Said when the backend has none; names the next key, as `Bound.say` reads it."""
    is_lone: ClassVar[bool] = False
    """Needs all of the width: no detail pane beside it."""

    def __init__(self, place: Place, keys: Bound = STANDARD) -> None:
        super().__init__(classes="listing")
        self.place = place
        self.keys = keys
        self.items: dict[str, Item] = {}
        self.grid = Grid(COLUMNS[self.kind], "Loading…")
        self.input = FilterInput()
        self.input.reveal(False)
        self.names: Names = {}
        """Of anonymous functions, as the store had them last."""
        self._drawn: dict[str, tuple[Item, tuple[str, Palette, Any], Row]] = {}
        self._ready: Ready | None = None
        self._late: dict[str, LateRow] = {}
        self._maker: RowMaker | None = None

    def compose(self) -> ComposeResult:
        yield self.input
        yield self.grid

    # What subclasses say

    def topics(self) -> frozenset[Topic]:
        """What must be fetched for it."""
        raise NotImplementedError

    def select(self, store: Store) -> Sequence[Item]:
        """What it lists, in the order it starts with."""
        raise NotImplementedError

    def opens(self, item: Item) -> Place | None:
        """Where enter leads; None: to the detail pane."""
        return None

    def turn(self, step: int) -> bool:
        """Look at the same another way; False when there is only one."""
        return False

    # What all do

    @property
    def item(self) -> Item | None:
        """Under the cursor."""
        found = self.grid.cursor_id
        return self.items.get(found) if found is not None else None

    @property
    def marked(self) -> list[Item]:
        """Marked items, those too that the filter hides; else the one under the cursor."""
        ids = [each for each in self.items if each in self.grid.marked]
        chosen = [self.items[each] for each in ids]
        return chosen or ([self.item] if self.item is not None else [])

    def cells(self) -> list[str]:
        """Text of the row under the cursor."""
        found = self.grid.cursor_id
        return next(([plain(c) for c in r.cells] for r in self.grid.rows if r.id == found), [])

    def is_long(self, store: Store) -> bool:
        """Whether it is made bit by bit."""
        return len(self.select(store)) >= MANY

    def is_ready(self, store: Store, palette: Palette) -> bool:
        """Whether `show` has nothing to make."""
        if not self.is_long(store):
            return True
        ready, items = self._ready, self.select(store)
        return ready is not None and ready.is_of(
            items, palette, self.input.wanted, self._basis_of_all(store)
        )

    async def prepare(
        self, store: Store, palette: Palette, breathe: Callable[[], Awaitable[object]]
    ) -> None:
        """Make what `show` needs beforehand, bit by bit: others get their turn in `breathe`."""
        for _ in self._making(store, palette):
            await breathe()

    def _making(self, store: Store, palette: Palette) -> Iterator[None]:
        """Sets what is ready; pauses every few milliseconds."""
        if self.is_ready(store, palette):
            return
        self.names, mood = store.names, self._basis_of_all(store)
        items, wanted, order = self.select(store), self.input.wanted, self.grid.order
        sorting = None if order is None else Sorting(order)
        maker = self._maker
        if maker is None or maker.palette != palette:
            maker, self._late = RowMaker(self, palette), {}
        known, late, rows = self._late, dict[str, LateRow](), list[LateRow]()
        shown = dict[str, Item]()
        matches, limit = matcher(wanted) if wanted.strip() else None, TimeLimit(LONGEST)
        size = SLICE if matches is None else SLICE // 4
        for at in range(0, len(items), size):
            some = [self._late_row(item, known, maker) for item in items[at : at + size]]
            late.update((row.id, row) for row in some)
            shown.update((row.id, row.item) for row in some)
            if matches is not None:
                try:
                    some = matching(some, _text, matches, limit)
                except TooSlow:
                    self._give_up_filter(wanted)
                    yield from self._making(store, palette)
                    return
            rows += some
            if sorting is not None:
                for row in some:
                    sorting.add(row)
            yield
        in_order = None if sorting is None else (sorting.order, sorting.sorted())
        self._maker, self._late = maker, late
        self._ready = Ready(items, palette, wanted, mood, rows, in_order, shown)

    def _basis_of_all(self, store: Store) -> object:
        return self._mood(), store.names

    def _late_row(self, item: Item, known: Mapping[str, LateRow], maker: RowMaker) -> LateRow:
        """The one that is known, if nothing of it has changed."""
        name, basis = item_id(item), self._basis(item)
        row = known.get(name)
        if row is None or row.item is not item or row.basis != basis:
            row = LateRow(name, item, basis, maker)
        return row

    def _mood(self) -> object:
        """What all rows depend on besides their items and names."""
        return None

    def _basis(self, item: Item) -> Any:
        """What the row of an item depends on beside it."""
        return render.entry_point(item, self.names)

    def make_row(self, item: Item, basis: Any, look: Look) -> Row:
        """The row of an item, with what it depends on beside it."""
        return render.row(item, look)

    def sort_of(self, item: Item, basis: Any) -> tuple[Any, ...] | None:
        """What the row of an item is sorted by, column by column."""
        return render.sort_of(item, self.names)

    def show(self, store: Store, palette: Palette = PLAIN, trouble: str = "") -> None:
        """Draw what the store has now; rows of items that did not change are kept.

        `trouble` is why nothing could be fetched; '' for no trouble.
        """
        items, self.names = self.select(store), store.names
        if self.is_long(store):
            for _ in self._making(store, palette):
                pass
            assert self._ready is not None
            self.items, self._drawn = self._ready.items, {}
            self.grid.set_rows(self._ready.rows, self._ready.in_order, known=self.items)
        else:
            self._ready, self._late, self._maker = None, {}, None
            self._show_few(items, palette)
        self.grid.empty = self._empty(store, bool(items), trouble)

    def _show_few(self, items: Sequence[Item], palette: Palette) -> None:
        look = Look.at_once(palette, self.names)
        rows = [self._row(item, look) for item in items]
        wanted = self.input.wanted
        if wanted.strip():
            try:
                rows = matching(rows, _text, matcher(wanted), TimeLimit(LONGEST))
            except TooSlow:
                self._give_up_filter(wanted)
        self.items = {item_id(item): item for item in items}
        self._drawn = {row: self._drawn[row] for row in self.items if row in self._drawn}
        self.grid.set_rows(rows, known=self.items)

    def grow_older(self) -> None:
        """Ages of a long list that are seen go on without news."""
        self.grid.grow_older()

    def _row(self, item: Item, look: Look) -> Row:
        name, basis = item_id(item), self._basis(item)
        beside = (render.ago(render.moment(item), look.now), look.palette, basis)
        known = self._drawn.get(name)
        same = known is not None and (known[0] is item or known[0] == item)
        if known is not None and same and known[1] == beside:
            return known[2]
        row = self.make_row(item, basis, look)
        self._drawn[name] = (item, beside, row)
        return row

    def _empty(self, store: Store, some: bool, trouble: str) -> str:
        if some:
            hint = self.keys.say("[ Press {back} to clear the filter.]")
            return f"Nothing matches '{self.input.wanted}'.{hint}"
        if all(store.has(topic) for topic in self.topics()):
            return self.keys.say(self.nothing)
        return f"{trouble}. Trying again…" if trouble else "Loading…"

    def start_filter(self) -> None:
        self.input.reveal(True)
        self.input.focus()

    def clear_filter(self) -> bool:
        """Whether there was one."""
        had = bool(self.input.value)
        self.input.value = ""
        self.input.reveal(False)
        return had

    def _give_up_filter(self, wanted: str) -> None:
        """It takes too long: do without it, unless something else is typed by now, and say so."""
        if self.input.value != wanted:
            return
        self.input.refuse()
        said = taken_away(f"Filter {wanted.strip()}")
        self.app.notify(said, severity="warning", timeout=10, markup=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.input.forget_refused()
        self.post_message(FilterChanged(event.value))


def _text(row: AnyRow) -> str:
    return row.text
