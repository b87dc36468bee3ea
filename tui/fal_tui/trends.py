"""Figures of the past become plots, sparklines and rows. Pure: no widget, no clock, no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from rich.text import Text

from fal_serverless.models import Function, FunctionPulse, Pulse, Traffic
from fal_tui import naming, render
from fal_tui.actions import STANDARD
from fal_tui.bound import Bound
from fal_tui.headings import COLUMNS
from fal_tui.palette import Palette
from fal_tui.widgets.braille import spread
from fal_tui.widgets.columns import Column
from fal_tui.widgets.plot import Curve, Plot
from fal_tui.widgets.rows import Row

RANGES: dict[str, int] = {"5m": 300, "1h": 3600, "6h": 21_600}
"""How far back one can look, in seconds."""
WORDS = {"5m": "5 minutes", "1h": "hour", "6h": "6 hours"}
STEPS = {1: "second", 10: "10 s", 60: "minute"}
CALM = 5
"""Seconds that a plotted rate is the mean of, at least."""
BARS = "▁▂▃▄▅▆▇█"

NONE = FunctionPulse("", Traffic(), 0, 0, 0, 0, 0)
"""Of a function that was not called as far as the backend remembers."""


def per_second(value: float) -> str:
    """`0/s`, `0.4/s`, `12/s`, `1.5k/s`."""
    return f"{count(value)}/s"


def count(value: float) -> str:
    """`0`, `0.4`, `12`, `1.5k`."""
    if value >= 1000:
        return f"{value / 1000:.3g}k"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1g}"


def millis(value: float) -> str:
    """`0 ms`, `0.5 ms`, `20 ms`, `5 s`."""
    if value >= 1000:
        return f"{value / 1000:g} s"
    return f"{value:g} ms"


def plots(pulse: Pulse, range_: str, palette: Palette, keys: Bound = STANDARD) -> tuple[Plot, ...]:
    """Calls, latency, cold starts, workers.

    Rates and latency beside a title are those of the last minute.
    """
    series, step = pulse.series, pulse.step
    length, words = pulse.seconds // step, WORDS[range_]
    traffic = pulse.traffic
    failures = traffic.per_second * traffic.error_percent / 100
    plot = Plot("", (), length, f"{range_} ago", count, "")

    calls, failed = calmed(series.requests, step), calmed(series.errors, step)
    return (
        replace(
            plot,
            title="Calls",
            curves=(
                Curve("all", calls, per_second(traffic.per_second), palette.accent, merge=fmean),
                Curve("errors", failed, per_second(failures), palette.bad, "area", fmean),
            ),
            unit=per_second,
            nothing=f"no calls in the last {words}"
            + keys.say("[; press {invoke} to call a function]"),
        ),
        replace(
            plot,
            title="Latency",
            log=True,
            curves=(
                Curve("p50", series.p50_ms, render.millis(traffic.p50_ms), palette.good, "area"),
                Curve("p99", series.p99_ms, render.millis(traffic.p99_ms), palette.warn),
            ),
            unit=millis,
            nothing=f"no calls in the last {words}",
        ),
        replace(
            plot,
            title="Cold starts",
            curves=(
                Curve(
                    f"per {STEPS.get(step, f'{step} s')}",
                    series.cold_starts,
                    f"{sum(series.cold_starts):.0f} in {range_}",
                    palette.warn,
                    "area",
                ),
            ),
            nothing="no call waited for a worker",
        ),
        replace(
            plot,
            title="Workers",
            curves=(
                Curve("waiting", series.waiting, _last(series.waiting), palette.warn, "area"),
                Curve("workers", series.workers, _last(series.workers), palette.good),
            ),
            nothing=f"no worker in the last {words}",
        ),
    )


def calmed(values: Sequence[float], step: int) -> list[float]:
    """Each with those of the CALM seconds before it: a call a second is no zigzag."""
    width = max(1, CALM // step)
    return [fmean(values[max(end - width, 0) : end]) for end in range(1, len(values) + 1)]


def _last(values: Sequence[float]) -> str:
    return count(values[-1]) if values else "0"


def sparkline(figures: FunctionPulse, width: int, palette: Palette) -> Text:
    """Calls per second, as high as its own highest; red where calls failed."""
    text = Text()
    if not figures.requests:
        return text
    length = len(figures.requests)
    values = spread(figures.requests, length, width)
    failed = spread(figures.failed, length, width)
    top = max(figures.requests) or 1.0
    for value, bad in zip(values, failed, strict=True):
        if not value:
            text.append(BARS[0], palette.muted)
        else:
            bar = BARS[1 + round(value / top * (len(BARS) - 2))]
            text.append(bar, palette.bad if bad else palette.accent)
    return text


def columns(trend: int) -> tuple[Column, ...]:
    """`trend`: cells of the trend."""
    found = COLUMNS["pulse"]
    return tuple(replace(each, width=trend) if each.key == "trend" else each for each in found)


def trend_width(width: int) -> int:
    """Of a list that is so wide."""
    return 20 if width < 100 else 40


def row(function: Function, figures: FunctionPulse, trend: int, palette: Palette) -> Row:
    """`trend`: cells of the trend."""
    traffic = figures.traffic
    return Row(
        function.name,
        (
            render.function_name(function, palette),
            sparkline(figures, trend, palette),
            render.figure(render.rate(traffic), palette),
            render.figure(render.percent(traffic), palette, palette.bad if traffic.errors else ""),
            render.figure(render.millis(traffic.p50_ms), palette),
            render.figure(render.millis(traffic.p99_ms), palette),
            render.figure(_whole(figures.calls), palette),
            render.figure(_whole(figures.errors), palette, palette.bad),
            render.figure(_whole(figures.cold_starts), palette),
            render.figure(_whole(figures.workers), palette),
            render.figure(_whole(figures.waiting), palette, palette.warn),
        ),
        sort_of(function, figures),
        dim=figures is NONE,
    )


def sort_of(function: Function, figures: FunctionPulse) -> tuple[Any, ...]:
    """What each column of `row` is sorted by."""
    traffic = figures.traffic
    return (
        naming.called(function),
        figures.calls,
        traffic.per_second,
        traffic.error_percent,
        traffic.p50_ms,
        traffic.p99_ms,
        figures.calls,
        figures.errors,
        figures.cold_starts,
        figures.workers,
        figures.waiting,
    )


def _whole(value: int) -> str:
    return f"{value:,}" if value else "—"
