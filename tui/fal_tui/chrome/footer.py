"""The one line at the bottom: the keys that mean something in the focused pane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.widget import Widget

from fal_tui.messages import ActionChosen
from fal_tui.palette import PLAIN, Palette


@dataclass(frozen=True)
class Hint:
    """One key and what it does."""

    id: str
    """Action to run on a click; '' for none."""
    key: str
    label: str
    enabled: bool = True

    @property
    def width(self) -> int:
        return len(self.key) + len(self.label) + 3


def line(hints: Sequence[Hint], palette: Palette) -> Text:
    text = Text(" ", no_wrap=True)
    for hint in hints:
        key, label = (palette.accent, "") if hint.enabled else (palette.muted, palette.muted)
        text.append(hint.key, f"bold {key}").append(" ").append(hint.label, label).append("  ")
    return text


def at(hints: Sequence[Hint], x: int) -> Hint | None:
    """The hint under a column."""
    left = 1
    for hint in hints:
        if left <= x < left + hint.width - 1:
            return hint
        left += hint.width
    return None


class Footer(Widget):
    """Draws hints; a click runs one."""

    DEFAULT_CSS = """
    Footer { dock: bottom; height: 1; background: $panel; color: $foreground; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.hints: tuple[Hint, ...] = ()
        self.palette = PLAIN

    def show(self, hints: Sequence[Hint], palette: Palette) -> None:
        if (tuple(hints), palette) != (self.hints, self.palette):
            self.hints, self.palette = tuple(hints), palette
            self.refresh()

    def render(self) -> Text:
        return line(self.hints, self.palette)

    def on_click(self, event: events.Click) -> None:
        hint = at(self.hints, event.x)
        if hint is not None and hint.id:
            self.post_message(ActionChosen(hint.id))
