"""Activity: what this session did, with the command line that does the same; and the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult

from fal_tui.chrome.tabs import TabBar
from fal_tui.places import TABS, Place
from fal_tui.screens.base import Listing
from fal_tui.store import AUDIT, Item, Store, Topic


class Tabbed(Listing):
    """One tab of several, with their names above it."""

    def compose(self) -> ComposeResult:
        names = tuple(name for name, _ in TABS)
        bar = TabBar(names)
        bar.show(names, next(name for name, place in TABS if place == self.place))
        yield bar
        yield from super().compose()


class Activity(Tabbed):
    kind = "activity"
    nothing = (
        "Nothing was changed in this session. What you do will stand here, as command lines."
        "[ Press {next_tab} for the audit log, {go_functions} for functions.]"
    )

    def topics(self) -> frozenset[Topic]:
        return frozenset()

    def select(self, store: Store) -> Sequence[Item]:
        return store.deeds


class Audit(Tabbed):
    """What was changed in the backend, by whomever."""

    kind = "audit"
    nothing = "Nothing was ever changed here.[ Press {go_functions}, then {serve} to serve a file.]"

    def topics(self) -> frozenset[Topic]:
        return frozenset({AUDIT})

    def select(self, store: Store) -> Sequence[Item]:
        return store.audit


def neighbour(place: Place, step: int) -> Place | None:
    """The tab beside a place; None where there are no tabs."""
    places = [each for _, each in TABS]
    return places[(places.index(place) + step) % len(places)] if place in places else None


def named(name: str) -> Place | None:
    """The place of a tab."""
    return dict(TABS).get(name)
