"""One log entry in full: what it says, taken apart, and everything known about it."""

from __future__ import annotations

import json
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from fal_serverless.models import LogEntry, LogQuery, to_json
from fal_tui.logs.clock import in_full
from fal_tui.logs.lines import seen, styled
from fal_tui.logs.parts import Part, parts, request_of
from fal_tui.logs.printable import printable
from fal_tui.widgets.clipboard import copy

NAMES = 12
"""Cells of a field's name."""
INDENT = "  "


class LinePanel(ModalScreen[LogQuery | None]):
    """Dismissed with a query when entries that have something in common with it are wanted.

    `asks` says whether that is possible.
    """

    DEFAULT_CSS = """
    LinePanel {
        align: center middle;
        background: $background 60%;
        & > Vertical {
            width: 90%; max-width: 120; height: auto; max-height: 90%;
            background: $surface; border: round $primary; padding: 0 1;
            border-title-color: $text-primary; border-subtitle-color: $text-muted;
        }
        & OptionList, & OptionList:focus {
            height: auto; max-height: 100%; border: none; padding: 0; background: $surface;
            scrollbar-size-vertical: 1;
        }
        & OptionList > .option-list--option-highlighted { background: $primary 45%; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "Close"),
        Binding("c", "copy_value", "Copy value"),
        Binding("m", "copy_message", "Copy message"),
        Binding("r", "copy_request", "Copy request id"),
        Binding("y", "copy_json", "Copy as JSON"),
        Binding("f", "request", "All of this request"),
        Binding("j", "move('cursor_down')", show=False),
        Binding("k", "move('cursor_up')", show=False),
        Binding("g", "move('first')", show=False),
        Binding("G", "move('last')", show=False),
        Binding("ctrl+d", "move('page_down')", show=False),
        Binding("ctrl+u", "move('page_up')", show=False),
    ]

    def __init__(self, entry: LogEntry, *, asks: bool = True) -> None:
        super().__init__()
        self.entry = entry
        self.asks = asks
        self.parts = parts(entry)

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            # Text: brackets are no markup here
            box.border_title = Text(in_full(self.entry.time))
            yield OptionList(*(Option(prompt) for prompt in self._prompts()), markup=False)

    def on_mount(self) -> None:
        self._list.highlighted = 0
        self._list.focus()
        self._tell()

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def part(self) -> Part:
        """Under the cursor."""
        return self.parts[self._list.highlighted or 0]

    def _prompts(self) -> list[Text | Content]:
        """Rows; a blank one stands before each further kind."""
        prompts: list[Text | Content] = []
        before = self.parts[0].kind
        for part in self.parts:
            row = drawn(part)
            new = part.kind != before and part.kind != "rest"
            prompts.append(_below_blank(row) if new else row)
            before = part.kind if part.kind != "rest" else before
        return prompts

    def on_option_list_option_highlighted(self) -> None:
        self._tell()

    def _tell(self) -> None:
        """The keys, by the row that the cursor is on."""
        keys = []
        if self.asks and self.part.query is not None:
            keys.append("enter its lines")
        keys += ["c copy", "m message", "y JSON"]
        if self.entry.request_id:
            keys += ["r request id", *(["f request"] if self.asks else [])]
        self.query_one(Vertical).border_subtitle = Text(" · ".join([*keys, "esc"]))

    def on_option_list_option_selected(self) -> None:
        """Enter: where there is nothing to ask for, out again."""
        self.dismiss(self.part.query if self.asks else None)

    def action_close(self) -> None:
        self.dismiss(None)

    def action_copy_value(self) -> None:
        part = self.part
        self._copy(seen(part.value) if part.kind in ("message", "rest") else part.value)

    def action_copy_message(self) -> None:
        self._copy(seen(self.entry.message))

    def action_copy_request(self) -> None:
        if self.entry.request_id:
            self._copy(self.entry.request_id)

    def action_copy_json(self) -> None:
        self._copy(json.dumps(to_json(self.entry), ensure_ascii=False))

    def action_request(self) -> None:
        if self.asks and self.entry.request_id:
            self.dismiss(request_of(self.entry))

    async def action_move(self, way: str) -> None:
        """As the arrow keys of the list do."""
        await self._list.run_action(way)

    def _copy(self, text: str) -> None:
        self.app.notify(copy(self.app, text), timeout=3, markup=False)


def drawn(part: Part) -> Text | Content:
    """One row, of any height."""
    if part.kind == "message":
        return styled(part.text)
    if part.kind == "rest":
        return Text(part.text, "dim")
    text = printable(part.text)
    if part.kind == "field":
        return Text.assemble((f"{part.name:<{NAMES}}", "dim"), text)
    name, colon = (printable(part.name), ": ") if part.name else ("", "")
    indent = INDENT * part.indent
    return Content.assemble(indent, (name, "$text-primary"), colon, (text, _colour(text)))


def _colour(text: str) -> str:
    """Of a JSON value, by how it begins."""
    if text.startswith('"'):
        return "$text-success"
    return "" if text[:1] in "{}[]" else "$text-warning"


def _below_blank(row: Text | Content) -> Text | Content:
    return Content("\n") + row if isinstance(row, Content) else Text("\n").append_text(row)
