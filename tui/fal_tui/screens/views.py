"""The lists themselves: one view for each place, one of them seen, each with its own cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget

from fal_tui.bound import Bound
from fal_tui.palette import Palette
from fal_tui.places import HOME, Place, Trail
from fal_tui.screens.base import Listing
from fal_tui.screens.functions import Functions
from fal_tui.store import Item, Store, Topic

if TYPE_CHECKING:
    from fal_tui.widgets.log_pane import LogPane

Make = Callable[[Place], Widget]


class Views(Vertical):
    """`make` gives the view of a place that was not seen yet; `keys` are those in force."""

    def __init__(self, make: Make, keys: Bound) -> None:
        super().__init__(id="lists")
        self.trail = Trail()
        self._make = make
        self.home = Functions(HOME, keys)
        self._known: dict[Place, Widget] = {HOME: self.home}
        self._going = asyncio.Lock()
        self._revealed = ""
        """Item that the cursor goes to as soon as it is there; '' for none."""

    def compose(self) -> ComposeResult:
        yield self.home

    @property
    def place(self) -> Place:
        return self.trail.place

    @property
    def view(self) -> Widget:
        """The one that is seen."""
        return self._known[self.place]

    @property
    def listing(self) -> Listing | None:
        """The one that is seen, if it is a list."""
        return self.view if isinstance(self.view, Listing) else None

    @property
    def pane(self) -> LogPane | None:
        """The log that is seen in place of a list."""
        from fal_tui.screens.logs import Logs

        return self.view.pane if isinstance(self.view, Logs) else None

    @property
    def is_lone(self) -> bool:
        """It needs all of the width."""
        return self.listing is None or self.listing.is_lone

    async def go(self, place: Place, *, back: bool = False) -> bool:
        """Whether one was elsewhere. Of several at once the last one holds."""
        async with self._going:
            if place == self.place:
                return False
            if place not in self._known:
                self._known[place] = self._make(place)
                await self.mount(self._known[place])
            self.view.display = False
            self.trail.go(place, back=back)
            self.view.display = True
            return True

    def show(self, store: Store, palette: Palette, trouble: str) -> None:
        if self.listing is not None:
            self.listing.show(store, palette, trouble)
            self.select(self._revealed)
        elif self.pane is not None:
            self.pane.view.call_by(store.names)

    def select(self, item_id: str) -> None:
        if item_id and self.listing is not None and self.listing.grid.move_to(item_id):
            self._revealed = ""

    def reveal(self, item_id: str) -> None:
        """Put the cursor there, now or when it appears."""
        self._revealed = item_id
        self.select(item_id)

    # What the list says

    @property
    def item(self) -> Item | None:
        return self.listing.item if self.listing is not None else None

    @property
    def cursor_id(self) -> str:
        found = self.listing.grid.cursor_id if self.listing is not None else None
        return found or ""

    @property
    def marked(self) -> list[Item]:
        return self.listing.marked if self.listing is not None else []

    @property
    def marks(self) -> tuple[int, int]:
        """How many are marked, and how many of those the filter hides."""
        if self.listing is None:
            return 0, 0
        return len(self.listing.grid.marked), len(self.listing.grid.hidden)

    @property
    def hidden(self) -> frozenset[str]:
        """Ids of marked items that the filter hides."""
        return self.listing.grid.hidden if self.listing is not None else frozenset()

    @property
    def topics(self) -> frozenset[Topic]:
        return self.listing.topics() if self.listing is not None else frozenset()

    def cells(self) -> list[str]:
        """Text of the row under the cursor."""
        return self.listing.cells() if self.listing is not None else []

    def start_filter(self) -> None:
        if self.listing is not None:
            self.listing.start_filter()

    def clear_filter(self) -> bool:
        """Whether there was one."""
        return self.listing is not None and self.listing.clear_filter()

    @property
    def target(self) -> Widget | None:
        """What takes the keys."""
        if self.listing is not None:
            return self.listing.grid
        return self.pane.view if self.pane is not None else None
