"""A box in the middle of the screen; what all questions and pages have in common."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from fal_tui import safe

T = TypeVar("T")


class Dialog(ModalScreen[T]):
    """`heading` stands in the border above, `hint` below; esc closes without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", show=False)]

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        background: $background 60%;
        & > #box {
            width: 100; max-width: 94%; height: auto; max-height: 90%;
            background: $surface; border: round $primary; border-title-color: $text-primary;
            border-title-style: bold; border-subtitle-color: $text-muted; padding: 0 1;
        }
        & #line { height: auto; width: 100%; }
    }
    """

    heading = ""
    hint = "esc close"

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            # Text: a name with brackets in it must not be read as markup.
            box.border_title = Text(safe.lines(self.heading))
            box.border_subtitle = Text(self.hint)
            yield from self.inside()

    def inside(self) -> ComposeResult:
        """What stands in the box."""
        raise NotImplementedError

    def action_leave(self) -> None:
        self.dismiss(None)


def label(text: Text | str, *, id: str | None = None, classes: str | None = None) -> Widget:
    """Text that is never read as markup."""
    shown = safe.styled(text) if isinstance(text, Text) else safe.lines(text)
    return Static(shown, markup=False, id=id, classes=classes)
