"""One line above a log: what is shown, whether it moves, what is left out, how much there is."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.widget import Widget

from fal_tui.logs.printable import printable
from fal_tui.widgets.log_lines import LogLines


class LogTitle(Widget):
    """Of one view."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "logtitle--name",
        "logtitle--live",
        "logtitle--held",
        "logtitle--lost",
        "logtitle--chip",
        "logtitle--counts",
    }

    DEFAULT_CSS = """
    LogTitle {
        height: 1;
        background: $panel;
        & > .logtitle--name { color: $foreground; text-style: bold; }
        & > .logtitle--live { color: $text-success; }
        & > .logtitle--held { color: $text-warning; text-style: bold; }
        & > .logtitle--lost { color: $text-error; text-style: bold; }
        & > .logtitle--chip { color: $text-primary; background: $primary 30%; }
        & > .logtitle--counts { color: $text-muted; }
    }
    """

    def __init__(self, view: LogLines) -> None:
        super().__init__()
        self._view = view
        self._what = "logs"
        self._chips: tuple[str, ...] = ()
        self._connection = ""
        self._lost = False

    def say(self, what: str, *chips: str) -> None:
        """What is shown, and which part of it."""
        self._what, self._chips = what, chips
        self.refresh()

    def connection(self, text: str, *, lost: bool = True) -> None:
        """What is wrong with it, or why nothing more comes; '' when it is live."""
        if (text, lost) != (self._connection, self._lost):
            self._connection, self._lost = text, lost
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        """A click goes back to the end."""
        self._view.follow = True
        self._view.focus()

    def render(self) -> Text:
        """Name and state on the left, counts on the right; chips go first when it is narrow."""
        width = self.size.width
        right = self._styled(self._view.buffer.counts() + " ", "counts")
        left = self._left([*self._chips, *self._view.chips()])
        if left.cell_len + right.cell_len >= width:
            right = self._styled("", "counts")
        if left.cell_len > width:
            left.truncate(width, overflow="ellipsis")
        left.append(" " * max(width - left.cell_len - right.cell_len, 0))
        return left.append_text(right)

    def _left(self, chips: list[str]) -> Text:
        text = self._styled(f" {printable(self._what)} ", "name")
        for state in self._states():
            text.append_text(Text(" ")).append_text(state)
        for chip in chips:
            text.append_text(Text(" ")).append_text(self._styled(f" {printable(chip)} ", "chip"))
        text.no_wrap = True
        return text

    def _states(self) -> list[Text]:
        view, states = self._view, []
        if self._connection:
            states.append(self._styled(self._connection, "lost" if self._lost else "counts"))
        if view.paused:
            on = view.keys.say("[ · {log.pause}]")
            states.append(self._styled(f"❚❚ paused, {view.waiting:,} waiting{on}", "held"))
        elif view.follow:
            states += [] if self._connection else [self._styled("● following", "live")]
        elif view.new:
            down = view.keys.say("[ · {log.last}]")
            states.append(self._styled(f"+{view.new:,} new{down}", "held"))
        elif not self._connection:
            states.append(self._styled(view.keys.say("○ held[ · {log.last} follows]"), "counts"))
        return states

    def _styled(self, text: str, name: str) -> Text:
        return Text(text, self.get_component_rich_style(f"logtitle--{name}"), no_wrap=True)
