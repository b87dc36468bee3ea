"""Where one can be: a screen's kind and, where it has one, whose it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "functions",
    "aliases",
    "workers",
    "logs",
    "keys",
    "activity",
    "audit",
    "pulse",
    "revisions",
    "moves",
]

Pane = Literal["list", "detail", "logs"]
"""Parts of the main screen that can have the focus."""

TITLES: dict[Kind, str] = {
    "functions": "functions",
    "aliases": "aliases",
    "workers": "workers",
    "logs": "logs",
    "keys": "keys",
    "activity": "activity",
    "pulse": "pulse",
    "audit": "audit log",
    "revisions": "revisions",
    "moves": "history",
}

PARENT: dict[Kind, Kind] = {"revisions": "functions", "moves": "aliases", "audit": "activity"}


@dataclass(frozen=True)
class Place:
    """One screen; equal places are the same screen, with the same cursor and filter."""

    kind: Kind
    name: str = ""
    """Function of its revisions, alias of its history; '' elsewhere."""

    @property
    def root(self) -> Kind:
        """The numbered screen it belongs to."""
        return PARENT.get(self.kind, self.kind)


HOME = Place("functions")


TABS: tuple[tuple[str, Place], ...] = (
    ("this session", Place("activity")),
    ("backend's audit log", Place("audit")),
)
"""Places that are tabs of one screen."""


def breadcrumbs(place: Place) -> tuple[str, ...]:
    """`("functions", "call", "revisions")`, outermost first."""
    if not place.name:
        return tuple(dict.fromkeys((TITLES[place.root], TITLES[place.kind])))
    return (TITLES[place.root], place.name, TITLES[place.kind])


BEHIND = 50
"""Places that can be come back to."""


class Trail:
    """Where one is, and where one was before."""

    def __init__(self, start: Place = HOME) -> None:
        self.place = start
        self._behind: list[Place] = []
        self._last: dict[Kind, Place] = {}
        """Numbered screen -> where in it one was last."""

    def go(self, place: Place, *, back: bool = False) -> None:
        """The place left can be come back to, unless one leaves it by going back."""
        others = [each for each in self._behind if each not in (self.place, place)]
        self._behind = others if back else [*others[-BEHIND:], self.place]
        self.place = self._last[place.root] = place

    def within(self, root: Kind) -> Place:
        """Where its number leads: to where one was in it; from within it, to its list."""
        if self.place.root == root:
            return Place(root)
        return self._last.get(root, Place(root))

    def up(self) -> Place | None:
        """One step back: from a thing to its list, else to the place before; None at home."""
        if self.place.name or self.place.kind != self.place.root:
            return Place(self.place.root)
        return (self.before or HOME) if self.place != HOME else None

    @property
    def before(self) -> Place | None:
        return self._behind[-1] if self._behind else None
