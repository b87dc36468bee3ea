"""The log pane over a client: live, over reconnects, and with what is typed into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, ClassVar, cast

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from fal_serverless import errors
from fal_serverless.client import Client
from fal_serverless.models import LogEntry, LogQuery
from fal_tui.logs.buffer import Gap
from fal_tui.widgets.log_pane import LogPane
from fal_tui.widgets.log_title import LogTitle


def entry(number: int, message: str = "", **fields: Any) -> LogEntry:
    given = {"level": "STDOUT", "source": "user", "user": "1", **fields}
    return LogEntry(number, datetime.now(UTC), message=message or f"line {number}", **given)


class Backend:
    """Gives out what is in `stored`, then what comes; `cut` breaks every connection."""

    def __init__(self, *stored: LogEntry) -> None:
        self.stored = list(stored)
        self.asked: list[LogQuery] = []
        self.error: errors.FalError | None = None
        """What every connection ends with."""
        self.news = asyncio.Event()

    def add(self, *entries: LogEntry) -> None:
        self.stored += entries
        self.news.set()

    def cut(self) -> None:
        self.error = errors.Unreachable("no backend answers")
        self.news.set()

    async def status(self) -> None:
        if self.error is not None:
            raise self.error

    async def tail(self, query: LogQuery) -> AsyncGenerator[LogEntry, None]:
        self.asked.append(query)
        # One entry before the one asked for: a backend may repeat itself.
        place = sum(item.id < (query.after or 0) for item in self.stored)
        while True:
            await self.status()
            while place < len(self.stored):
                yield self.stored[place]
                place += 1
            self.news.clear()
            await self.news.wait()


class Logs(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "go_back", "Back")]

    def __init__(self, backend: Backend | None) -> None:
        super().__init__()
        self.backend = backend
        self.gone_back = 0

    def compose(self) -> ComposeResult:
        yield LogPane(lambda: cast(Client | None, self.backend), delays=[0.05])

    def on_mount(self) -> None:
        self.pane.show(LogQuery(label="call"), "call")
        self.pane.view.focus()

    @property
    def pane(self) -> LogPane:
        return self.query_one(LogPane)

    @property
    def title_line(self) -> str:
        return self.query_one(LogTitle).render().plain

    def messages(self) -> list[str]:
        buffer = self.pane.view.buffer
        items = [buffer.item(number) for number in buffer.shown]
        return [item.text if isinstance(item, Gap) else item.message for item in items]

    def action_go_back(self) -> None:
        self.gone_back += 1


async def test_it_shows_what_is_there_and_what_comes() -> None:
    backend = Backend(entry(1), entry(2))
    app = Logs(backend)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause(0.1)
        backend.add(entry(3))
        await pilot.pause(0.1)
        assert app.messages() == ["line 1", "line 2", "line 3"]
        assert "● following" in app.title_line
        assert "3 lines" in app.title_line


async def test_a_lost_connection_is_resumed_without_loss_or_doubling() -> None:
    backend = Backend(entry(1), entry(2))
    app = Logs(backend)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause(0.1)
        backend.cut()
        await pilot.pause(0.1)
        assert "◐ retrying" in app.title_line
        backend.stored.append(entry(3))
        backend.error = None
        await pilot.pause(0.3)
        assert app.messages() == ["line 1", "line 2", "— reconnected after 1 s —", "line 3"]
        assert backend.asked[-1] == LogQuery(label="call", after=2)
        assert "retrying" not in app.title_line


async def test_without_a_client_it_waits_for_one() -> None:
    app = Logs(None)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause(0.1)
        assert "◐ retrying" in app.title_line
        app.backend = Backend(entry(1))
        await pilot.pause(0.2)
        assert app.messages()[-1] == "line 1"


async def test_what_cannot_be_tailed_is_said_once() -> None:
    backend = Backend()
    backend.error = errors.NotFound("no endpoint 'call'")
    app = Logs(backend)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause(0.1)
        assert app.messages() == ["— no endpoint 'call' —"]
        assert "○ stopped" in app.title_line


async def test_another_query_replaces_the_lines() -> None:
    backend = Backend(entry(1))
    app = Logs(backend)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause(0.1)
        app.pane.show(LogQuery(), "all endpoints")
        await pilot.pause(0.1)
        assert app.messages() == ["line 1"]
        assert "all endpoints" in app.title_line
        assert app.pane.view.labels


async def test_filters_are_a_stack_of_chips_that_escape_takes_back() -> None:
    app = Logs(Backend(*[entry(n) for n in range(1, 41)]))
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("&", "1", "enter", "!", "3", "1", "enter")
        assert "&1" in app.title_line and "!31" in app.title_line
        assert "12 of 40 shown" in app.title_line
        await pilot.press("escape", "escape")
        assert len(app.messages()) == 40
        assert app.gone_back == 0
        await pilot.press("escape")
        assert app.gone_back == 1


async def test_search_goes_to_the_hit_and_keeps_the_rest() -> None:
    app = Logs(Backend(*[entry(n) for n in range(1, 41)]))
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("/", "e", "space", "2", "3", "enter")
        assert app.pane.view.cursor == 22
        assert len(app.messages()) == 40
        assert not app.query_one(Input).has_class("asking")


async def test_a_search_that_is_given_up_leaves_the_one_before() -> None:
    app = Logs(Backend(*[entry(n) for n in range(1, 41)]))
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("/", "4", "enter", "/", "x", "escape")
        assert "/4 " in app.title_line and "/4x" not in app.title_line
        await pilot.press("escape")
        assert "/4" not in app.title_line


async def test_the_least_level_goes_round() -> None:
    app = Logs(Backend(entry(1), entry(2, level="WARNING"), entry(3, level="ERROR")))
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.pause(0.1)
        seen = []
        for _ in range(4):
            await pilot.press("v")
            seen.append(len(app.messages()))
        assert seen == [3, 2, 1, 3]


async def test_sources_other_than_the_function_can_be_hidden() -> None:
    app = Logs(Backend(entry(1), entry(2, source="request", level="INFO")))
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("a")
        assert app.messages() == ["line 1"]
        await pilot.press("a")
        assert app.messages() == ["line 1", "line 2"]


async def test_the_time_range_goes_round_and_filters_stay() -> None:
    backend = Backend(entry(1), entry(2))
    app = Logs(backend)
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("&", "2", "enter", "T", "T")
        await pilot.pause(0.1)
        since = backend.asked[-1].since
        assert since is not None
        assert 295 < (datetime.now(UTC) - since).total_seconds() < 330
        assert "last 5m" in app.title_line
        assert app.messages() == ["line 2"]
        for _ in range(5):
            await pilot.press("T")
        await pilot.pause(0.1)
        assert backend.asked[-1] == LogQuery(label="call")
        assert "last" not in app.title_line
