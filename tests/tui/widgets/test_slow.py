"""An expression that takes for ever is taken away, everything else stays, and it is said why."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Input

from fal_serverless.timelimit import TooSlow
from fal_tui import slow
from fal_tui.logs.buffer import LogBuffer
from fal_tui.logs.filters import Filter, FilterTooSlow
from fal_tui.palette import PLAIN
from fal_tui.screens.help import Entry, HelpScreen
from fal_tui.widgets.filtering import matcher
from fal_tui.widgets.grid import Grid
from fal_tui.widgets.log_pane import LogPane
from fal_tui.widgets.log_view import LogView
from tui.widgets.log_app import entries, entry

FOR_EVER = "(a+)+$"
LONG = "a" * 60 + "!"
"""A line that `FOR_EVER` is compared with for longer than anybody lives."""
KEYS = ("(", "a", "+", ")", "+", "$", "enter")


class Pane(App[None]):
    def compose(self) -> ComposeResult:
        yield LogPane(lambda: None)

    def on_mount(self) -> None:
        self.view.focus()

    @property
    def view(self) -> LogView:
        return self.query_one(LogView)

    @property
    def shown(self) -> list[str]:
        buffer = self.view.buffer
        items = [buffer.item(number) for number in buffer.shown]
        return [getattr(item, "message", "") for item in items]

    def said(self) -> list[str]:
        return [each.message for each in self._notifications]


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    assert signal.getsignal(signal.SIGALRM) == before


async def until(pilot: Any, happened: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not happened():
            await pilot.pause(0.02)


@pytest.mark.parametrize(("key", "chip"), [("&", "&(a+)+$"), ("!", "!(a+)+$")])
async def test_a_filter_that_takes_for_ever_is_not_added(key: str, chip: str) -> None:
    app = Pane()
    async with app.run_test(size=(100, 30)) as pilot:
        app.view.write([*entries(5), entry(5, LONG)])
        await until(pilot, lambda: len(app.shown) == 6)
        await pilot.press("&", "a", "|", "1", "enter")
        await pilot.press(key, *KEYS)
        await until(pilot, app.said)
        assert app.said() == [
            f"Filter {chip} takes too long for these lines and was taken away."
            " Repeats within repeats, such as (a+)+, are slow: write it without them."
        ]
        assert app.view.filters == (Filter("keep", "a|1"),)
        assert app.shown == ["line 1", LONG]
        app.view.write([entry(11)])
        await until(pilot, lambda: app.shown[-1] == "line 11")


async def test_a_line_that_takes_a_filter_for_ever_is_shown_and_the_filter_goes() -> None:
    app = Pane()
    async with app.run_test(size=(100, 30)) as pilot:
        app.view.write([entry(1, "aaa"), entry(2, "b"), entry(3, "ba", level="ERROR")])
        await until(pilot, lambda: len(app.shown) == 3)
        await pilot.press("&", *KEYS, "&", "b", "enter")
        assert app.shown == ["ba"]
        app.view.write([entry(4, LONG), entry(5, "b" + LONG)])
        await until(pilot, app.said)
        assert app.view.filters == (Filter("keep", "b"),)
        assert app.shown == ["b", "ba", "b" + LONG]
        assert app.said()[0].startswith("Filter &(a+)+$ takes too long")


async def test_a_search_that_takes_for_ever_ends() -> None:
    app = Pane()
    async with app.run_test(size=(100, 30)) as pilot:
        app.view.write([entry(0, LONG), *entries(200), entry(200, "aaa")])
        await until(pilot, lambda: len(app.shown) == 202)
        await pilot.press("/", *KEYS)
        await until(pilot, app.said)
        assert app.said()[0].startswith("Search /(a+)+$ takes too long")
        assert (app.view.sought, app.view.hits, app.view.chips()) == ("", None, [])
        assert len(app.shown) == 202 and app.view.follow
        await pilot.press("/", "1", "7", "$", "enter")
        assert app.shown[app.view.cursor or 0] == "line 117"


async def test_a_search_ends_where_it_is_seen_while_it_is_typed() -> None:
    app = Pane()
    async with app.run_test(size=(100, 30)) as pilot:
        app.view.write([*entries(10), entry(10, LONG)])
        await until(pilot, lambda: len(app.shown) == 11)
        await pilot.press("/", *KEYS[:-1])
        await until(pilot, app.said)
        assert app.view.hits is None
        line = app.query_one(Input)
        assert line.has_focus and line.value == FOR_EVER
        await pilot.press("escape")
        assert not line.has_class("asking")


async def test_a_search_ends_when_a_line_comes_that_takes_it_for_ever() -> None:
    app = Pane()
    async with app.run_test(size=(100, 30)) as pilot:
        app.view.write([entry(n, "b", level="ERROR") for n in range(100)])
        await until(pilot, lambda: len(app.shown) == 100)
        await pilot.press("/", *KEYS, "g")
        app.view.write([entry(101, LONG)])
        await until(pilot, app.said)
        assert app.view.hits is None
        assert len(app.shown) == 101
        assert app.view._ticks.errors == list(range(100))


async def test_going_to_the_next_hit_ends_too() -> None:
    app = Pane()
    async with app.run_test(size=(100, 12)) as pilot:
        app.view.write([entry(0, LONG), *entries(200)])
        await until(pilot, lambda: len(app.shown) == 201)
        app.view.highlight(FOR_EVER)
        await pilot.press("N")
        await until(pilot, app.said)
        assert app.view.hits is None


def test_after_a_filter_that_took_too_long_a_buffer_is_as_it_was() -> None:
    buffer = LogBuffer(100)
    buffer.extend([entry(1, LONG), *entries(20)])
    first, endless = Filter("hide", "1"), Filter("keep", FOR_EVER)
    buffer.set_filters([first])
    shown = list(buffer.shown)
    with pytest.raises(FilterTooSlow) as raised:
        buffer.set_filters([endless, first])
    assert raised.value.filter == endless
    assert (buffer.filters, list(buffer.shown)) == ((first,), shown)


def test_lines_that_took_a_filter_too_long_are_not_in_the_buffer() -> None:
    buffer = LogBuffer(100)
    buffer.set_filters([Filter("keep", FOR_EVER)])
    buffer.extend([entry(1, "aaa")])
    with pytest.raises(FilterTooSlow):
        buffer.extend([entry(2, "aa"), entry(3, LONG)])
    assert (buffer.total, list(buffer.shown)) == (1, [0])


def test_what_is_slow_for_each_line_and_never_for_ever_ends_too() -> None:
    """Each line takes a fraction of the limit; all of them would take many minutes."""
    buffer = LogBuffer()
    buffer.extend(entry(n, "a" * 18 + "!") for n in range(50_000))
    with pytest.raises(FilterTooSlow):
        buffer.set_filters([Filter("keep", FOR_EVER)])


def test_batches_are_limited_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow, "LONGEST_IN_ALL", 0.1)
    lines = ["a" * 14 + "!"] * 100 * slow.BATCH
    matches = matcher(FOR_EVER)
    done = 0
    with pytest.raises(TooSlow):
        for _ in slow.batches(lines, lambda batch: [line for line in batch[:10] if matches(line)]):
            done += 1
    assert done < 100


class Help(App[None]):
    def on_mount(self) -> None:
        self.push_screen(HelpScreen([Entry("x.y", ("x",), "Long", LONG, "Here")], PLAIN))


async def test_a_search_in_the_help_ends() -> None:
    app = Help()
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press(*KEYS[:-1])
        await until(pilot, lambda: list(app._notifications))
        assert [row.id for row in app.screen.query_one(Grid).rows] == ["x.y"]
        (told,) = app._notifications
        assert told.message.startswith("Search (a+)+$ takes too long")
