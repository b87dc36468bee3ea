"""The table as a reader sees it: what stands where after keys, changes and resizes."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable
from types import FrameType

import pytest
from rich.style import Style
from rich.text import Text
from textual.app import App, ComposeResult

from fal_tui.widgets.grid import Column, Grid, Order, Row
from fal_tui.widgets.legible import LEAST, contrast
from fal_tui.widgets.rows import LateRow

COLUMNS = (
    Column("name", "NAME", priority=9),
    Column("auth", "AUTH", width=8, priority=5),
    Column("calls", "CALLS", align="right", priority=1),
)


def row(id: str, auth: str = "private", calls: int | None = 1) -> Row:
    return Row(id, (id, auth, str(calls)), (id, auth, calls))


def rows(count: int) -> list[Row]:
    return [row(f"f{number:05}", calls=number) for number in range(count)]


class Table(App[None]):
    def __init__(
        self, *given: Row, empty: str = "No functions yet. Press S to serve a file"
    ) -> None:
        super().__init__()
        self.given, self.empty = given, empty
        self.seen: list[tuple[str, object]] = []

    def compose(self) -> ComposeResult:
        yield Grid(COLUMNS, self.empty)

    def on_mount(self) -> None:
        self.grid.set_rows(self.given)
        self.grid.focus()

    @property
    def grid(self) -> Grid:
        return self.query_one(Grid)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        self.seen.append(("moved", event.id))

    def on_grid_opened(self, event: Grid.Opened) -> None:
        self.seen.append(("opened", event.id))

    def on_grid_marked(self, event: Grid.Marked) -> None:
        self.seen.append(("marked", event.ids))


def lines(grid: Grid) -> list[str]:
    return [grid.render_line(y).text.rstrip() for y in range(grid.size.height)]


async def test_keys_move_the_cursor_and_say_so() -> None:
    app = Table(*rows(100))
    async with app.run_test(size=(60, 11)) as pilot:
        await pilot.press("j", "j", "k", "G")
        assert app.grid.cursor_id == "f00099"
        await pilot.press("ctrl+u")
        assert app.grid.cursor_id == "f00094"
        await pilot.press("g", "pagedown", "enter")
        assert app.seen[-1] == ("opened", "f00009")
        assert app.seen[1:4] == [("moved", "f00001"), ("moved", "f00002"), ("moved", "f00001")]


async def test_the_last_row_is_the_last_line_at_the_end() -> None:
    app = Table(*rows(100))
    async with app.run_test(size=(60, 11)) as pilot:
        await pilot.press("G")
        assert lines(app.grid)[0].split() == ["NAME", "AUTH", "CALLS"]
        assert lines(app.grid)[-1].split() == ["▌", "f00099", "private", "99"]


async def test_the_cursor_stays_on_its_item_and_on_its_line() -> None:
    app = Table(*rows(100))
    async with app.run_test(size=(60, 11)) as pilot:
        app.grid.move_to("f00050")
        await pilot.pause()
        line = next(y for y, text in enumerate(lines(app.grid)) if "▌" in text)
        app.grid.set_rows([row("new1"), row("new2"), *rows(100)])
        await pilot.pause()
        assert app.grid.cursor_id == "f00050"
        assert "▌" in lines(app.grid)[line]


async def test_when_the_item_goes_the_nearest_takes_the_cursor() -> None:
    app = Table(*rows(5))
    async with app.run_test(size=(60, 11)) as pilot:
        app.grid.move_to("f00003")
        app.grid.set_rows([item for item in rows(5) if item.id != "f00003"])
        assert app.grid.cursor_id == "f00004"
        app.grid.set_rows(rows(2))
        assert app.grid.cursor_id == "f00001"
        app.grid.set_rows([])
        await pilot.pause()
        assert app.grid.cursor_id is None
        assert app.seen[-1] == ("moved", None)


async def test_a_shrunk_list_leaves_no_blank_screen() -> None:
    app = Table(*rows(1000))
    async with app.run_test(size=(60, 11)) as pilot:
        await pilot.press("G")
        app.grid.set_rows(rows(3))
        await pilot.pause()
        assert [text.split()[-3] for text in lines(app.grid)[1:4]] == ["f00000", "f00001", "f00002"]


async def test_a_mark_stays_while_its_item_is_there_though_no_row_shows_it() -> None:
    app = Table(*rows(5))
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("space", "space", "space")
        known = {"f00000", "f00001", "f00004"}
        app.grid.set_rows(rows(5)[1:2], known=known)
        await pilot.pause()
        assert app.grid.marked == {"f00000", "f00001"} and app.grid.hidden == {"f00000"}
        app.grid.set_rows(rows(5)[1:2], known=known - {"f00000"})
        assert app.grid.marked == {"f00001"}
        await pilot.press("u")
        assert app.grid.marked == frozenset()
        assert app.seen[-1] == ("marked", frozenset())


async def test_marks_go_by_id() -> None:
    app = Table(*rows(5))
    async with app.run_test(size=(60, 11)) as pilot:
        await pilot.press("space", "space", "k", "space")
        assert app.grid.marked == {"f00000"}
        app.grid.set_rows([row("new"), *rows(5)])
        await pilot.pause()
        assert "✓" in lines(app.grid)[2]
        app.grid.set_rows(rows(5)[1:])
        await pilot.pause()
        assert app.seen[-1] == ("marked", frozenset())


async def test_sorting_flips_and_keeps_the_cursor_on_its_item() -> None:
    given = [row("b", calls=10), row("a", calls=9), row("c", calls=None)]
    app = Table(*given)
    async with app.run_test(size=(60, 11)) as pilot:
        await pilot.press("shift+left", "O")
        assert [item.id for item in app.grid.rows] == ["a", "b", "c"]
        assert "CALLS ▲" in lines(app.grid)[0]
        await pilot.press("O")
        assert [item.id for item in app.grid.rows] == ["b", "a", "c"]
        assert app.grid.order == Order(2, flipped=True)
        assert app.grid.cursor_id == "b"
        app.grid.set_rows([*given, row("d", calls=11)])
        assert [item.id for item in app.grid.rows] == ["d", "b", "a", "c"]


async def test_strings_are_taken_literally() -> None:
    bad = "[/oops] \x1b[2Jx\ny"
    app = Table(Row("1", (bad, Text("a\x1bb"), "")))
    async with app.run_test(size=(60, 11)):
        text = lines(app.grid)[1]
        assert "[/oops] ␛[2Jx↵y" in text
        assert "a␛b" in text


async def test_a_narrow_table_drops_the_least_important_column_and_says_so() -> None:
    app = Table(row("a-rather-long-name-of-a-function"))
    async with app.run_test(size=(33, 11)) as pilot:
        assert lines(app.grid)[0] == "  NAME                   AUTH  +1"
        assert "a-rather-long-name-o…" in lines(app.grid)[1]
        await pilot.resize_terminal(80, 11)
        await pilot.pause()
        assert "CALLS" in lines(app.grid)[0]


async def test_an_empty_table_says_what_to_do() -> None:
    app = Table()
    async with app.run_test(size=(60, 11)):
        assert any("Press S to serve a file" in text for text in lines(app.grid))


async def test_a_click_moves_two_open_and_the_header_sorts() -> None:
    app = Table(*rows(5))
    async with app.run_test(size=(60, 11)) as pilot:
        await pilot.click(Grid, offset=(5, 3))
        assert app.grid.cursor_id == "f00002"
        await pilot.click(Grid, offset=(5, 3), times=2)
        assert ("opened", "f00002") in app.seen
        await pilot.click(Grid, offset=(3, 0))
        assert app.grid.order == Order(0)


def calls(work: Callable[[], object]) -> int:
    """How many functions `work` calls: the same on any machine, whatever else it does."""
    count = 0

    def seen(frame: FrameType, event: str, arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("more", [0, 1])
async def test_the_work_of_setting_rows_grows_no_faster_than_they_do(more: int) -> None:
    """With `more`, each row has changed."""
    spent: list[float] = []
    for count in (1_000, 10_000):
        app = Table(*rows(count))
        async with app.run_test(size=(120, 40)):
            given = [row(f"f{number:05}", calls=number + more) for number in range(count)]
            spent.append(calls(lambda: app.grid.set_rows(given)) / count)  # noqa: B023
    small, large = spent
    assert large < 20, "calls a row: twice what it takes"
    assert large < 1.2 * small


@pytest.mark.parametrize("late", [False, True])
async def test_what_is_drawn_again_is_all_that_changed(late: bool) -> None:
    """After any changes the screen is as if all of it were drawn anew."""
    dice = random.Random(11)
    app = Table()
    async with app.run_test(size=(44, 12)) as pilot:
        grid, given = app.grid, made(rows(30), late)
        keys = ("j", "k", "G", "g", "space", "ctrl+d", "ctrl+u", "O", "shift+right", "tab")
        for _ in range(150):
            given = changed(given, dice, late)
            grid.set_rows(list(given))
            if dice.random() < 0.6:
                await pilot.press(*dice.choices(keys, k=dice.randint(1, 3)))
            await pilot.pause()
            seen = on_screen(app)
            grid.refresh()
            await pilot.pause()
            assert on_screen(app) == seen


def coloured(*styles: str) -> Row:
    return Row("one", tuple(Text("word", style) for style in styles), None)


def styles_at(grid: Grid, line: int) -> list[Style]:
    """Of what is written in that line."""
    return [s.style for s in grid.render_line(line) if s.text.strip() == "word" and s.style]


async def test_a_row_that_differs_only_in_its_colours_is_drawn_again() -> None:
    app = Table(coloured("red", "red"), row("two"))
    async with app.run_test(size=(44, 12)):
        app.grid.action_last()
        assert {each.color.name for each in styles_at(app.grid, 1) if each.color} == {"red"}
        app.grid.set_rows([coloured("green", "green"), row("two")])
        assert {each.color.name for each in styles_at(app.grid, 1) if each.color} == {"green"}


@pytest.mark.parametrize("theme", ["textual-light", "nord", "catppuccin-mocha", "solarized-dark"])
async def test_whatever_its_colours_the_row_of_the_cursor_can_be_read(theme: str) -> None:
    app = Table(coloured("#8b93a1", "#ffa62b", "#4ebf71"))
    async with app.run_test(size=(44, 12)) as pilot:
        app.theme = theme
        await pilot.pause()
        shown = styles_at(app.grid, 1)
        assert len(shown) == 3
        for each in shown:
            assert each.color and each.color.triplet and each.bgcolor and each.bgcolor.triplet
            assert contrast(each.color.triplet, each.bgcolor.triplet) >= LEAST


async def test_in_the_terminals_own_colours_the_cursor_is_one_bar_of_one_colour() -> None:
    app = Table(coloured("red", "yellow", "green"))
    async with app.run_test(size=(44, 12)) as pilot:
        app.theme = "ansi-dark"
        await pilot.pause()
        shown = styles_at(app.grid, 1)
        assert len(shown) == 3
        assert all(each.reverse and each.color is None for each in shown)


class Maker:
    """Late rows are of rows that are there already."""

    def row(self, item: Row, basis: object) -> Row:
        return item

    def sort(self, item: Row, basis: object) -> tuple[object, ...] | None:
        return item.sort


def made(new: Iterable[Row], late: bool) -> list[Row | LateRow]:
    return [LateRow(each.id, each, None, Maker()) if late else each for each in new]


def changed(given: list[Row | LateRow], dice: random.Random, late: bool) -> list[Row | LateRow]:
    kept = list(given)
    what = dice.random()
    if what < 0.5:
        for place in dice.sample(range(len(kept)), min(3, len(kept))):
            auth = dice.choice(("public", "private", "a longer word"))
            kept[place : place + 1] = made([row(kept[place].id, auth, dice.randrange(99))], late)
    elif what < 0.7 and len(kept) > 3:
        del kept[dice.randrange(len(kept))]
    elif what < 0.9:
        new = row(f"n{dice.randrange(10**6)}" + "x" * dice.choice((0, 0, 9)))
        kept[(at := dice.randrange(len(kept) + 1)) : at] = made([new], late)
    return kept


def on_screen(app: App[None]) -> list[str]:
    """With its styles, as it would be painted."""
    return [str(list(strip)) for strip in app.screen._compositor.render_strips()]
