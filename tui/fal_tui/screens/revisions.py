"""Revisions of one function: every serve of it, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from fal_tui.screens.base import Listing
from fal_tui.store import Item, Store, Topic


class Revisions(Listing):
    kind = "revisions"
    nothing = "This function has no revisions any more.[ Press {back} to go back.]"

    def topics(self) -> frozenset[Topic]:
        return frozenset({Topic("revisions", self.place.name)})

    def select(self, store: Store) -> Sequence[Item]:
        return store.revisions(self.place.name)
