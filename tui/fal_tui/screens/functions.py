"""Functions: what is served."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from fal_serverless.models import Function
from fal_tui.actions import STANDARD
from fal_tui.bound import Bound
from fal_tui.palette import PLAIN, Palette
from fal_tui.places import Place
from fal_tui.screens.base import Listing
from fal_tui.store import FUNCTIONS, Item, Store, Topic


class Functions(Listing):
    kind = "functions"
    nothing = "No functions yet.[ Press {serve} to serve a file.]"

    def __init__(self, place: Place, keys: Bound = STANDARD) -> None:
        super().__init__(place, keys)
        self._began = datetime.now(UTC)

    def show(self, store: Store, palette: Palette = PLAIN, trouble: str = "") -> None:
        super().show(store, palette, trouble)
        is_new = self.nothing is Functions.nothing and store.has(FUNCTIONS) and not store.functions
        if is_new and store.status is not None:
            from fal_tui.screens.welcome import welcome

            self.grid.empty = welcome(self.keys, store.status, self._began, palette)

    def topics(self) -> frozenset[Topic]:
        return frozenset({FUNCTIONS})

    def select(self, store: Store) -> Sequence[Item]:
        return store.functions

    def opens(self, item: Item) -> Place | None:
        return Place("revisions", item.name) if isinstance(item, Function) else None
