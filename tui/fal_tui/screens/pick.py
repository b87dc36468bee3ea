"""Choose one of a few: copy menu, auth modes, aliases, themes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Key
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from fal_tui.screens.dialog import Dialog, label


@dataclass(frozen=True)
class Choice:
    id: str
    label: str
    meaning: str = ""
    key: str = ""
    """Chooses it at once; '' for none."""


class PickScreen(Dialog[str]):
    """The id of the choice, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "step(1)", show=False),
        Binding("k", "step(-1)", show=False),
    ]

    DEFAULT_CSS = """
    PickScreen {
        & > #box { width: auto; min-width: 40; }
        #line { margin-bottom: 1; width: auto; }
        OptionList, OptionList:focus {
            width: auto; min-width: 38; max-width: 100%; height: auto; max-height: 60vh;
            border: none; padding: 0;
            background: $surface; scrollbar-size-vertical: 1;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
    }
    """

    hint = "enter choose · esc close"

    def __init__(
        self,
        heading: str,
        choices: Sequence[Choice],
        *,
        chosen: str = "",
        about: str = "",
        looked: Callable[[str], object] | None = None,
    ) -> None:
        """`looked` is told the id of each choice that the cursor comes to."""
        super().__init__()
        self.heading = heading
        self.choices = tuple(choices)
        self._chosen = chosen
        self._about = about
        self._looked = looked

    def inside(self) -> ComposeResult:
        if self._about:
            yield label(self._about, id="line")
        yield OptionList(*(Option(self._line(each), id=each.id) for each in self.choices))

    def _line(self, choice: Choice) -> Text:
        width = max(cell_len(each.label) for each in self.choices)
        text = Text()
        if any(each.key for each in self.choices):
            text.append(f" {choice.key or ' '} ", "bold")
        text.append(f" {set_cell_size(choice.label, width)}  ", "bold")
        return text.append(choice.meaning, "dim")

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        ids = [each.id for each in self.choices]
        options.highlighted = ids.index(self._chosen) if self._chosen in ids else 0
        options.focus()

    def on_key(self, event: Key) -> None:
        for choice in self.choices:
            if choice.key and event.character == choice.key:
                event.stop()  # else what is below would take it too
                self.dismiss(choice.id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option.id is not None and self._looked is not None:
            self._looked(event.option.id)

    def action_step(self, steps: int) -> None:
        options = self.query_one(OptionList)
        if steps > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()
