"""A row of names, one of them chosen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from rich.text import Text
from textual import events
from textual.widget import Widget

from fal_tui.messages import TabChosen


def spread(tabs: Sequence[str], width: int, chosen: str) -> list[tuple[str, int]]:
    """(tab as written, column) of each: with air around it where all fit into `width` cells.

    Where they do not fit even without, they begin so far to the left that the chosen one is seen.
    """
    for text, gap in (([f" {tab} " for tab in tabs], 1), (list(tabs), 1)):
        ends = list(accumulate(len(each) + gap for each in text))
        if ends[-1] - gap <= width:
            break
    end = ends[list(tabs).index(chosen)] - gap
    left = max(end - width, 0) if width else 0
    starts = (end - len(each) - gap - left for each, end in zip(text, ends, strict=True))
    return list(zip(text, starts, strict=True))


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

    @property
    def _spread(self) -> list[tuple[str, int]]:
        return spread(self.tabs, self.size.width, self.chosen)

    def render(self) -> Text:
        text = Text(no_wrap=True, overflow="crop")
        for tab, (written, start) in zip(self.tabs, self._spread, strict=True):
            text.append(" " * (start - text.cell_len))
            seen = written[max(-start, 0) :]
            text.append(seen, "bold reverse" if tab == self.chosen else "")
        return text

    def on_click(self, event: events.Click) -> None:
        for tab, (written, start) in zip(self.tabs, self._spread, strict=True):
            if start <= event.x < start + len(written):
                self.post_message(TabChosen(tab))
                return
