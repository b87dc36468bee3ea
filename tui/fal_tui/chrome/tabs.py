"""A row of names, one of them chosen."""

from __future__ import annotations

from rich.text import Text
from textual import events
from textual.widget import Widget

from fal_tui.messages import TabChosen


class TabBar(Widget):
    """One line; a click chooses, the pane's keys do too."""

    DEFAULT_CSS = """
    TabBar { height: 1; background: $panel; color: $text-muted; }
    """

    def __init__(self, tabs: tuple[str, ...]) -> None:
        super().__init__()
        self.tabs = tabs
        self.chosen = tabs[0]

    def show(self, tabs: tuple[str, ...], chosen: str) -> None:
        if (tabs, chosen) != (self.tabs, self.chosen):
            self.tabs, self.chosen = tabs, chosen
            self.refresh()

    def neighbour(self, step: int) -> str:
        """The tab so many steps on, round the ends."""
        return self.tabs[(self.tabs.index(self.chosen) + step) % len(self.tabs)]

    def render(self) -> Text:
        text = Text(no_wrap=True, overflow="ellipsis")
        for tab in self.tabs:
            text.append(f" {tab} ", "bold reverse" if tab == self.chosen else "")
            text.append(" ")
        return text

    def on_click(self, event: events.Click) -> None:
        left = 0
        for tab in self.tabs:
            if left <= event.x < left + len(tab) + 2:
                self.post_message(TabChosen(tab))
                return
            left += len(tab) + 3
