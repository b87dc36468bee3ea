"""How fast are our table and our log beside Textual's own, in the same run?

    python tests/benchmarks/bench_tui_widgets.py

Only the ratios hold on another machine. Each case draws to a headless terminal of 120x40.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import DataTable, Log, RichLog

from fal_serverless.models import LogEntry
from fal_tui.logs.filters import Filter
from fal_tui.widgets.grid import Column, Grid, Row
from fal_tui.widgets.log_view import LogView

ROWS = 10_000
LINES = 100_000
RICH_LINES = 5_000
"""RichLog gets fewer: its time per line is what counts."""
NAMES = ("name", "alias", "auth", "workers", "rate", "errors", "p50", "served")

Case = Callable[[Any, Pilot[None]], Awaitable[float]]


class Stage(App[None]):
    """One widget, nothing else."""

    def __init__(self, widget: Widget) -> None:
        super().__init__()
        self.widget = widget

    def compose(self) -> ComposeResult:
        yield self.widget


@dataclass(frozen=True)
class Result:
    what: str
    ours: float
    """Seconds."""
    theirs: float
    theirs_name: str

    def line(self) -> str:
        ratio = self.theirs / self.ours
        return (
            f"{self.what:<38} ours {self.ours * 1000:9.2f} ms   "
            f"{self.theirs_name} {self.theirs * 1000:9.2f} ms   {ratio:7.1f}x"
        )


async def measured(widget: Widget, case: Case) -> float:
    app = Stage(widget)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        return await case(widget, pilot)


def cells(number: int, turn: int = 0) -> tuple[str, ...]:
    return (f"function-{number}", f"alias-{number}", "private", "2 ready", f"{number + turn}",
            "0.0", f"{number % 90} ms", "5m")  # fmt: skip


def rows(turn: int = 0) -> list[Row]:
    return [Row(str(number), cells(number, turn)) for number in range(ROWS)]


def grid() -> Grid:
    return Grid([Column(name, name.upper()) for name in NAMES])


async def fill_grid(widget: Grid, pilot: Pilot[None]) -> float:
    given = rows()
    started = perf_counter()
    widget.set_rows(given)
    await pilot.pause()
    return perf_counter() - started


async def fill_table(widget: DataTable[str], pilot: Pilot[None]) -> float:
    widget.add_columns(*NAMES)
    started = perf_counter()
    for number in range(ROWS):
        widget.add_row(*cells(number), key=str(number))
    await pilot.pause()
    return perf_counter() - started


async def update_grid(widget: Grid, pilot: Pilot[None]) -> float:
    widget.set_rows(rows())
    await pilot.pause()
    given = rows(turn=1)
    started = perf_counter()
    widget.set_rows(given)
    await pilot.pause()
    return perf_counter() - started


async def update_table(widget: DataTable[str], pilot: Pilot[None]) -> float:
    await fill_table(widget, pilot)
    started = perf_counter()
    widget.clear()
    for number in range(ROWS):
        widget.add_row(*cells(number, 1), key=str(number))
    await pilot.pause()
    return perf_counter() - started


def paged(fill: Case) -> Case:
    async def page(widget: Any, pilot: Pilot[None]) -> float:
        await fill(widget, pilot)
        widget.focus()
        await pilot.pause()
        started = perf_counter()
        for _ in range(20):
            await pilot.press("pagedown")
        return (perf_counter() - started) / 20

    return page


def message(number: int) -> str:
    return f"line {number}: handled a request with a text of some length in {number % 97} ms"


def entries(count: int) -> list[LogEntry]:
    now = datetime.now(UTC)
    return [
        LogEntry(number, now, "STDOUT", "user", message(number), "1") for number in range(count)
    ]


async def write_view(widget: LogView, pilot: Pilot[None]) -> float:
    given = entries(LINES)
    started = perf_counter()
    for at in range(0, LINES, 1000):
        widget.write(given[at : at + 1000])
    await pilot.pause(0.06)
    return (perf_counter() - started - 0.06) / LINES * 1000


async def write_log(widget: Log, pilot: Pilot[None]) -> float:
    started = perf_counter()
    for at in range(0, LINES, 1000):
        widget.write_lines([message(number) for number in range(at, at + 1000)])
    await pilot.pause()
    return (perf_counter() - started) / LINES * 1000


async def write_rich(widget: RichLog, pilot: Pilot[None]) -> float:
    started = perf_counter()
    for number in range(RICH_LINES):
        widget.write(message(number))
    await pilot.pause()
    return (perf_counter() - started) / RICH_LINES * 1000


async def filter_view(widget: LogView, pilot: Pilot[None]) -> float:
    widget.write(entries(LINES))
    await pilot.pause(0.1)
    started = perf_counter()
    widget.set_filters([Filter("keep", "text.*9[0-6] ms")])
    await pilot.pause()
    return perf_counter() - started


async def wrap_view(widget: LogView, pilot: Pilot[None]) -> float:
    widget.write(entries(LINES))
    await pilot.pause(0.1)
    started = perf_counter()
    widget.wrap = True
    await pilot.pause()
    return perf_counter() - started


async def results() -> list[Result]:
    fill_ours, fill_theirs = (
        await measured(grid(), fill_grid),
        await measured(DataTable(), fill_table),
    )
    new_ours, new_theirs = (
        await measured(grid(), update_grid),
        await measured(DataTable(), update_table),
    )
    page_ours, page_theirs = (
        await measured(grid(), paged(fill_grid)),
        await measured(DataTable(), paged(fill_table)),
    )
    view = await measured(LogView(LINES), write_view)
    return [
        Result(f"fill {ROWS:,} rows", fill_ours, fill_theirs, "DataTable"),
        Result(f"change {ROWS:,} rows", new_ours, new_theirs, "DataTable"),
        Result(f"page down in {ROWS:,} rows", page_ours, page_theirs, "DataTable"),
        Result("log, per 1,000 lines", view, await measured(Log(), write_log), "Log      "),
        Result("log, per 1,000 lines", view, await measured(RichLog(), write_rich), "RichLog  "),
    ]


async def main() -> None:
    for result in await results():
        print(result.line())
    filtered = await measured(LogView(LINES), filter_view)
    wrapped = await measured(LogView(LINES), wrap_view)
    print(f"filter {LINES:,} lines by an expression    {filtered * 1000:9.2f} ms")
    print(f"wrap {LINES:,} lines                       {wrapped * 1000:9.2f} ms")


if __name__ == "__main__":
    asyncio.run(main())
