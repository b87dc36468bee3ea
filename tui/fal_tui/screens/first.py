"""The first paint: header, the last list, footer, before anything else is even imported.

It is seen for the fraction of a second until the main screen stands above it, which looks the
same. It takes no keys and knows nothing but what was kept of the last time.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Static

from fal_tui.headings import COLUMNS
from fal_tui.widgets.grid import Grid
from fal_tui.widgets.rows import Row


class FirstScreen(Screen[None]):
    """`context` is named in the header, `rows` are those of the last time.

    `help` is the key that leads to the help; '' for none.
    """

    DEFAULT_CSS = """
    FirstScreen {
        background: $surface;
        #head { dock: top; height: 1; background: $panel; }
        #foot { dock: bottom; height: 1; background: $panel; }
        Grid { height: 1fr; padding-right: 1; }
    }
    """

    def __init__(self, context: str, rows: Sequence[Row], help: str = "?") -> None:
        super().__init__()
        self._named = context
        self._rows = rows
        self._help = help

    def compose(self) -> ComposeResult:
        yield Static(f" {self._named}  functions", id="head", markup=False)
        grid = Grid(COLUMNS["functions"], "Loading…")
        grid.can_focus = False
        grid.set_rows(self._rows)
        yield grid
        yield Static(f" {self._help} Help" if self._help else "", id="foot", markup=False)
