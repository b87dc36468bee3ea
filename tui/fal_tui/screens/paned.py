"""The panes of the main screen, list, detail and log: which one has the keys, and how much room.

Wide terminals show all, narrow ones one at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.screen import Screen
from textual.widget import Widget

from fal_serverless.models import LogQuery
from fal_tui.places import Pane

if TYPE_CHECKING:
    from fal_tui.chrome.detail_pane import DetailPane
    from fal_tui.screens.views import Views
    from fal_tui.widgets.log_pane import LogPane

NARROW = 100
"""Columns below which one pane is shown at a time."""
LOG_STEP = 3
"""Rows that a key adds to the log pane, or takes."""
LOG_LEAST = 5
"""Rows that the log pane keeps, and …"""
LIST_LEAST = 8
"""… those that it leaves to the others."""


class PanedScreen(Screen[None]):
    """`views` has the list; detail and log pane come after the first paint."""

    views: Views

    def __init__(self) -> None:
        super().__init__()
        self.pane: Pane = "list"
        self.detail: DetailPane | None = None
        self.log_pane: LogPane | None = None
        self._log_query: LogQuery | None = None

    @property
    def narrow(self) -> bool:
        return self.app.size.width < NARROW

    @property
    def logs_open(self) -> bool:
        return self.has_class("-logs")

    def panes(self) -> list[Pane]:
        """Those that can be seen, or swapped in."""
        if self.has_class("-full"):
            return ["logs"]
        found: list[Pane] = ["list"]
        hidden = self.has_class("-lone") or (self.has_class("-broad") and not self.narrow)
        if self.detail is not None and not hidden:
            found.append("detail")
        if self.logs_open:
            found.append("logs")
        return found

    def swap(self, step: int) -> None:
        panes = self.panes()
        place = panes.index(self.pane) if self.pane in panes else 0
        self.focus_pane(panes[(place + step) % len(panes)])

    def focus_pane(self, pane: Pane) -> None:
        self.pane = pane
        self._class_panes()
        target = self._focusable(pane)
        if target is not None:
            target.focus()
        self._draw_footer()

    def _class_panes(self) -> None:
        self.set_class(self.views.is_lone, "-lone")
        for name in ("detail", "logs"):
            self.set_class(self.pane == name, f"-pane-{name}")

    def _focusable(self, pane: Pane) -> Widget | None:
        if pane == "detail" and self.detail is not None:
            return self.detail.body
        if pane == "logs" and self.log_pane is not None:
            return self.log_pane.view
        return self.views.target

    def on_descendant_focus(self) -> None:
        """The mouse moves the focus too."""
        pane: Pane = "list"
        if self.detail is not None and self.detail.has_focus_within:
            pane = "detail"
        elif self.log_pane is not None and self.log_pane.has_focus_within:
            pane = "logs"
        if pane != self.pane:
            self.pane = pane
            self._class_panes()
        self._draw_footer()

    def broaden(self) -> None:
        """The list on the whole width, its columns as wide as what is in them; and back."""
        self.toggle_class("-broad")
        if self.pane == "detail":
            self.focus_pane("list")
        self._broaden()

    def _broaden(self) -> None:
        if self.views.listing is not None:
            self.views.listing.grid.set_wide(self.has_class("-broad"))

    def show_logs(self, query: LogQuery, title: str) -> None:
        """Open the log pane for something; the same again closes it, where it is seen."""
        if self.log_pane is None:
            return
        if self.logs_open and query == self._log_query:
            if self.narrow and self.pane != "logs":
                self.focus_pane("logs")
            else:
                self.close_logs()
            return
        self._log_query = query
        self.add_class("-logs")
        # laid out first: lines that arrive in a pane without a height would end its following
        self.call_after_refresh(self.log_pane.show, query, title)
        if self.narrow:
            self.focus_pane("logs")
        self._draw_footer()

    def close_logs(self) -> None:
        if self.log_pane is not None:
            self.log_pane.stop()
        self.remove_class("-logs", "-full")
        self.focus_pane("list")

    def resize_logs(self, lines: int) -> None:
        if self.log_pane is None or not self.logs_open or self.narrow:
            return
        height = self.log_pane.outer_size.height + lines
        most = max(self.size.height - LIST_LEAST, LOG_LEAST)
        self.log_pane.styles.height = min(max(height, LOG_LEAST), most)

    def full_logs(self) -> None:
        if not self.logs_open:
            return
        self.toggle_class("-full")
        if self.has_class("-full"):
            self.focus_pane("logs")

    def _draw_footer(self) -> None:
        """The keys of the pane that has them."""
        raise NotImplementedError
