"""Panes: which are seen, how high the log pane is, and where the focus goes."""

from __future__ import annotations

import pytest

from fal_serverless.models import Worker
from fal_tui.chrome.tabs import spread
from fal_tui.detail import HISTORY, OVERVIEW, TABS
from tui.conftest import Opening
from tui.fake_backend import START, FakeBackend, revision_id


async def test_the_log_pane_follows_from_the_start_at_both_sizes(
    opened: Opening, fake: FakeBackend
) -> None:
    for line in ("one", "two", "three"):
        fake.log(line)
    for size in ((160, 45), (80, 24)):
        async with opened(size) as seen:
            await seen.press("G", "l")
            await seen.until(lambda seen=seen: "three" in seen.text(), "the lines")
            assert "● following" in seen.text()


async def test_the_log_pane_is_made_higher_and_lower(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("L")
        pane = seen.app.main.log_pane
        before = pane.size.height
        await seen.press("plus")
        assert pane.size.height == before + 3
        await seen.press("underscore", "underscore")
        assert pane.size.height == before - 3


async def test_minus_lowers_the_log_pane_while_it_is_focused(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("L", "tab", "tab")
        before = seen.app.main.log_pane.size.height
        await seen.press("minus")
        assert seen.app.main.log_pane.size.height == before - 3


async def test_full_screen_and_back_by_f_and_by_esc(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("L", "f")
        assert "NAME" not in seen.text()
        await seen.press("escape")
        assert "NAME" in seen.text()


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_in_full_screen_the_keys_go_to_the_log(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    fake.log("hello from call")
    async with opened(size) as seen:
        await seen.press("L")
        await seen.until(lambda: "hello from call" in seen.text(), "the line")
        seen.app.main.focus_pane("list")
        await seen.press("f")
        for key in ("tab", "shift+tab"):
            assert seen.app.main.log_pane.has_focus_within and "NAME" not in seen.text()
            assert "hello from call" in seen.text() and "Level" in seen.text().splitlines()[-1]
            await seen.press(key)


async def test_the_logs_of_a_worker_are_named_after_it(opened: Opening, fake: FakeBackend) -> None:
    fake.workers = [Worker("w-1234", "call", revision_id(2), "ready", 42, "unix", START, 7)]
    async with opened() as seen:
        await seen.press("3")
        await seen.until(lambda: "w-1234" in seen.text(), "workers")
        await seen.press("l")
        await seen.until(lambda: "worker w-1234 of call  ● following" in seen.text(), "its logs")


async def test_growing_wide_shows_both_panes_again(opened: Opening) -> None:
    async with opened((80, 24)) as seen:
        await seen.press("G", "tab")
        await seen.pilot.resize_terminal(160, 45)
        await seen.until(lambda: "NAME" in seen.text() and "def call" in seen.text(), "both")


async def test_the_tabs_turn_round_at_their_ends(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("G", "comma")
        await seen.until(lambda: "serve" in seen.text() and "made → 11111111" in seen.text(), "it")


async def test_a_click_on_the_footer_runs_the_action(opened: Opening) -> None:
    async with opened() as seen:
        footer = seen.app.main._footer
        await seen.pilot.click(footer, offset=(2, 0))
        await seen.until(lambda: "WHAT IT DOES" in seen.text(), "the help")


async def test_logs_that_are_open_but_unseen_are_shown_by_their_key(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.log("hello from call")
    async with opened((80, 24)) as seen:
        await seen.press("G", "l")
        await seen.until(lambda: "hello from call" in seen.text(), "the line")
        await seen.press("escape")
        assert "NAME" in seen.text()
        await seen.press("l")
        assert "hello from call" in seen.text()
        await seen.press("l")
        assert "NAME" in seen.text() and not seen.app.main.logs_open


async def test_turning_tabs_at_80_columns_shows_the_tab(opened: Opening) -> None:
    async with opened((80, 24)) as seen:
        await seen.press("G", "full_stop")
        await seen.until(lambda: "return text.title()" in seen.text(), "the source")


async def test_all_tabs_are_seen_at_100_columns_and_take_clicks(opened: Opening) -> None:
    async with opened((100, 30)) as seen:
        await seen.press("G")
        await seen.until(lambda: "overview source options diff history" in seen.text(), "them")
        await seen.pilot.click(seen.app.main.detail.tabs, offset=(10, 0))
        await seen.until(lambda: "return text.title()" in seen.text(), "the source")


def test_the_chosen_tab_is_seen_where_there_is_no_room_for_all() -> None:
    for chosen in TABS:
        placed = dict(spread(TABS, 20, chosen))
        assert placed[chosen] >= 0 and placed[chosen] + len(chosen) <= 20
    assert spread(TABS, 60, OVERVIEW)[0] == (" overview ", 0)
    assert spread(TABS, 60, HISTORY)[0] == (" overview ", 0)
