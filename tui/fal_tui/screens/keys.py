"""Keys: who may call."""

from __future__ import annotations

from collections.abc import Sequence

from fal_tui.screens.base import Listing
from fal_tui.store import KEYS, Item, Store, Topic


class Keys(Listing):
    kind = "keys"
    nothing = "No keys.[ Press {new} to make one.]"

    def topics(self) -> frozenset[Topic]:
        return frozenset({KEYS})

    def select(self, store: Store) -> Sequence[Item]:
        return store.keys
