"""What is taken out of a log: one line in its panel, lines for the clipboard, a file, a pager."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from fal_tui.logs.filters import Filter
from fal_tui.widgets.line_panel import LinePanel
from tui.widgets.log_app import Logs, entries, entry


async def test_enter_takes_a_line_apart_and_every_value_can_be_copied() -> None:
    app = Logs()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.put(pilot, [*entries(5), entry(9, 'got {"a": ["x y"]}', request_id="r-1")])
        await pilot.press("enter")
        assert isinstance(app.screen, LinePanel)
        copied = []
        for keys in (["c"], ["j", "c"], ["j", "j", "c"], ["r"], ["m"], ["y"], ["G", "c"]):
            await pilot.press(*keys)
            copied.append(app.clipboard)
        assert copied[:5] == ['got {"a": ["x y"]}', '{"a": ["x y"]}', "x y", "r-1", copied[0]]
        assert json.loads(copied[5])["request_id"] == "r-1"
        assert copied[6] == "9"
        await pilot.press("enter")
        assert not isinstance(app.screen, LinePanel)


async def test_brackets_in_a_line_are_no_markup_in_its_panel() -> None:
    app = Logs()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.put(pilot, [entry(1, '[/oops] [b] {"[/x]": "[red]"}', worker="[/w]")])
        await pilot.press("enter")
        shown = "\n".join(row.text for row in app.screen._compositor.render_strips())
        assert "[/oops] [b]" in shown and '"[/x]": "[red]"' in shown and "[/w]" in shown


async def test_a_line_of_a_megabyte_opens_and_is_copied_whole() -> None:
    app = Logs()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.put(pilot, [entry(1, "x" * 1_000_000), entry(2, "one\ntwo")])
        await pilot.press("w", "g", "enter", "j", "G", "escape")
        assert "980,000 more characters" in "".join(
            strip.text for strip in app.view._body(app.view.buffer.shown[0])
        )
        assert len(app.view._text([0])) > 1_000_000


async def test_shown_lines_are_saved_to_a_file(tmp_path: Path) -> None:
    app = Logs(folder=tmp_path)
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(20))
        app.view.set_filters([Filter("keep", "1[0-4]")])
        await pilot.press("ctrl+s")
        (saved,) = tmp_path.iterdir()
        lines = saved.read_text().splitlines()
        assert [line.split()[-1] for line in lines] == ["10", "11", "12", "13", "14"]


async def test_what_is_saved_has_its_day_its_endpoint_and_all_lines(tmp_path: Path) -> None:
    app = Logs(folder=tmp_path)
    async with app.run_test(size=(80, 10)) as pilot:
        app.view.labels = True
        await app.put(pilot, [entry(1, "\x1b[31mone\x1b[0m\ntwo\x07", alias="call")])
        await pilot.press("ctrl+s")
        (saved,) = tmp_path.iterdir()
        today = datetime.now().astimezone()
        first, second = saved.read_text().splitlines()
        assert first.startswith(f"{today:%Y-%m-%d}") and first.endswith("stdout  call one")
        assert second == "two␇"


async def test_a_saved_file_is_never_written_over(tmp_path: Path) -> None:
    app = Logs(folder=tmp_path)
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(3))
        for _ in range(20):  # more than one in a second
            await pilot.press("ctrl+s")
        assert len(list(tmp_path.iterdir())) == 20


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    app = Logs(folder=tmp_path / "none")
    async with app.run_test(size=(80, 10), notifications=True) as pilot:
        await app.put(pilot, entries(2))
        await pilot.press("ctrl+s")
        await pilot.pause()
        (told,) = app._notifications
        assert "Cannot write" in told.message and told.severity == "error"


async def test_the_pager_gets_every_shown_line_with_its_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Logs()
    got = tmp_path / "got"
    monkeypatch.setenv("PAGER", f"tee {got}")
    async with app.run_test(size=(80, 10)) as pilot:
        monkeypatch.setattr(app, "suspend", contextlib.nullcontext)
        await app.put(pilot, [entry(1, "\x1b[31mred\x1b[0m"), *entries(20, 2)])
        app.view.set_filters([Filter("keep", "red|1.")])
        await pilot.press("vertical_line")
        lines = got.read_text().splitlines()
        assert len(lines) == 11 and "\x1b[31mred" in lines[0]


@pytest.mark.parametrize(
    ("pager", "told"),
    [
        ("/nowhere/pager", "cannot run '/nowhere/pager': No such file or directory"),
        ('less "', "cannot run 'less \"': No such file or directory"),
        ("false", "false ended with code 1"),
    ],
)
async def test_the_terminal_is_ours_again_after_a_pager_that_cannot_be_run(
    monkeypatch: pytest.MonkeyPatch, pager: str, told: str
) -> None:
    app = Logs()
    terminal = []

    @contextlib.contextmanager
    def suspend() -> Iterator[None]:
        """As Textual's: after an error inside, the application stays suspended."""
        terminal.append("away")
        yield
        terminal.append("back")

    monkeypatch.setenv("PAGER", pager)
    async with app.run_test(size=(80, 10), notifications=True) as pilot:
        monkeypatch.setattr(app, "suspend", suspend)
        await app.put(pilot, entries(3))
        await pilot.press("vertical_line")
        await pilot.pause()
        assert terminal == ["away", "back"]
        (said,) = app._notifications
        assert said.message == told and said.severity == "error"


async def test_copying_says_what_did_not_fit() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10), notifications=True) as pilot:
        await app.put(pilot, [entry(1, "x" * 1_000_000), *[entry(2, "y" * 40_000)] * 3])
        for keys in (["g", "c"], ["j", "space", "space", "c"]):
            await pilot.press(*keys)
        first, second = [each.message for each in app._notifications]
        assert first.startswith("Copied the first 74,994 of 1,000,0") and "characters" in first
        assert second == "Copied the first 1 of 2 lines: more do not fit"


async def test_copy_takes_the_marked_lines() -> None:
    app = Logs()
    async with app.run_test(size=(80, 10)) as pilot:
        await app.put(pilot, entries(20))
        app.view.go_to(3)
        await pilot.press("space", "j", "space", "c")
        assert [line.split()[-1] for line in app.clipboard.splitlines()] == ["3", "5"]
