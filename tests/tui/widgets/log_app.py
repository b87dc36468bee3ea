"""A log view alone, and entries to put into it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult

from fal_serverless.models import LogEntry
from fal_tui.logs.buffer import Gap
from fal_tui.widgets.log_view import LogView


def entry(number: int, message: str = "", **fields: Any) -> LogEntry:
    given = {"level": "STDOUT", "source": "user", "user": "1", **fields}
    return LogEntry(number, datetime.now(UTC), message=message or f"line {number}", **given)


def entries(count: int, start: int = 0) -> list[LogEntry]:
    return [entry(number) for number in range(start, start + count)]


class Logs(App[None]):
    def __init__(self, limit: int = 1000, folder: Path | None = None) -> None:
        super().__init__()
        self.limit, self.folder = limit, folder

    def compose(self) -> ComposeResult:
        yield LogView(self.limit, folder=self.folder)

    def on_mount(self) -> None:
        self.view.focus()

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    def text(self) -> list[str]:
        return [self.view.render_line(y).text.rstrip() for y in range(self.view.size.height)]

    def messages(self) -> list[str]:
        return [line[23:] for line in self.text()]

    async def put(self, pilot: Any, items: Iterable[LogEntry | Gap]) -> None:
        self.view.write(items)
        while self.view.waiting and not self.view.paused:
            await pilot.pause(0.02)
        await pilot.pause()
