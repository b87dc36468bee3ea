"""The log as a reader sees it: what moves, what stands still, what is found."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from random import Random

import pytest
from rich.cells import cell_len

from fal_serverless.models import LogEntry
from fal_tui.logs.filters import Filter
from fal_tui.logs.lines import height
from fal_tui.widgets.log_drawing import prefix_width
from fal_tui.widgets.log_view import LogView
from tui.widgets.log_app import Logs, entries, entry


async def test_it_follows_the_end_until_one_scrolls_up() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(50))
        assert app.messages()[-1] == "line 49"
        await pilot.press("ctrl+u")
        top = app.messages()[0]
        await app.put(pilot, entries(30, 50))
        assert app.messages()[0] == top
        assert (app.view.follow, app.view.new) == (False, 30)
        await pilot.press("G")
        await pilot.pause()
        assert app.messages()[-1] == "line 79"
        assert (app.view.follow, app.view.new) == (True, 0)


async def test_the_wheel_leaves_the_end_too() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(50))
        app.view.scroll_up(animate=False)
        await pilot.pause()
        assert not app.view.follow


async def test_trimming_does_not_move_the_text_under_the_readers_eyes() -> None:
    app = Logs(limit=100)
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(100))
        await pilot.press("ctrl+u")
        before = app.messages()
        for start in (100, 110, 120, 130):
            await app.put(pilot, entries(10, start))
        assert app.messages() == before
        await pilot.press("g")
        assert app.messages()[0] == "… 40 entries dropped …"
        assert app.messages()[1] == "line 40"


async def test_trimming_of_wrapped_lines_does_not_move_the_text_either() -> None:
    app = Logs(limit=100)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("w")
        await app.put(pilot, [entry(n, f"{n} " + "x" * (n % 90)) for n in range(100)])
        await pilot.press("ctrl+u")
        before = app.messages()
        await app.put(pilot, [entry(n, f"{n} " + "y" * 70) for n in range(100, 140)])
        assert app.messages() == before


async def test_filters_run_over_everything_and_say_how_much_they_hide() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(100))
        app.view.set_filters([Filter("keep", "5$"), Filter("hide", "95")])
        await pilot.pause()
        assert app.messages()[8] == "line 85"
        assert app.view.buffer.counts() == "9 of 100 shown"
        await app.put(pilot, entries(60, 100))
        assert app.messages()[-1] == "line 155"
        app.view.set_filters([])
        await pilot.pause()
        assert app.messages()[-1] == "line 159"


async def test_the_line_being_read_keeps_its_row_when_filters_change() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(1000))
        app.view.go_to(500)
        row = app.messages().index("line 500")
        app.view.set_filters([Filter("keep", "0$")])
        await pilot.pause()
        assert app.messages()[row] == "line 500"
        assert app.messages()[row + 1] == "line 510"


async def test_search_goes_to_the_nearest_hit_above_and_n_goes_on() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(100))
        app.view.search("line .7$")
        await pilot.pause()
        assert app.view.cursor == 97
        await pilot.press("N", "N", "n")
        assert app.view.cursor == 87


async def test_e_finds_errors_both_ways() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        levels = {20: "ERROR", 60: "ERROR", 70: "WARNING"}
        await app.put(pilot, [entry(n, level=levels.get(n, "INFO")) for n in range(100)])
        await pilot.press("E")
        assert app.view.cursor == 60
        await pilot.press("E")
        assert app.view.cursor == 20
        await pilot.press("e")
        assert app.view.cursor == 60
        await pilot.press("W")
        assert app.view.cursor == 70


TRACEBACK = "Traceback (most recent call last):\n" + "\n".join(f"  frame {n}" for n in range(30))


async def test_a_traceback_is_one_error_and_hangs_on_its_first_line() -> None:
    app = Logs()
    async with app.run_test(size=(80, 12)) as pilot:
        bad = entry(50, "Traceback:\n  File x\nValueError: no good", level="ERROR")
        await app.put(pilot, [*entries(50), bad, replace(bad, id=51), *entries(20, 52)])
        seen = []
        for key in ("E", "E", "e"):
            await pilot.press(key)
            seen.append(app.view.cursor)
        assert seen == [51, 50, 51]
        row = app.messages().index("Traceback:")
        assert app.text()[row + 1].endswith("│   File x")
        assert app.text()[row + 2].endswith("│ ValueError: no good")
        app.view.set_filters([Filter("keep", "no good")])
        await pilot.pause()
        assert [line.strip("│ ") for line in app.messages()[:3]] == [
            "Traceback:", "File x", "ValueError: no good",
        ]  # fmt: skip
        app.view.set_filters([])
        await pilot.press("c")
        assert app.clipboard.splitlines()[1:] == ["  File x", "ValueError: no good"]


async def test_an_entry_higher_than_the_pane_is_read_row_by_row() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, [*entries(20), entry(20, TRACEBACK), *entries(20, 21)])
        app.view.go_to(19)
        seen = []
        for _ in range(40):
            await pilot.press("j")
            seen.append((app.view.cursor, app.messages()))
        rows = {line.strip("│ ") for cursor, lines in seen for line in lines if cursor == 20}
        assert {f"frame {n}" for n in range(30)} <= rows
        assert seen[-1][0] > 20
        for _ in range(40):
            await pilot.press("k")
        assert app.view.cursor < 20


async def test_colours_stay_and_other_control_characters_are_shown() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, [entry(1, "\x1b[31mred\x1b[0m \x1b[2J[/oops]\x07 a\tb")])
        strip = app.view.render_line(0)
        assert "red ␛[2J[/oops]␇" in strip.text
        red = next(segment for segment in strip if segment.text == "red")
        assert red.style is not None and red.style.color is not None
        assert red.style.color.number == 1


async def test_a_progress_bar_shows_its_last_state() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, [entry(1, "\r 10%\r 50%\r100%\r")])
        assert app.messages()[0] == "100%"


async def test_wrapping_shows_the_whole_line() -> None:
    app = Logs()
    async with app.run_test(size=(54, 10)) as pilot:
        await app.put(pilot, [entry(1, "x" * 70), entry(2, "one\ntwo")])
        assert app.text()[1].endswith("one")
        await pilot.press("w")
        await pilot.pause()
        rows = app.messages()
        assert rows[:5] == ["x" * 29, "x" * 29, "x" * 12, "one", "two"]


async def test_a_held_view_keeps_its_sideways_place() -> None:
    app = Logs()
    async with app.run_test(size=(60, 10)) as pilot:
        await app.put(pilot, [entry(n, "0123456789" * 12) for n in range(30)])
        await pilot.press("right")
        await app.put(pilot, entries(30, 30))
        assert app.view.scroll_offset.x == 12


async def test_what_is_to_the_left_is_hinted_at_as_what_is_to_the_right() -> None:
    app = Logs()
    async with app.run_test(size=(60, 10)) as pilot:
        lines = ["0123456789" * 12, "short", "日本" * 40, "b" * 13]
        await app.put(pilot, [entry(n, text) for n, text in enumerate(lines)])
        await pilot.press("right", "right")
        drawn = [app.view.render_line(y) for y in range(4)]
        rows = [line.text[23:58] for line in drawn]
        assert rows[0] == "‹" + ("0123456789" * 12)[25:58] + "›"
        assert [rows[1].rstrip(), rows[3].rstrip()] == ["‹", "‹"]
        assert rows[2].startswith("‹ 本日")
        assert {cell_len(line.text) for line in drawn} == {59}


async def test_a_line_that_is_marked_and_bookmarked_shows_the_mark() -> None:
    app = Logs()
    async with app.run_test(size=(60, 10)) as pilot:
        await app.put(pilot, entries(3))
        await pilot.press("g", "m", "space", "g")
        assert app.text()[0].startswith("▌✓")
        await pilot.press("space", "g")
        assert app.text()[0].startswith("▌◆")


async def test_a_pause_takes_nothing_in_and_loses_nothing() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(5))
        await pilot.press("p")
        await app.put(pilot, entries(5, 5))
        assert app.view.waiting == 5
        assert app.messages()[4] == "line 4"
        await pilot.press("p")
        await pilot.pause(0.1)
        assert app.messages()[9] == "line 9"


async def test_what_is_too_much_during_a_pause_is_counted() -> None:
    app = Logs(limit=50)
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.press("p")
        await app.put(pilot, entries(80))
        await pilot.press("p", "g")
        await pilot.pause(0.1)
        assert app.messages()[:2] == ["… 31 entries dropped …", "line 31"]


async def test_bookmarks_go_round() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(100))
        for number in (10, 40):
            app.view.go_to(number)
            await pilot.press("m")
        await pilot.press("'")
        assert app.view.cursor == 10
        await pilot.press("'")
        assert app.view.cursor == 40


async def test_what_was_set_aside_comes_back_as_it_was() -> None:
    app = Logs()
    async with app.run_test(size=(60, 10)) as pilot:
        view = app.view
        await app.put(pilot, [entry(n, f"line {n} " + "y" * 90) for n in range(100)])
        view.set_filters([Filter("keep", "[02468] ")])
        view.search("line 4")
        view.go_to(40)
        await pilot.press("m", "k", "right")
        await pilot.pause()
        before, chips = app.text(), view.chips()
        held = view.set_aside()
        await app.put(pilot, entries(7))
        assert view.buffer.counts() == "7 lines" and view.chips() == []
        view.put_back(held)
        await pilot.pause()
        assert (app.text(), view.chips(), view.follow) == (before, chips, False)
        await app.put(pilot, entries(10, 100))
        assert app.text()[:8] == before[:8]


async def test_pausing_loses_nothing_when_lines_are_set_aside() -> None:
    app = Logs()
    async with app.run_test(size=(60, 10)) as pilot:
        await app.put(pilot, entries(3))
        await pilot.press("p")
        await app.put(pilot, entries(3, 3))
        view = app.view
        view.put_back(view.set_aside())
        await pilot.pause()
        assert app.messages()[:6] == [f"line {n}" for n in range(6)]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_what_is_read_stays_and_every_row_is_known(seed: int) -> None:
    chance = Random(seed)
    app = Logs(limit=120)
    count = 0
    async with app.run_test(size=(60, 12)) as pilot:
        view = app.view
        for _ in range(60):
            step = chance.choice(
                ["write", "write", "write", "wrap", "keep", "all", "up", "go", "t"]
            )
            top = app.messages()[2] if not view.follow else ""
            if step == "write":
                new = chance.randrange(1, 25)
                await app.put(
                    pilot, [entry(n, _text(chance, n)) for n in range(count, count + new)]
                )
                count += new
            elif step == "wrap":
                await pilot.press("w")
            elif step in ("keep", "all"):
                view.set_filters([Filter("keep", "[02468]:")] if step == "keep" else [])
            elif step == "go" and view.buffer.shown:
                view.go_to(chance.choice(view.buffer.shown))
            elif step in ("up", "t"):
                await pilot.press("ctrl+u" if step == "up" else "t")
            await pilot.pause()
            _check(view)
            if step == "write" and top and view.scroll_offset.y > 2:
                assert app.messages()[2] == top


def _text(chance: Random, number: int) -> str:
    words = chance.choice(["word ", "wort\n", "語 ", "\x1b[31mred\x1b[0m "])
    return f"{number}: " + words * chance.randrange(0, 20)


def _check(view: LogView) -> None:
    """The rows add up, and all that can be seen can be drawn."""
    width = view.scrollable_content_region.width
    room = max(width - 3 - prefix_width(view.clock, view.labels), 10) if view.wrap else None
    items = [view.buffer.item(number) for number in view.buffer.shown]
    rows = sum(height(item.message, room) for item in items if isinstance(item, LogEntry))
    assert view.virtual_size.height == rows + (1 if view.buffer.trimmed else 0)
    assert view.scroll_offset.y <= max(view.virtual_size.height - view.size.height, 0)
    for y in range(view.size.height):
        assert view.render_line(y).cell_length == width


async def test_errors_hits_and_bookmarks_are_ticks_beside_the_scroll_bar() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, [entry(n, level="ERROR" if n == 15 else "INFO") for n in range(100)])
        assert [line[-1] for line in app.text()].count("━") == 1
        assert app.text()[1].endswith("━")
        app.view.search("line 5.")
        await pilot.press("g", "m")
        ticks = [line[-1] for line in app.text()]
        assert (ticks[0], ticks[1], ticks[5]) == ("◆", "━", "━")


async def test_the_times_go_round_and_ages_grow() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, [entry(1)])
        local = f"{datetime.now():%H}:"
        shown = []
        for _ in range(4):
            shown.append(app.text()[0].split()[0])
            await pilot.press("t")
        assert shown[0].startswith(local) and shown[1].endswith("Z")
        assert shown[2] == "stdout" and re.fullmatch(r"\ds", shown[3])


async def test_above_the_first_line_it_is_said_that_there_may_be_older_ones() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(30))
        await pilot.press("ctrl+u")
        before = app.messages()
        app.view.say_before("— older ones are elsewhere —")
        assert app.messages() == before
        await pilot.press("g")
        assert app.messages()[:2] == ["— older ones are elsewhere —", "line 0"]


async def test_a_reader_from_the_top_is_not_told_of_new_lines() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        app.view.follow = app.view.counts_new = False
        await app.put(pilot, entries(30))
        assert (app.messages()[0], app.view.new) == ("line 0", 0)


async def test_an_empty_log_says_so() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        assert "No lines yet" in app.text()[1]
        await app.put(pilot, entries(3))
        app.view.set_filters([Filter("level", "ERROR")])
        await pilot.pause()
        assert "None of 3 lines passes" in app.text()[1]


async def test_while_one_reads_new_lines_below_do_not_draw_again_what_is_seen() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(50))
        await pilot.press("ctrl+u")
        drawn: list[int] = []
        render = app.view.render_line
        app.view.render_line = lambda y: drawn.append(y) or render(y)  # type: ignore[func-returns-value]
        await app.put(pilot, entries(20, 50))
        assert drawn == [] and app.view.new == 20
        await app.put(pilot, [entry(70, level="ERROR")])
        app.view._grow_older()
        await pilot.pause()
        assert drawn and app.text()[9].endswith("━")


async def test_growing_text_moves_no_other_widget() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(5))
        layouts: list[bool] = []
        refresh = app.screen._refresh_layout
        app.screen._refresh_layout = lambda *a, **k: layouts.append(True) or refresh(*a, **k)  # type: ignore[func-returns-value]
        await app.put(pilot, entries(50, 5))
        assert app.messages()[-1] == "line 54" and layouts == []


async def test_a_step_draws_the_line_left_and_the_line_reached() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(50))
        app.view.go_to(45)
        await pilot.pause()
        row = app.messages().index("line 45")
        drawn: list[int] = []
        render = app.view.render_line
        app.view.render_line = lambda y: drawn.append(y) or render(y)  # type: ignore[func-returns-value]
        await pilot.press("j")
        await pilot.pause()
        assert set(drawn) == {row, row + 1}
        rows = [strip.text for strip in app.screen._compositor.render_strips()]
        assert rows[row + 1].startswith("▌") and not rows[row].startswith("▌")
