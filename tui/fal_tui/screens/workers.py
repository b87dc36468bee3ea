"""Workers: the processes that run functions."""

from __future__ import annotations

from collections.abc import Sequence

from fal_tui.screens.base import Listing
from fal_tui.store import WORKERS, Item, Store, Topic


class Workers(Listing):
    kind = "workers"
    nothing = (
        "No workers: nothing was called lately."
        "[ Press {go_functions}, then {invoke} on a function to call it.]"
    )

    def topics(self) -> frozenset[Topic]:
        return frozenset({WORKERS})

    def select(self, store: Store) -> Sequence[Item]:
        return store.workers
