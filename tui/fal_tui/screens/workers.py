"""Workers: the processes that run functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fal_serverless.models import Worker
from fal_tui import render
from fal_tui.palette import PLAIN
from fal_tui.places import Place
from fal_tui.render import Look
from fal_tui.screens.base import Listing
from fal_tui.store import WORKERS, Item, Store, Topic
from fal_tui.widgets.rows import Row


class Workers(Listing):
    kind = "workers"
    nothing = (
        "No workers: nothing was called lately."
        "[ Press {go_functions}, then {invoke} on a function to call it.]"
    )

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._titles: dict[str, str] = {}
        """Of anonymous functions, whose names say nothing."""

    def topics(self) -> frozenset[Topic]:
        return frozenset({WORKERS})

    def select(self, store: Store) -> Sequence[Item]:
        lone = [each for each in store.functions if each.anonymous]
        self._titles = {each.name: render.title_of(each.name, (each,)) for each in lone}
        return store.workers

    def _basis(self, item: Item) -> str:
        """What its function is called."""
        assert isinstance(item, Worker)
        return self._titles.get(item.function) or render.title_of(item.function)

    def make_row(self, item: Item, basis: Any, look: Look) -> Row:
        assert isinstance(item, Worker)
        return render.worker_row(item, look, basis)

    def sort_of(self, item: Item, basis: Any) -> tuple[Any, ...] | None:
        assert isinstance(item, Worker)
        return render.worker_row(item, Look.at_once(PLAIN), basis).sort
