"""Functions: what is served."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fal_serverless.models import Function
from fal_tui.palette import PLAIN, Palette
from fal_tui.places import Place
from fal_tui.screens.base import Listing
from fal_tui.store import FUNCTIONS, Item, Store, Topic


class Functions(Listing):
    kind = "functions"
    nothing = "No functions yet. Press S to serve a file."

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._began = datetime.now(UTC)

    def show(self, store: Store, palette: Palette = PLAIN, trouble: str = "") -> None:
        super().show(store, palette, trouble)
        if (
            self.grid.empty == Functions.nothing
            and store.status is not None
            and not store.functions
        ):
            from fal_tui.screens.welcome import welcome

            self.grid.empty = welcome(self.nothing, store.status, self._began, palette)

    def topics(self) -> frozenset[Topic]:
        return frozenset({FUNCTIONS})

    def select(self, store: Store) -> Sequence[Item]:
        return store.functions

    def opens(self, item: Item) -> Place | None:
        return Place("revisions", item.name) if isinstance(item, Function) else None
