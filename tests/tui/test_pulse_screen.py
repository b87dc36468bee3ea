"""Pulse over a fake backend: what is seen at both sizes, and what keys do there."""

from __future__ import annotations

import pytest

from fal_tui.screens.pulse import PulseList
from fal_tui.store import Topic
from tui.conftest import Opening
from tui.fake_backend import FakeBackend

SMALL = """\
  5m  1h  6h   all functions   [ ] range · p only this function
 Calls  ─ all 3/s  ▄ errors 0.2/s        Latency  ▄ p50 12 ms  ─ p99 120 ms
 5/s                                     200 ms                       ⢀⣀⣀⣀⠖⠒⠒⠒
                                  ⡠⠤⠤⠤                            ⠐⠒⠒⠒⠊
                              ⡖⠒⠒⠒⠁                               ⢀⣀⣀⣀⣰⣶⣶⣶⣿⣿⣿⣿
 0/s                 ⢀⣀⣀⣀⣀⠏⠉⠉⠉       ⢀     1 ms                   ⢸⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿
     5m ago                        now          5m ago      log scale      now
 Cold starts  ▄ per second 1 in 5m       Workers  ▄ waiting 0  ─ workers 2
 1                           ⡇           2                           ⡏⠉⠉⠉⠉⠉⠉⠉⠉
                             ⡇                                   ⣀⣀⣀⣀⠇
                             ⡇                                   ⡇
 0                           ⡇           0                  ⢀⣀⣀⣀⣀⠇
   5m ago                          now     5m ago                          now
  NAME     CALLS OVER TIME ▼      REQ/S    ERR      P50      P99  WORKERS    +4
▌ call     ▁▁▁▁▁▄▄▄▄▄▆▆▆▆▆█████     2.0   1.7%   4.2 ms   120 ms        2
  whisper                             —      —        —        —        —
  shout                               —      —        —        —        —
"""


def page(text: str) -> str:
    """Without header and footer, and what is empty above it."""
    return "\n".join(text.split("\n")[1:-1]).rstrip() + "\n"


async def test_all_of_it_is_seen_in_a_small_terminal(opened: Opening) -> None:
    async with opened((80, 24)) as seen:
        await seen.press("0")
        await seen.until(lambda: "█" in seen.text(), "the figures")
        assert page(seen.text()) == SMALL


async def test_all_of_it_is_seen_in_a_large_terminal(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "1,234" in seen.text(), "the figures")
        lines = seen.text().splitlines()
        assert lines[0].startswith(" local  pulse") and "2.0 req/s · 0% err" in lines[0]
        assert "Calls  ─ all 3/s  ▄ errors 0.2/s" in lines[2]
        assert "Latency  ▄ p50 12 ms  ─ p99 120 ms" in lines[2]
        (heading,) = [line.split() for line in lines if "CALLS OVER TIME" in line]
        assert heading[-5:] == ["CALLS", "ERRORS", "COLD", "WORKERS", "WAITING"]
        (call,) = [line.split() for line in lines if "call" in line and "1,234" in line]
        assert call[-5:] == ["1,234", "2", "1", "2", "3"]
        assert len(next(word for word in call if "█" in word)) == 40
        assert next(line for line in lines if "shout" in line).split()[1:] == ["—"] * 9


async def test_brackets_choose_how_far_back(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "5m ago" in seen.text(), "minutes")
        await seen.press("right_square_bracket")
        await seen.until(lambda: "1h ago" in seen.text() and "per 10 s" in seen.text(), "the hour")
        await seen.press("comma", "comma")
        await seen.until(lambda: "6h ago" in seen.text() and "per minute" in seen.text(), "hours")
        store = seen.app.host.store
        gone = [Topic("pulse", name) for name in ("300", "3600")]
        await seen.until(lambda: not any(map(store.has, gone)), "what nobody looks at to go")
        assert store.has(Topic("pulse", "21600"))


async def test_p_plots_the_function_under_the_cursor(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "all functions" in seen.text(), "all")
        await seen.until(lambda: "─ all 3/s" in seen.text(), "their calls")
        await seen.press("g", "p")
        await seen.until(lambda: "─ all 2/s" in seen.text(), "half of them")
        assert "  call   [ ] range · p all functions" in seen.text()
        await seen.press("j")
        await seen.until(lambda: "  whisper (44444444)   [ ]" in seen.text(), "the next one")
        await seen.press("p")
        await seen.until(lambda: "─ all 3/s" in seen.text(), "all again")


async def test_enter_opens_a_function_and_l_its_logs(opened: Opening, fake: FakeBackend) -> None:
    fake.log("a line of it")
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "1,234" in seen.text(), "the figures")
        await seen.press("g", "l")
        await seen.until(lambda: "a line of it" in seen.text(), "its logs")
        assert "Calls  ─" in seen.text()
        await seen.press("enter")
        await seen.until(lambda: "LIVE ON" in seen.text(), "its revisions")
        assert "functions ▸ call ▸ revisions" in seen.text()
        await seen.press("minus")
        await seen.until(lambda: "Calls  ─" in seen.text(), "the plots again")


async def test_the_busiest_come_first_and_any_column_sorts(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "1,234" in seen.text(), "the figures")
        grid = seen.app.main.views.listing.grid
        assert grid.rows[0].id == grid.cursor_id == "call"
        await seen.press("G")
        kept = grid.cursor_id
        await seen.press("shift+left", "O")
        assert "NAME ▲" in seen.text() and grid.cursor_id == kept


async def test_without_calls_it_says_what_to_press(opened: Opening, fake: FakeBackend) -> None:
    fake.calls_lately = False
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "no calls in the last 5 minutes; press i" in seen.text(), "that")
        assert "no worker in the last 5 minutes" in seen.text()


async def test_without_functions_it_says_what_to_press(opened: Opening, fake: FakeBackend) -> None:
    fake.revisions.clear()
    fake.aliases.clear()
    fake.calls_lately = False
    async with opened((80, 24)) as seen:
        await seen.press("0")
        await seen.until(lambda: "Press S to serve a file" in seen.text(), "that")


async def test_a_backend_without_figures_is_named_as_that(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.keeps_figures = False
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "this backend keeps no figures" in seen.text(), "that")
        assert "shout" in seen.text()


@pytest.mark.parametrize("size", [(60, 15), (60, 16), (100, 20), (240, 70)])
async def test_it_fits_every_size(opened: Opening, size: tuple[int, int]) -> None:
    async with opened(size) as seen:
        await seen.press("0")
        await seen.until(lambda: "call" in seen.text() and "▁" in seen.text(), "the list")
        await seen.press("L")
        await seen.press("escape")
        assert max(map(len, seen.text().splitlines())) <= size[0]


async def test_nothing_new_draws_no_plot_again(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "1,234" in seen.text(), "the figures")
        listing = seen.app.main.views.listing
        assert isinstance(listing, PulseList)
        listing._plots.refresh()
        await seen.until(lambda: listing._plots._lines is not None, "the plots")
        drawn = listing._plots._lines
        seen.app.main.draw()
        await seen.pilot.pause()
        assert listing._plots._lines is drawn


async def test_another_theme_colours_the_plots_anew(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("0")
        await seen.until(lambda: "1,234" in seen.text(), "the figures")
        before = seen.app.main.views.listing._plots._lines
        seen.app.theme = "nord"
        await seen.until(
            lambda: seen.app.main.views.listing._plots._lines not in (None, before), "colours"
        )
