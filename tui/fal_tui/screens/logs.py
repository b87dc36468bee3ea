"""Logs of all endpoints, as a screen of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical

from fal_serverless.models import LogQuery
from fal_tui.bound import Bound
from fal_tui.places import Place
from fal_tui.widgets.log_pane import LogPane

if TYPE_CHECKING:
    from fal_serverless.client import Client


class Logs(Vertical):
    """Goes on while one is elsewhere, so that coming back shows what happened meanwhile."""

    DEFAULT_CSS = """
    Logs { width: 1fr; height: 1fr; }
    Logs > LogPane { height: 1fr; }
    """

    def __init__(
        self,
        place: Place,
        get_client: Callable[[], Client | None],
        limit: int,
        keys: Bound,
    ) -> None:
        super().__init__(classes="listing")
        self.place = place
        self.pane = LogPane(get_client, limit=limit, keys=keys)

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_mount(self) -> None:
        self.pane.show(LogQuery(lines=1000), "all endpoints")
