"""Pulse: how the backend fares, over the last minutes and hours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from fal_serverless.models import Function, FunctionPulse, Pulse
from fal_tui import naming, trends
from fal_tui.actions import STANDARD
from fal_tui.bound import Bound
from fal_tui.messages import LookChanged
from fal_tui.palette import PLAIN, Palette
from fal_tui.places import Place
from fal_tui.render import Look
from fal_tui.screens.base import Listing
from fal_tui.store import FUNCTIONS, Item, Store, Topic, item_id
from fal_tui.widgets import bindings
from fal_tui.widgets.plot import LEAST_HEIGHT, Plot, Plots
from fal_tui.widgets.rows import Order, Row

LEAST_ROWS = 5
"""Lines that the list keeps, its heading included."""
SHARE = 0.27
"""Part of the height that a plot takes."""

Drawn = tuple[Item, FunctionPulse, int, Palette]


class PulseList(Listing):
    """Plots of all functions, or of the one under the cursor, over a list of all."""

    kind = "pulse"
    nothing = "No functions yet.[ Press {serve} to serve a file.]"
    is_lone = True

    BINDINGS: ClassVar[list[BindingType]] = bindings.PULSE

    DEFAULT_CSS = """
    PulseList > #range {
        height: 1; padding: 0 1; background: $boost;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    def __init__(self, place: Place, keys: Bound = STANDARD) -> None:
        super().__init__(place, keys)
        self._ranges = list(trends.RANGES)
        self._range = self._ranges[0]
        self._narrow = False
        """The plots are of the function under the cursor."""
        self._plots = Plots()
        self._head = Static("", id="range", markup=False)
        self._figures: dict[str, FunctionPulse] = {}
        self._turn = 0
        """How often they were others."""
        self._known: Pulse | None = None
        """The last that the store had, of whatever range: better than nothing."""
        self._seen_first = False
        """Whether there was an order already."""
        self._shown: tuple[Pulse | None, Palette] | None = None
        self._made: dict[str, tuple[Drawn, Row]] = {}
        """What rows were made of; those of thousands of idle functions are kept."""
        self._trend = 0
        """Cells of a trend; 0 before anything is laid out."""
        self._last: tuple[Store, Palette, str] | None = None
        self.grid.sort_by(Order(1, True))

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._plots
        yield from super().compose()

    # What it lists

    @property
    def topic(self) -> Topic:
        function = self.grid.cursor_id if self._narrow else None
        return Topic("pulse", f"{trends.RANGES[self._range]} {function or ''}".strip())

    def topics(self) -> frozenset[Topic]:
        return frozenset({FUNCTIONS, self.topic})

    def select(self, store: Store) -> Sequence[Item]:
        return store.functions

    def opens(self, item: Item) -> Place | None:
        return Place("revisions", item.name) if isinstance(item, Function) else None

    # What it shows

    async def prepare(
        self, store: Store, palette: Palette, breathe: Callable[[], Awaitable[object]]
    ) -> None:
        self._take_figures(store)
        await super().prepare(store, palette, breathe)

    def _take_figures(self, store: Store) -> None:
        pulse = store.pulse(self.topic)
        if pulse is not None and pulse is not self._known:
            self._known = pulse
            figures = {each.name: each for each in pulse.functions}
            if figures != self._figures:
                self._figures = figures
                self._turn += 1

    def show(self, store: Store, palette: Palette = PLAIN, trouble: str = "") -> None:
        self._last = (store, palette, trouble)
        store.keep_only(self.topic)
        pulse = store.pulse(self.topic)
        self._take_figures(store)
        is_first = self._known is not None and not self._seen_first
        super().show(store, palette, trouble)
        if is_first:
            # Nobody has chosen a function before there was an order.
            self._seen_first = True
            self.grid.action_first()
        if self._made:
            self._made = {name: self._made[name] for name in self.items if name in self._made}
        if self._shown != (pulse, palette):
            self._shown = (pulse, palette)
            self._plots.show(self._drawable(pulse, palette), palette)
        heading = self._heading(store, pulse, palette, trouble)
        if heading != self._head.content:
            self._head.update(heading, layout=False)

    def _drawable(self, pulse: Pulse | None, palette: Palette) -> tuple[Plot, ...]:
        return () if pulse is None else trends.plots(pulse, self._range, palette, self.keys)

    def _heading(self, store: Store, pulse: Pulse | None, palette: Palette, trouble: str) -> Text:
        text = Text()
        for each in self._ranges:
            text.append(
                f" {each} ", f"bold reverse {palette.accent}" if each == self._range else ""
            )
        of = pulse.function if pulse is not None else ""
        text.append("  ").append(naming.title(of, store.names) if of else "all functions", "bold")
        text.append(self._words(store, pulse, trouble), palette.muted)
        return text

    def _words(self, store: Store, pulse: Pulse | None, trouble: str) -> str:
        if pulse is not None:
            return self._hints()
        if store.has(self.topic):
            return "   this backend keeps no figures of the past"
        return f"   {trouble}; trying again…" if trouble else "   loading its figures…"

    def _hints(self) -> str:
        ranges = " ".join(filter(None, map(self.keys.key, ("previous_tab", "next_tab"))))
        other = "all functions" if self._narrow else "only this function"
        plots = self.keys.key("pulse.narrow")
        found = (ranges and f"{ranges} range", plots and f"{plots} {other}")
        return " · ".join(filter(None, found)).join(("   ", ""))

    def _row(self, item: Item, look: Look) -> Row:
        basis = self._basis(item)
        made_of = (item, *basis, look.palette)
        known = self._made.get(item_id(item))
        if known is not None and known[0] == made_of:
            return known[1]
        row = self.make_row(item, basis, look)
        self._made[item_id(item)] = (made_of, row)
        return row

    def _mood(self) -> object:
        return self._turn, self._trend

    def _basis(self, item: Item) -> tuple[FunctionPulse, int]:
        assert isinstance(item, Function)
        return self._figures.get(item.name, trends.NONE), self._trend

    def make_row(self, item: Item, basis: Any, look: Look) -> Row:
        assert isinstance(item, Function)
        figures, trend = basis
        return trends.row(item, figures, trend, look.palette)

    def sort_of(self, item: Item, basis: Any) -> tuple[Any, ...] | None:
        assert isinstance(item, Function)
        return trends.sort_of(item, basis[0])

    # What it is told

    def turn(self, step: int) -> bool:
        place = self._ranges.index(self._range) + step
        self._range = self._ranges[place % len(self._ranges)]
        return True

    def action_narrow(self) -> None:
        self._narrow = not self._narrow
        self.post_message(LookChanged())

    def on_resize(self, event: events.Resize) -> None:
        height = event.size.height
        high = max(round(height * SHARE), LEAST_HEIGHT + 1)
        room = height - 1 - LEAST_ROWS
        self._plots.styles.height = 2 * high if 2 * high <= room else 2 * max(room // 2, 0)
        self._plots.display = room >= 2 * LEAST_HEIGHT
        trend = trends.trend_width(event.size.width)
        if trend != self._trend:
            self._trend = trend
            self.grid.set_columns(trends.columns(trend), self.grid.rows)
            if self._last is not None:
                self.show(*self._last)
