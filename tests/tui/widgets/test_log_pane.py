"""The log pane over a client: live, over reconnects, and with what is typed into it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, ClassVar, cast

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input, Static

from fal_serverless import errors
from fal_serverless.client import Client
from fal_serverless.models import LogEntry, LogQuery
from fal_tui.logs.buffer import LIMIT, Gap
from fal_tui.logs.span import MOST
from fal_tui.screens.ask import AskScreen
from fal_tui.screens.pick import PickScreen
from fal_tui.widgets.log_pane import LogPane
from fal_tui.widgets.log_title import LogTitle
from tui.waiting import until


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
        self.past = asyncio.Event()
        """Cleared while it looks for what was written."""
        self.past.set()

    def add(self, *entries: LogEntry) -> None:
        self.stored += entries
        self.news.set()

    def cut(self) -> None:
        self.error = errors.Unreachable("no backend answers")
        self.news.set()

    async def breathe(self) -> None:
        await asyncio.sleep(0)

    async def status(self) -> None:
        if self.error is not None:
            raise self.error

    async def tail(
        self, query: LogQuery, *, reached: Callable[[int], object]
    ) -> AsyncGenerator[LogEntry, None]:
        self.asked.append(query)
        await self.past.wait()
        # One entry before the one asked for: a backend may repeat itself.
        place = sum(item.id < (query.after or 0) for item in self.stored)
        while True:
            await self.status()
            while place < len(self.stored):
                if query.request_id in ("", self.stored[place].request_id):
                    yield self.stored[place]
                place += 1
            reached(self.stored[-1].id if self.stored else 0)
            self.news.clear()
            await self.news.wait()


class Logs(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "go_back", "Back")]

    def __init__(
        self, backend: Backend | None, limit: int = LIMIT, delays: Sequence[float] = (0.05,)
    ) -> None:
        super().__init__()
        self.delays = delays
        self.backend = backend
        self.limit = limit
        self.gone_back = 0

    def compose(self) -> ComposeResult:
        get = lambda: cast(Client | None, self.backend)  # noqa: E731
        yield LogPane(get, limit=self.limit, delays=self.delays)

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


def shown(app: Logs) -> str:
    view = app.pane.view
    return "\n".join(view.render_line(y).text for y in range(view.size.height))


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


async def test_a_client_in_place_of_another_is_no_lost_connection() -> None:
    seen = entry(1)
    first = Backend(seen)
    app = Logs(first, delays=(60,))
    async with app.run_test(size=(80, 12)) as pilot:
        await until(pilot, lambda: app.messages() == ["line 1"])
        app.backend = second = Backend(seen, entry(2))
        first.cut()
        await until(pilot, lambda: app.messages() == ["line 1", "line 2"])
        assert second.asked == [LogQuery(label="call", after=1)]
        assert "● following" in app.title_line


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


async def test_another_time_range_is_asked_of_the_backend_and_filters_stay() -> None:
    backend = Backend(entry(1), entry(2))
    app = Logs(backend)
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("&", "2", "enter", "T", "j", "j", "enter")
        await pilot.pause(0.1)
        asked = backend.asked[-1]
        assert asked.since is not None and (asked.label, asked.lines) == ("call", MOST)
        assert 295 < (datetime.now(UTC) - asked.since).total_seconds() < 330
        assert "last 5m" in app.title_line
        assert app.messages() == ["line 2"]
        await pilot.press("T", "t")
        await pilot.pause(0.1)
        assert backend.asked[-1] == LogQuery(label="call")
        assert "last" not in app.title_line


async def test_every_range_that_is_promised_is_offered() -> None:
    app = Logs(Backend())
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press("T")
        assert isinstance(app.screen, PickScreen)
        names = [choice.label for choice in app.screen.choices]
        minutes = [f"last {each}" for each in ("1m", "5m", "15m", "30m", "1h")]
        assert names == ["tail", *minutes, "head", "all", "from – to"]
        await pilot.press("escape")
        assert len(backend_asked(app)) == 1


def backend_asked(app: Logs) -> list[LogQuery]:
    assert app.backend is not None
    return app.backend.asked


async def test_head_begins_at_the_first_line_and_ends_when_no_more_can_be_kept() -> None:
    app = Logs(Backend(*[entry(n) for n in range(1, 101)]), limit=50)
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("T", "h")
        await pilot.pause(0.2)
        assert backend_asked(app)[-1].after == 0
        assert app.messages()[0] == "line 1"
        assert app.messages()[-1] == "— the first 48 lines: T shows others —"
        assert "○ full" in app.title_line and "head" in app.title_line
        assert app.pane.view.scroll_offset.y == 0


async def test_from_and_to_are_typed_and_a_wrong_one_is_told() -> None:
    app = Logs(Backend(entry(1)))
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("T", "f", *"soon", "enter")
        assert isinstance(app.screen, AskScreen)
        assert "is no time" in str(app.screen.query_one("#problem", Static).render())
        await pilot.press(*["backspace"] * 4, *"2h", "space", *"1h", "enter")
        await pilot.pause(0.1)
        asked = backend_asked(app)[-1]
        assert asked.since is not None and asked.until is not None
        assert asked.until - asked.since == timedelta(hours=1)
        assert "○ past" in app.title_line and "2h – 1h" in app.title_line


async def test_when_only_the_newest_lines_came_it_is_said_where_older_ones_are() -> None:
    app = Logs(Backend(*[entry(n) for n in range(1, 101)]))
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.pause(0.2)
        assert app.pane.view.before == "— the newest 100 lines: T goes further back —"
        app.pane.show(LogQuery(label="call", lines=200), "call")
        await pilot.pause(0.2)
        assert app.pane.view.before == ""


async def test_a_request_is_asked_of_the_backend_and_escape_comes_back_without_loss() -> None:
    stored = [entry(n, request_id="r-7" if n % 7 == 0 else "") for n in range(1, 101)]
    backend = Backend(*stored)
    app = Logs(backend)
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("!", "9", "enter")
        app.pane.view.go_to(76)
        await pilot.press("m", "enter", "f")
        await pilot.pause(0.2)
        assert backend.asked[-1] == LogQuery(request_id="r-7", lines=MOST)
        assert app.messages() == [f"line {n}" for n in range(7, 101, 7)]
        assert "request r-7" in app.title_line and "esc back to call" in app.title_line
        backend.add(entry(101, request_id="r-7"), entry(102))
        await pilot.pause(0.1)
        assert app.messages()[-1] == "line 101"
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert backend.asked[-1].after == 100
        assert app.messages()[-2:] == ["line 101", "line 102"]
        assert (app.pane.view.cursor, app.pane.view.chips()) == (76, ["!9"])
        assert app.gone_back == 0


async def test_from_one_request_to_a_worker_and_back_to_where_one_was() -> None:
    stored = [entry(n, request_id="r-1", worker="w-1") for n in range(1, 5)]
    app = Logs(Backend(*stored))
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.pause(0.1)
        await pilot.press("enter", "f")
        await pilot.pause(0.1)
        await pilot.press("enter", "G", "k", "k", "k", "enter")
        await pilot.pause(0.1)
        assert backend_asked(app)[-1] == LogQuery(worker="w-1", lines=MOST)
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert app.title_line.strip().startswith("call")


async def test_what_a_reader_misses_while_disconnected_is_all_there_though_nothing_was_seen() -> (
    None
):
    backend = Backend()
    app = Logs(backend)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause(0.1)
        backend.cut()
        await pilot.pause(0.1)
        backend.stored += [entry(n) for n in range(1, 301)]
        backend.error = None
        await until(pilot, lambda: len(app.messages()) > 300)
        assert backend.asked[-1].after == 0
        assert app.messages()[1:] == [f"line {n}" for n in range(1, 301)]


@pytest.mark.parametrize("seed", range(2))
async def test_cut_fifty_times_each_line_is_there_once(seed: int) -> None:
    chance = Random(seed)
    backend = Backend()
    app = Logs(backend, delays=[0.001])
    async with app.run_test(size=(80, 12)) as pilot:
        for _ in range(50):
            first = len(backend.stored) + 1
            backend.add(*[entry(n) for n in range(first, first + chance.randrange(20))])
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            backend.cut()
            await asyncio.sleep(chance.choice([0, 0.002]))
            backend.error = None
            backend.news.set()
        last = f"line {len(backend.stored)}"
        async with asyncio.timeout(30):
            while last not in app.messages():
                await pilot.pause(0.02)
        lines = [text for text in app.messages() if text.startswith("line")]
        assert lines == [f"line {n}" for n in range(1, len(backend.stored) + 1)]
        assert any("reconnected" in text for text in app.messages())


async def test_it_says_whether_lines_are_being_fetched_or_there_are_none() -> None:
    backend = Backend()
    backend.past.clear()
    app = Logs(backend)
    async with app.run_test(size=(80, 12)) as pilot:
        await until(pilot, lambda: "Fetching the lines" in shown(app))
        assert "No lines" not in shown(app)
        backend.past.set()
        await until(pilot, lambda: "No lines yet" in shown(app))
        backend.cut()
        await until(pilot, lambda: "Not fetched: no backend answers" in shown(app))


async def test_reconnections_in_a_row_are_one_line() -> None:
    backend = Backend(entry(1))
    app = Logs(backend)

    async def again() -> None:
        asked = len(backend.asked)
        backend.cut()
        await until(pilot, lambda: "◐" in app.title_line)
        backend.error = None
        await until(pilot, lambda: len(backend.asked) > asked)
        await pilot.pause(0.1)

    async with app.run_test(size=(80, 12)) as pilot:
        await until(pilot, lambda: app.messages() == ["line 1"])
        await again()
        await again()
        await again()
        assert app.messages() == ["line 1", "— reconnected 3 times, at last after 1 s —"]
        assert "reconnected 3 times" in shown(app)
        backend.add(entry(2))
        await until(pilot, lambda: app.messages()[-1] == "line 2")
        await again()
        assert app.messages()[2:] == ["line 2", "— reconnected after 1 s —"]
        app.pane.view.paused = True
        await again()
        await again()
        app.pane.view.action_pause()
        await until(pilot, lambda: "reconnected 3 times" in app.messages()[-1])
        assert len(app.messages()) == 4


async def test_a_tail_that_saw_no_line_goes_on_where_it_had_come_to() -> None:
    backend = Backend(entry(7, request_id="other"))
    app = Logs(backend)
    async with app.run_test(size=(80, 12)) as pilot:
        app.pane.show(LogQuery(request_id="mine"), "mine")
        await until(pilot, lambda: "No lines yet" in shown(app))
        backend.cut()
        await until(pilot, lambda: "◐" in app.title_line)
        backend.error = None
        await until(pilot, lambda: backend.asked[-1].after == 7)
