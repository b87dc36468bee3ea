"""One of a few words, in one line, changed by the arrow keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

T = TypeVar("T")


@dataclass(frozen=True)
class Option(Generic[T]):
    value: T
    word: str
    means: str = ""
    """What choosing it does, said beside it."""


class Choice(Widget, Generic[T], can_focus=True):
    """The first option is chosen at first."""

    DEFAULT_CSS = """
    Choice {
        height: 1;
        color: $foreground;
        text-wrap: nowrap; text-overflow: ellipsis;
        &:focus { background: $primary 45%; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "choose(-1)", "Previous", show=False),
        Binding("right,l,space", "choose(1)", "Next", show=False),
        Binding("enter", "accept", "Accept", show=False),
    ]

    class Changed(Message):
        """Another option is chosen."""

    class Accepted(Message):
        """Enter."""

    def __init__(self, options: Sequence[Option[T]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._options = tuple(options)
        self._chosen = 0

    @property
    def value(self) -> T:
        return self._options[self._chosen].value

    def choose(self, value: T) -> None:
        """Choose it if it is among the options."""
        values = [option.value for option in self._options]
        if value in values:
            self._chosen = values.index(value)
            self.refresh()

    def set_options(self, options: Sequence[Option[T]]) -> None:
        """Other options; the choice stays where its value is still among them."""
        value = self.value
        self._options = tuple(options)
        values = [option.value for option in options]
        self._chosen = values.index(value) if value in values else 0
        self.refresh()

    def action_choose(self, steps: int) -> None:
        self._chosen = (self._chosen + steps) % len(self._options)
        self.refresh()
        self.post_message(self.Changed())

    def action_accept(self) -> None:
        self.post_message(self.Accepted())

    def on_click(self, event: events.Click) -> None:
        self.action_choose(1)

    def render(self) -> Text:
        option = self._options[self._chosen]
        text = Text()
        text.append("‹ ", "dim").append(option.word, "bold").append(" ›", "dim")
        return text.append(f"  {option.means}", "dim") if option.means else text
