"""The answer of a call, as far as it has come."""

from __future__ import annotations

from dataclasses import replace

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.widgets import Static

from fal_serverless.models import Answer
from fal_tui.logs.printable import printable
from fal_tui.screens.call import coming, shown


class AnswerView(VerticalScroll):
    """Parts are taken as they come, and drawn when it is told to.

    While more comes the end stays in sight unless the reader went up, also after the terminal has
    another size.
    """

    DEFAULT_CSS = """
    AnswerView {
        height: 1fr; scrollbar-size-vertical: 1; padding: 0;
        scrollbar-color: $foreground 25%; scrollbar-background: $surface;
        &:focus { background: $primary 8%; }
        & > Static { height: auto; }
        & > Static.none { color: $text-disabled; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.last: Answer | None = None
        """The last part that came; None before any has."""
        self._received = bytearray()
        self._drawn = 0
        """Bytes that are on the screen while more come."""
        self._at_end = True
        self._text = Static("The answer appears here", markup=False, id="body", classes="none")

    def compose(self) -> ComposeResult:
        yield self._text

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._at_end = round(new_value) >= self.max_scroll_y

    @property
    def count(self) -> int:
        """Bytes that have come."""
        return len(self._received)

    @property
    def answer(self) -> Answer | None:
        """All that has come."""
        return self.last and replace(self.last, body=bytes(self._received))

    def begin(self) -> None:
        """Another one is waited for; what is to be seen until then is of the call before."""
        self.last = None
        self._received, self._drawn = bytearray(), 0
        self._text.add_class("none")

    def take(self, part: Answer) -> None:
        self._received += part.body
        self.last = part

    def draw_none(self) -> None:
        self._text.update("No answer came")

    def draw_live(self) -> None:
        """What has come, in the middle of it."""
        if self.last is None or self._drawn == self.count:
            return
        at_end = not self._drawn or self._at_end
        self._drawn = self.count
        self._text.remove_class("none")
        self._text.update(_coloured(coming(bytes(self._received)), None))
        if at_end:
            self.scroll_end(animate=False)

    def draw(self, answer: Answer) -> None:
        """All of it, as its kind is read best."""
        body = shown(answer)
        self._text.remove_class("none")
        self._text.update(_coloured(body.text, body.language, self.count if body.cut else 0))
        if body.laid_out or not self._drawn:
            self.scroll_home(animate=False)
        elif self._at_end:
            self.scroll_end(animate=False)

    def scroll_half(self, steps: int) -> None:
        """Half of what is in sight."""
        self.scroll_relative(y=steps * max(self.size.height // 2, 1), animate=False)


def _coloured(text: str, language: str | None, cut: int = 0) -> Text | Content:
    """`cut`: bytes of the answer of which this is the beginning; 0: it is all."""
    kept = "\n".join(printable(line.expandtabs()) for line in text.splitlines())
    if cut:
        kept += f"\n… and so on, {cut:,} bytes in all: ctrl+s saves them"
    return Text(kept) if language is None else highlight(kept, language=language)
