"""The question before something changes. Cancel is focused; `y` says yes.

In a protected context the name is typed instead. It does not do what it asks about.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, ScrollableContainer
from textual.widgets import Button, Input

from fal_tui.screens.dialog import Dialog, label

BOX = 100
"""Cells of a dialog where there is room."""
FRAME = 7
"""Lines of border, margins and buttons."""
SCROLLS = "pgdn pgup scroll · "
"""Hint where there is more than is seen."""


class ConfirmScreen(Dialog[bool]):
    """True for yes, False or None for no.

    `body` says what will happen. `command` is the same as a command line, `verb` stands on the
    button, `typed` is what must be typed to go on ('' for nothing).
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Yes", show=False),
        Binding("n", "no", "No", show=False),
        Binding("left,h", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        Binding("ctrl+d,pagedown", "scroll(10)", show=False),
        Binding("ctrl+u,pageup", "scroll(-10)", show=False),
    ]

    DEFAULT_CSS = """
    ConfirmScreen {
        #body { height: auto; margin: 1 0; scrollbar-size: 1 1; }
        #body.-long { margin: 0 0 1 0; }
        #body > Static { width: 100%; }
        #command { color: $text-accent; }
        #typed { height: 1; border: none; background: $boost; margin-top: 1; }
        #buttons { height: 1; margin-top: 1; align-horizontal: right; }
        #buttons Button { margin-left: 2; min-width: 10; }
    }
    """

    def __init__(
        self, heading: str, body: Text, *, verb: str, command: str = "", typed: str = ""
    ) -> None:
        super().__init__()
        self.heading = heading
        self.hint = "esc cancel" if typed else f"y {verb.lower()} · esc cancel"
        self._body = body
        self._verb = verb
        self._command = command
        self._typed = typed

    def inside(self) -> ComposeResult:
        with ScrollableContainer(id="body", can_focus=False):
            yield label(self._body)
        if self._command:
            yield label(Text(f"$ {self._command}"), id="command")
        if self._typed:
            yield label(f"The context '{self._typed}' is protected. Type its name to go on:")
            yield Input(id="typed")
        with Horizontal(id="buttons"):
            yield Button("Cancel", id="no", compact=True)
            verb = f"{self._verb} (y)" if not self._typed else self._verb
            yield Button(Text(verb), id="yes", variant="warning", compact=True)

    def on_mount(self) -> None:
        self.query_one("#typed" if self._typed else "#no").focus()
        self._fit()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """The body as high as its lines, or as what the rest leaves of the screen."""
        inside = min(BOX, int(self.size.width * 0.94)) - 4
        wanted = len(self._body.wrap(self.app.console, inside))
        below = 2 * bool(self._command) + 3 * bool(self._typed)
        room = int(self.size.height * 0.9) - FRAME - below
        body, long = self.query_one("#body"), wanted > room
        body.set_class(long, "-long")
        body.styles.height = max(min(wanted, room + long), 3)
        self.query_one("#box").border_subtitle = Text(long * SCROLLS + self.hint)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self._answer(event.button.id == "yes")

    def on_input_submitted(self) -> None:
        self._answer(True)

    def action_yes(self) -> None:
        self._answer(True)

    def action_no(self) -> None:
        self.dismiss(False)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#body").scroll_relative(y=lines, animate=False)

    def _answer(self, yes: bool) -> None:
        if yes and self._typed and self.query_one("#typed", Input).value != self._typed:
            self.notify(f"Type '{self._typed}' to go on.", severity="warning", markup=False)
            return
        self.dismiss(yes)
