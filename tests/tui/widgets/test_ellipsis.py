"""Lines that are too long for their place are cut and marked; they push nothing out of sight."""

from __future__ import annotations

from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.widget import Widget
from textual.widgets import OptionList

from fal_serverless.models import PHASES
from fal_tui.screens import pick
from fal_tui.widgets.choice import Choice, Option
from fal_tui.widgets.phases import Phases, Progress

LONG = "with many words " * 20


class Shell(App[None]):
    def compose(self) -> ComposeResult:
        yield Phases()
        yield Choice([Option("a", "a", LONG)])


def lines(widget: Widget) -> list[str]:
    rows = [widget.render_line(y).text.rstrip() for y in range(widget.size.height)]
    return [row for row in rows if row]


async def test_what_a_phase_says_takes_one_line() -> None:
    app = Shell()
    async with app.run_test(size=(40, 10)):
        phases = app.query_one(Phases)
        phases.show(Progress().enter("bundle", LONG, 0.0).enter("upload", LONG, 1.0))
        drawn = lines(phases)
        assert [PHASES[n] in line for n, line in enumerate(drawn[1:])] == [True] * len(PHASES)
        assert drawn[1].endswith("…") and drawn[2].endswith("…")


async def test_a_choice_says_that_there_is_more() -> None:
    app = Shell()
    async with app.run_test(size=(40, 10)):
        (drawn,) = lines(app.query_one(Choice))
        assert drawn.endswith("…")


async def test_a_menu_has_a_line_for_each_choice_as_wide_as_its_box() -> None:
    app = Shell()
    async with app.run_test(size=(50, 10)) as pilot:
        choices = [pick.Choice("a", "one", LONG, "1"), pick.Choice("b", "two", LONG, "2")]
        await app.push_screen(pick.PickScreen("Copy", choices))
        await pilot.pause()
        drawn = lines(app.screen.query_one(OptionList))
        assert [line.split()[1] for line in drawn] == ["one", "two"]
        box = app.screen.query_one("#box")
        assert all(line.endswith("…") and len(line) <= box.size.width for line in drawn)


async def test_meanings_stand_below_each_other_behind_wide_characters_too() -> None:
    app = Shell()
    async with app.run_test(size=(50, 10)) as pilot:
        choices = [pick.Choice("a", "名前", "MEANS"), pick.Choice("b", "x.py", "MEANS")]
        await app.push_screen(pick.PickScreen("Copy", choices))
        await pilot.pause()
        drawn = lines(app.screen.query_one(OptionList))
        assert len({cell_len(line[: line.index("MEANS")]) for line in drawn}) == 1
