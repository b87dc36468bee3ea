"""One page of text: describe, JSON, a secret that is seen once."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from fal_tui.chrome.detail_pane import Body, drawn
from fal_tui.detail import Code, Page
from fal_tui.screens.dialog import Dialog
from fal_tui.widgets.clipboard import copy


class PageScreen(Dialog[None]):
    """Scrolls both ways; `c` copies all of it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy", show=False),
        Binding("q,enter", "leave", "Close", show=False),
    ]

    DEFAULT_CSS = """
    PageScreen {
        & > #box { width: 140; height: 90%; }
        Body { height: 1fr; scrollbar-size: 1 1; }
        Body > Static { width: auto; min-width: 100%; }
        &.-wraps Body > Static { width: 100%; }
        &.-short > #box { width: 80; height: auto; }
        &.-short Body { height: auto; max-height: 70vh; margin: 1 0; }
    }
    """

    hint = "c copy · esc close"

    def __init__(self, heading: str, page: Page, copied: str = "", *, short: bool = False) -> None:
        super().__init__(classes="-wraps" if isinstance(page, Text) else None)
        self.set_class(short, "-short")
        self.heading = heading
        self._page = page
        self._copied = copied or (page.text if isinstance(page, Code) else page.plain)

    def inside(self) -> ComposeResult:
        with Body() as body:
            body.can_focus = True
            yield Static(drawn(self._page), markup=False)

    def on_mount(self) -> None:
        self.query_one(Body).focus()

    def action_copy(self) -> None:
        self.notify(copy(self.app, self._copied), markup=False)
