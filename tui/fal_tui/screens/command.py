"""The line after `:`, with what could follow above it, and what was typed before behind `↑`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from fal_tui.commands import Command, Suggestion, Words, parse, suggest
from fal_tui.screens.dialog import label

SEEN = 8
"""Suggestions that are seen at once."""


class CommandScreen(ModalScreen[Command]):
    """The command, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("down", "past(-1)", show=False, priority=True),
        Binding("up", "past(1)", show=False, priority=True),
        Binding("ctrl+n", "step(1)", show=False, priority=True),
        Binding("ctrl+p", "step(-1)", show=False, priority=True),
        Binding("tab", "take", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    CommandScreen {
        background: $background 0%;
        align: left bottom;
        #bar { height: auto; background: $panel; }
        #suggestions {
            height: auto; padding: 0 1;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        #problem { height: auto; padding: 0 1; color: $text-error; }
        #line { height: 1; }
        #colon { width: 2; padding-left: 1; color: $text-accent; text-style: bold; }
        Input, Input:focus { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    }
    """

    def __init__(self, words: Words, text: str = "", past: Sequence[str] = ()) -> None:
        """`past`: lines typed before, the last one first."""
        super().__init__()
        self._words = words
        self._past = tuple(past)
        self._back = 0
        """How many lines into the past."""
        self.line = ""
        """What was obeyed."""
        self._start = text
        self._typed = text
        """What the line was before the first step into the past, …"""
        self._recalled = ""
        """… and what the last step put there."""
        self._found: list[Suggestion] = []
        self._at = -1

    def compose(self) -> ComposeResult:
        with Vertical(id="bar"):
            yield label("", id="suggestions")
            yield label("", id="problem")
            with Horizontal(id="line"):
                yield label(":", id="colon")
                yield Input(
                    self._start,
                    placeholder=" tab takes the first · ↓ picks one · ↑ what was typed before",
                    select_on_focus=False,
                )

    def on_mount(self) -> None:
        self.query_one("#problem").display = False
        self.query_one(Input).focus()
        self._suggest(self._start)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.value != self._recalled:
            self._back = 0  # it goes on from what is typed now
        self._suggest(event.value)

    def _suggest(self, text: str) -> None:
        self._found, self._at = suggest(text, self._words), -1
        self.query_one("#problem").display = False
        self._draw()

    def _draw(self) -> None:
        lines = []
        first = max(self._at - SEEN + 1, 0)
        seen = self._found[first : first + SEEN]
        width = max((cell_len(each.text) for each in seen), default=0)
        for place, each in enumerate(seen, first):
            style = "bold reverse" if place == self._at else ""
            line = Text(f" {set_cell_size(each.text, width)} ", style)
            lines.append(line.append(f"  {each.meaning}", "dim"))
        more = len(self._found) - first - len(seen)
        if more > 0:
            lines.append(Text(f" … {more:,} more", "dim"))
        self.query_one("#suggestions", Static).update(Text("\n").join(lines))

    def action_past(self, steps: int) -> None:
        """Up: the line before, down: the one after, and among suggestions those.

        Of the past only what begins with what was typed, which is there again at the end of it.
        """
        if self._at >= 0 or (steps < 0 and not self._back):
            self.action_step(-steps)
            return
        if not self._back:
            self._typed = self.query_one(Input).value
        past = [each for each in self._past if each.startswith(self._typed)]
        self._back = min(max(self._back + steps, 0), len(past))
        self._recalled = past[self._back - 1] if self._back else self._typed
        self._put(self._recalled)

    def _put(self, text: str) -> None:
        field = self.query_one(Input)
        field.value = text
        field.cursor_position = len(text)

    def action_step(self, steps: int) -> None:
        if self._found:
            start = self._at if self._at >= 0 else (-1 if steps > 0 else 0)
            self._at = (start + steps) % len(self._found)
            self._draw()

    def action_take(self) -> None:
        """The marked suggestion, else the first, becomes the line."""
        if self._found:
            self._put(self._found[max(self._at, 0)].text)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = self._found[self._at].text if self._at >= 0 else event.value
        if self._at >= 0 and text.endswith(" "):
            self._put(text)  # it wants a name, which is suggested next
            return
        command = parse(text, self._words)
        if isinstance(command, Command):
            self.line = text.strip()
            self.dismiss(command)
            return
        if not command:
            self.dismiss(None)
            return
        problem = self.query_one("#problem", Static)
        problem.update(command)
        problem.display = True

    def action_leave(self) -> None:
        self.dismiss(None)
