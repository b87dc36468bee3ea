"""One line of text is asked for: a label, a name."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.widgets import Input

from fal_tui.screens.dialog import Dialog, label


class AskScreen(Dialog[str]):
    """What was typed, or None. `check` says what is wrong with it ('' for nothing)."""

    DEFAULT_CSS = """
    AskScreen {
        & > #box { width: 70; }
        Input, Input:focus {
            height: 1; border: none; background: $boost; padding: 0 1; margin: 1 0;
        }
        #problem { color: $text-error; height: auto; width: 100%; }
    }
    """

    hint = "enter go on · esc cancel"

    def __init__(
        self, heading: str, question: str, *, check: Callable[[str], str] | None = None
    ) -> None:
        super().__init__()
        self.heading = heading
        self._question = question
        self._check = check

    def inside(self) -> ComposeResult:
        yield label(self._question, id="line")
        yield Input()
        yield label("", id="problem")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._say(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not self._say(event.value):
            self.dismiss(event.value.strip())

    def _say(self, value: str) -> str:
        problem = self._check(value.strip()) if self._check else ""
        from textual.widgets import Static

        self.query_one("#problem", Static).update(problem if value else "")
        return problem
