"""Functions: what is served."""

from __future__ import annotations

from collections.abc import Sequence

from fal_serverless.models import Function
from fal_tui.places import Place
from fal_tui.screens.base import Listing
from fal_tui.store import FUNCTIONS, Item, Store, Topic


class Functions(Listing):
    kind = "functions"
    nothing = "No functions yet. Press S to serve a file."

    def topics(self) -> frozenset[Topic]:
        return frozenset({FUNCTIONS})

    def select(self, store: Store) -> Sequence[Item]:
        return store.functions

    def opens(self, item: Item) -> Place | None:
        return Place("revisions", item.name) if isinstance(item, Function) else None
