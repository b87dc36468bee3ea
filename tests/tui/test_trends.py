"""Figures of the past as plots, sparklines and rows."""

from __future__ import annotations

import pytest

from fal_serverless.models import FunctionPulse, Pulse, Series, Traffic
from fal_tui import trends
from fal_tui.headings import COLUMNS
from fal_tui.palette import PLAIN
from tui.fake_backend import two_functions


def figures(*requests: float, failed: tuple[float, ...] = ()) -> FunctionPulse:
    some = failed or (0.0,) * len(requests)
    return FunctionPulse("call", Traffic(), 5, 0, 0, 1, 0, requests, some)


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0"), (0.42, "0.4"), (1, "1"), (2.5, "2"), (12.4, "12"), (1500, "1.5k"), (20_000, "20k")],
)
def test_counts_are_short(value: float, written: str) -> None:
    assert trends.count(value) == written


def test_durations_on_an_axis_have_their_unit() -> None:
    assert [trends.millis(value) for value in (0.1, 20, 5000)] == ["0.1 ms", "20 ms", "5 s"]


def test_a_sparkline_is_as_high_as_its_own_highest() -> None:
    assert trends.sparkline(figures(0, 1, 2, 4), 4, PLAIN).plain == "▁▄▅█"
    assert trends.sparkline(figures(0, 0), 4, PLAIN).plain == "▁▁▁▁"
    assert trends.sparkline(trends.NONE, 4, PLAIN).plain == ""


def test_the_least_call_is_seen_beside_many() -> None:
    assert trends.sparkline(figures(0, 0.001, 1000), 3, PLAIN).plain == "▁▂█"


def test_failed_calls_are_red_in_a_sparkline() -> None:
    line = trends.sparkline(figures(1, 1, failed=(0, 1)), 2, PLAIN)
    assert [str(span.style) for span in line.spans] == [PLAIN.accent, PLAIN.bad]


def test_rates_are_calmed_and_lose_no_call() -> None:
    assert trends.calmed([0, 5, 0, 0, 0, 0, 0], 1) == [0, 2.5, 5 / 3, 1.25, 1, 1, 0]
    assert trends.calmed([0, 5, 0], 10) == [0, 5, 0]


def test_a_row_has_a_cell_and_a_value_for_each_column() -> None:
    function = two_functions().functions()[1]
    row = trends.row(function, figures(1, 2), 20, PLAIN)
    assert row.sort is not None
    assert len(row.cells) == len(row.sort) == len(COLUMNS["pulse"])
    assert trends.row(function, trends.NONE, 20, PLAIN).dim


def test_the_newest_figures_stand_beside_the_titles() -> None:
    rates = (0.0,) * 290 + (4.0,) * 10
    series = Series(rates, rates, (None,) * 300, (5.0,) * 300, rates, rates, rates)
    traffic = Traffic(240, 4.0, 30, 12.5, 3.0, 5.0)
    pulse = Pulse(300, 1, "", series, (), traffic)
    calls, latency, cold, workers = trends.plots(pulse, "5m", PLAIN)
    assert [curve.now for curve in calls.curves] == ["4/s", "0.5/s"]
    assert [curve.now for curve in latency.curves] == ["3.0 ms", "5.0 ms"]
    assert cold.curves[0].now == "40 in 5m" and cold.curves[0].label == "per second"
    assert [curve.now for curve in workers.curves] == ["4", "4"]


def test_no_past_at_all_makes_plots_as_well() -> None:
    for plot in trends.plots(Pulse(3600, 10, "", Series()), "1h", PLAIN):
        assert plot.length == 360 and plot.nothing


@pytest.mark.parametrize("width", [20, 40])
def test_the_trend_is_as_wide_as_there_is_room(width: int) -> None:
    (trend,) = [each for each in trends.columns(width) if each.key == "trend"]
    assert trend.width == width
