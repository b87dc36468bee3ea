"""One log line in full: what it says, taken apart, and everything known about it."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.highlight import highlight
from textual.screen import ModalScreen
from textual.widgets import Static

from fal_serverless.models import LogEntry, to_json
from fal_tui.logs.clock import in_full
from fal_tui.logs.lines import split, styled
from fal_tui.logs.printable import printable
from fal_tui.widgets.clipboard import copy

FIELDS = ("level", "source", "alias", "function", "revision", "worker", "request_id", "user", "id")
"""In the order shown; what is empty is left out."""


class LinePanel(ModalScreen[str | None]):
    """Dismissed with a request id when only the lines of that request are wanted."""

    DEFAULT_CSS = """
    LinePanel {
        align: center middle;
        & > Vertical {
            width: 90%; max-width: 120; height: auto; max-height: 90%;
            background: $surface; border: round $primary; padding: 0 1;
            border-title-color: $text-primary; border-subtitle-color: $text-muted;
        }
        & VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
        & Static { height: auto; }
        & .fields { margin-top: 1; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "close", "Close"),
        Binding("c", "copy_message", "Copy message"),
        Binding("r", "copy_request", "Copy request id"),
        Binding("y", "copy_json", "Copy as JSON"),
        Binding("f", "only_request", "Only this request"),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
    ]

    def __init__(self, entry: LogEntry) -> None:
        super().__init__()
        self.entry = entry

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = in_full(self.entry.time)
            box.border_subtitle = _keys(self.entry)
            with VerticalScroll():
                for part in message(self.entry.message):
                    yield Static(part, markup=False)
                yield Static(fields(self.entry), classes="fields")

    def action_close(self) -> None:
        self.dismiss(None)

    def action_copy_message(self) -> None:
        self._copy(self.entry.message)

    def action_copy_request(self) -> None:
        if self.entry.request_id:
            self._copy(self.entry.request_id)

    def action_copy_json(self) -> None:
        self._copy(json.dumps(to_json(self.entry), ensure_ascii=False))

    def action_only_request(self) -> None:
        if self.entry.request_id:
            self.dismiss(self.entry.request_id)

    def action_scroll(self, steps: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=steps, animate=False)

    def _copy(self, text: str) -> None:
        self.app.notify(copy(self.app, text), timeout=3, markup=False)


def message(text: str) -> list[Text | Content]:
    """As it was printed, and below it, laid out, the JSON in it."""
    printed = Text("\n").join(styled(line) for line in split(text))
    found = json_in(text)
    if found is None:
        return [printed]
    laid_out = highlight(printable_json(found), language="json")
    return [laid_out] if text.strip().startswith(("{", "[")) else [printed, laid_out]


def json_in(text: str) -> dict[str, Any] | list[Any] | None:
    """The object or list that a line holds or ends with; None when there is none."""
    for bracket in "{[":
        start = text.find(bracket)
        while start >= 0:
            try:
                value = json.loads(text[start:])
            except (ValueError, RecursionError):
                start = text.find(bracket, start + 1) if start < 200 else -1
                continue
            return value if isinstance(value, dict | list) and value else None
    return None


def printable_json(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(printable(line) for line in text.split("\n"))


def fields(entry: LogEntry) -> Table:
    table = Table.grid(padding=(0, 2))
    for name in FIELDS:
        value = str(getattr(entry, name))
        if value:
            table.add_row(Text(name.replace("_", " "), "dim"), Text(printable(value)))
    return table


def _keys(entry: LogEntry) -> str:
    request = " · r copy request id · f only this request" if entry.request_id else ""
    return f"c copy{request} · y JSON · esc close"
