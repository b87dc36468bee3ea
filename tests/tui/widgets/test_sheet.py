"""Strips that are left alone look as those that Textual makes anew."""

from __future__ import annotations

import pytest
from textual._styles_cache import StylesCache
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip

from fal_tui.widgets.grid import Column, Grid, Row
from fal_tui.widgets.sheet import Sheet, is_plain

ROWS = [Row(str(number), (f"f{number}", "[red]private"), (number,)) for number in range(30)]


class Table(App[None]):
    def __init__(self, css: str = "") -> None:
        super().__init__()
        self.more = css

    def compose(self) -> ComposeResult:
        yield Grid((Column("name", "NAME"), Column("auth", "AUTH")), "Nothing")

    def on_mount(self) -> None:
        self.grid.set_rows(ROWS)
        self.grid.focus()
        for rule in filter(None, self.more.split(";")):
            name, value = rule.split(":")
            setattr(self.grid.styles, name.strip(), _value(value.strip()))

    @property
    def grid(self) -> Grid:
        return self.query_one(Grid)


def _value(text: str) -> object:
    if text.startswith("("):
        return tuple(int(number) for number in text.strip("()").split())
    return float(text) if text.replace(".", "").isdigit() else text


def frame(sheet: Sheet) -> list[Strip]:
    return sheet.render_lines(Region(0, 0, *sheet.outer_size))


def by_textual(sheet: Sheet) -> list[Strip]:
    ours, sheet._styles_cache = sheet._styles_cache, StylesCache()
    try:
        return frame(sheet)
    finally:
        sheet._styles_cache = ours


def cells(strips: list[Strip]) -> list[list[tuple[str, object]]]:
    """Each cell with its looks, however the strip is cut into segments."""
    return [
        [(letter, segment.style) for segment in strip for letter in segment.text]
        for strip in strips
    ]


@pytest.mark.parametrize(
    ("css", "plain"),
    [
        ("", True),
        ("padding: (0 1 0 0)", True),
        ("padding: (0 1 0 2)", False),
        ("padding: (1 0 0 0)", False),
        ("tint: #ff0000 50%", False),
        ("opacity: 0.5", True),
        ("text_opacity: 0.5", False),
    ],
)
async def test_a_frame_looks_the_same(css: str, plain: bool) -> None:
    app = Table(css)
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.press("j", "space")
        await pilot.pause()
        assert is_plain(app.grid.styles) is plain
        assert cells(frame(app.grid)) == cells(by_textual(app.grid))


async def test_a_border_is_drawn() -> None:
    app = Table()
    async with app.run_test(size=(40, 12)) as pilot:
        app.grid.styles.border = ("round", "red")
        await pilot.pause()
        assert frame(app.grid)[0].text.startswith("╭──")
        assert cells(frame(app.grid)) == cells(by_textual(app.grid))


async def test_rows_that_stay_are_not_made_again() -> None:
    app = Table()
    async with app.run_test(size=(40, 12)) as pilot:
        before = frame(app.grid)
        app.grid.refresh()
        await pilot.pause()
        assert [id(strip) for strip in frame(app.grid)[1:]] == [id(strip) for strip in before[1:]]
