"""The pane beside a list: tabs, and one page of text that scrolls both ways."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import ScrollableContainer, Vertical
from textual.content import Content
from textual.widgets import Static

from fal_tui import safe
from fal_tui.chrome.tabs import TabBar
from fal_tui.detail import OVERVIEW, TABS, Code, Page
from fal_tui.widgets import bindings


class Body(ScrollableContainer, can_focus=True):
    """Scrolls by the list's keys too."""

    BINDINGS: ClassVar[list[BindingType]] = bindings.DETAIL


class DetailPane(Vertical):
    """Shows pages; which one is decided outside, by the tab and the item under the cursor."""

    DEFAULT_CSS = """
    DetailPane {
        background: $surface;
        Body {
            background: $surface; padding: 0 1;
            scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1;
            &:focus { background: $surface-lighten-1; }
        }
        Static { width: 100%; height: auto; }
        &.-code Static { width: auto; min-width: 100%; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="detail")
        self.tabs = TabBar(TABS)
        self.text = Static(markup=False)
        self.body = Body(self.text)
        self._shown: tuple[str, str, Page] | None = None

    def compose(self) -> ComposeResult:
        yield self.tabs
        yield self.body

    @property
    def page(self) -> Page | None:
        """What is shown; None before anything is."""
        return self._shown[2] if self._shown else None

    @property
    def room(self) -> int:
        """Cells in a line of a page; 0 before it is laid out."""
        return max(self.body.size.width - 2, 0)

    @property
    def tab(self) -> str:
        return self.tabs.chosen

    def show(self, key: str, tabs: tuple[str, ...], tab: str, page: Page) -> None:
        """Draw a page; the scroll stays as long as `key` and tab are the same."""
        chosen = tab if tab in tabs else OVERVIEW
        self.tabs.show(tabs, chosen)
        if self._shown == (key, chosen, page):
            return
        moved = self._shown is None or self._shown[:2] != (key, chosen)
        self._shown = (key, chosen, page)
        self.set_class(isinstance(page, Code) or chosen == "diff", "-code")
        self.text.update(drawn(page))
        if moved:
            self.body.scroll_home(animate=False)

    def forget(self) -> None:
        """Draw again next time, whatever it is: the theme has changed."""
        self._shown = None


def drawn(page: Page) -> Text | Content:
    return safe.styled(page) if isinstance(page, Text) else numbered(page)


def numbered(code: Code) -> Content:
    """Source with line numbers and syntax colours of the theme."""
    from textual.highlight import highlight

    text = safe.lines(code.text.rstrip("\n").expandtabs(4))
    lines = highlight(text, language=code.language).split("\n")
    width = len(str(len(lines)))
    return Content("\n").join(
        Content.styled(f"{number:>{width}}  ", "dim") + line
        for number, line in enumerate(lines, start=1)
    )
