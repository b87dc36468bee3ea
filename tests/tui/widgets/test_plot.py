"""Plots: dots, scales, and lines of an exact width."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest
from textual.app import App, ComposeResult

from fal_tui.dots import with_dots
from fal_tui.palette import PLAIN
from fal_tui.widgets.braille import EMPTY, Canvas, spread
from fal_tui.widgets.plot import Curve, Plot, Plots, ceiling, draw, floor


def drawn(canvas: Canvas) -> list[str]:
    return ["".join(chr(EMPTY + mask) for mask in row) for row in canvas.masks]


def test_an_area_stands_on_the_ground_and_the_least_is_seen() -> None:
    canvas = Canvas(2, 2)
    canvas.area([0.0, 0.01, 1.0, None])
    assert drawn(canvas) == ["⠀⡇", "⢀⡇"]


def test_a_line_joins_its_neighbours_but_not_over_a_gap() -> None:
    joined, cut = Canvas(2, 2), Canvas(2, 2)
    joined.line([0.0, 1.0, 1.0, 0.0])
    assert drawn(joined) == ["⢸⢱", "⡸⢸"]
    cut.line([0.0, None, 1.0, 1.0])
    assert drawn(cut) == ["⠀⠉", "⡀⠀"]


def test_levels_that_are_too_high_or_too_low_stay_inside() -> None:
    canvas = Canvas(1, 1)
    canvas.line([7.0, -3.0])
    assert drawn(canvas) == ["⢱"]


def test_of_values_that_fall_on_one_place_the_largest_is_shown() -> None:
    assert spread([1, 5, 2, None, None, None], 6, 3) == [5, 2, None]
    assert spread([1, 5, 2, 4], 4, 2, fmean) == [3, 3]


def test_few_values_are_stretched_and_missing_ones_are_the_oldest() -> None:
    assert spread([1, 2], 2, 4) == [1, 1, 2, 2]
    assert spread([8], 4, 4) == [None, None, None, 8]
    assert spread([], 4, 2) == [None, None]


@pytest.mark.parametrize(
    ("value", "found"), [(0, 1), (1, 1), (1.01, 2), (3, 5), (6, 10), (400, 500), (20_000, 20_000)]
)
def test_an_axis_ends_at_a_round_number(value: float, found: float) -> None:
    assert ceiling(value, 1.0) == pytest.approx(found)


def test_a_logarithmic_axis_begins_at_a_power_of_ten() -> None:
    assert [floor(value) for value in (0.5, 1.0, 5, 200)] == [0.1, 0.1, 1, 100]


def plot(*values: float | None, log: bool = False, kind: str = "area") -> Plot:
    curve = Curve("all", values, "7/s", kind=kind)  # type: ignore[arg-type]
    return Plot("Calls", (curve,), len(values), "5m ago", lambda v: f"{v:g}/s", "none", log=log)


def texts(plot: Plot, width: int, height: int) -> list[str]:
    return [line.plain for line in draw(plot, width, height, PLAIN)]


def test_a_plot_has_title_axes_and_time() -> None:
    assert texts(plot(0, 1, 2, 4), 24, 5) == [
        "Calls  ▄ all 7/s        ",
        "5/s                ⣤⣤⣤⣤⣤",
        "              ⣀⣀⣀⣀⣀⣿⣿⣿⣿⣿",
        "0/s      ⣶⣶⣶⣶⣶⣿⣿⣿⣿⣿⣿⣿⣿⣿⣿",
        "    5m ago           now",
    ]


def test_on_a_logarithmic_axis_each_power_of_ten_is_as_high() -> None:
    lines = texts(plot(2, 20, 200, log=True, kind="line"), 13, 5)
    assert [line[:5] for line in lines[1:4]] == ["200/s", "     ", "  1/s"]
    top, middle, bottom = (line[6:] for line in lines[1:4])
    assert top.lstrip()[:1] and middle.strip() and bottom.strip()
    assert len(top) - len(top.lstrip()) > len(middle) - len(middle.lstrip()) > 0


def test_where_nothing_is_that_is_said_in_the_middle() -> None:
    assert "none" in texts(plot(0, 0), 24, 5)[2]


@pytest.mark.parametrize(
    ("width", "seen"),
    [(60, "no calls in the last 5 minutes; press i"), (40, "no calls in the last 5 minutes"),
     (24, "no calls")],
)  # fmt: skip
def test_what_is_said_there_is_as_long_as_there_is_room(width: int, seen: str) -> None:
    said = replace(plot(0, 0), nothing="no calls in the last 5 minutes; press i")
    assert texts(said, width, 5)[2].strip() == seen
    assert "none" in texts(plot(None, None, log=True), 24, 5)[2]


@pytest.mark.parametrize("width", [1, 5, 12, 80])
@pytest.mark.parametrize("height", [4, 6, 12])
def test_every_line_has_its_width_however_small(width: int, height: int) -> None:
    lines = draw(plot(1, 2, None), width, height, PLAIN)
    assert [line.cell_len for line in lines] == [width] * height


def test_what_does_not_fit_the_title_is_left_out_whole() -> None:
    curves = tuple(Curve(name, (1.0,), "1/s") for name in ("first", "second"))
    both = Plot("Calls", curves, 1, "5m ago", str, "none")
    assert draw(both, 30, 4, PLAIN)[0].plain.strip() == "Calls  ─ first 1/s"


def test_later_curves_are_drawn_over_earlier_ones() -> None:
    curves = (Curve("a", (1.0,), "", "red", "area"), Curve("b", (1.0,), "", "blue", "area"))
    line = draw(Plot("x", curves, 1, "", str, ""), 20, 4, PLAIN)[1]
    styles = {str(span.style) for span in line.spans}
    assert "blue" in styles and "red" not in styles


class Shell(App[None]):
    def compose(self) -> ComposeResult:
        yield Plots()


async def test_an_odd_size_does_not_harm_the_widget() -> None:
    app = Shell()
    async with app.run_test(size=(7, 3)) as pilot:
        plots = app.query_one(Plots)
        plots.show([plot(1, 2)] * 4, PLAIN)
        for size in ((3, 2), (200, 50), (1, 1)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert len(plots.render_line(0)) >= 0


def test_braille_of_a_picture_becomes_dots_and_text_stays() -> None:
    text = '<text class="r1" x="12.2" y="20" textLength="9" clip-path="u">a⣿⡀&lt;&amp;</text>'
    made = with_dots(text)
    assert made.count("M") == 9
    assert made.startswith('<path class="r1"') and "⣿" not in made
    assert ">a\u00a0\u00a0&lt;&amp;</text>" in made
    plain = '<text class="r1" x="0" y="20" textLength="9">a&#160;b</text>'
    assert with_dots(plain) == plain
