"""Where one can be: a screen's kind and, where it has one, whose it is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["functions", "aliases", "workers", "logs", "keys", "activity", "revisions", "moves"]

TITLES: dict[Kind, str] = {
    "functions": "functions",
    "aliases": "aliases",
    "workers": "workers",
    "logs": "logs",
    "keys": "keys",
    "activity": "activity",
    "revisions": "revisions",
    "moves": "history",
}

PARENT: dict[Kind, Kind] = {"revisions": "functions", "moves": "aliases"}


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


def breadcrumbs(place: Place) -> tuple[str, ...]:
    """`("functions", "call", "revisions")`, outermost first."""
    if not place.name:
        return (TITLES[place.kind],)
    return (TITLES[place.root], place.name, TITLES[place.kind])
