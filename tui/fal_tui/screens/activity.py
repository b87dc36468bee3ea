"""Activity: what this session did, with the command line that does the same."""

from __future__ import annotations

from collections.abc import Sequence

from fal_tui.screens.base import Listing
from fal_tui.store import Item, Store, Topic


class Activity(Listing):
    kind = "activity"
    nothing = "Nothing was changed in this session. What you do will stand here, as command lines."

    def topics(self) -> frozenset[Topic]:
        return frozenset()

    def select(self, store: Store) -> Sequence[Item]:
        return store.deeds
