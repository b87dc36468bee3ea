"""Aliases, and the history of one."""

from __future__ import annotations

from collections.abc import Sequence

from fal_serverless.models import Alias
from fal_tui.places import Place
from fal_tui.screens.base import Listing
from fal_tui.store import ALIASES, Item, Store, Topic


class Aliases(Listing):
    kind = "aliases"
    nothing = "No aliases yet.[ Press {serve} to serve a function under one.]"

    def topics(self) -> frozenset[Topic]:
        return frozenset({ALIASES})

    def select(self, store: Store) -> Sequence[Item]:
        return store.aliases

    def opens(self, item: Item) -> Place | None:
        return Place("moves", item.name) if isinstance(item, Alias) else None


class Moves(Listing):
    """Where one alias pointed, when, and why."""

    kind = "moves"
    nothing = "This alias has no history any more.[ Press {back} to go back.]"

    def topics(self) -> frozenset[Topic]:
        return frozenset({Topic("moves", self.place.name)})

    def select(self, store: Store) -> Sequence[Item]:
        return store.moves(self.place.name)
