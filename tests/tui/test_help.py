"""The help and the palette: all that can be done, by the keys in force, found and run."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.command import CommandPalette

from fal_tui.actions import ACTIONS, Situation
from fal_tui.places import HOME
from fal_tui.screens.help import Entry, HelpScreen, entries, matching
from fal_tui.screenshot import Camera, camera
from fal_tui.widgets.bindings import WIDGETS
from tui.conftest import Opening
from tui.fake_backend import FakeBackend
from tui.test_bound import bound, opening

SIZES = [(80, 24), (160, 45)]


def helped(folder: Path, **keys: str) -> list[Entry]:
    return entries(Situation(HOME, keys=bound(folder, **keys)), ACTIONS, WIDGETS)


def found(folder: Path, text: str, **keys: str) -> list[str]:
    return [each.id for each in matching(helped(folder, **keys), text)]


def test_it_has_an_entry_for_all_that_a_key_can_do(tmp_path: Path) -> None:
    named = [each.id for widget in WIDGETS for each in widget.named]
    ids = [each.id for each in helped(tmp_path)]
    assert ids == [*(action.id for action in ACTIONS), *named]
    assert len(ids) == len(set(ids))
    assert all(each.help and not {"{", "["} & set(each.help) for each in helped(tmp_path))


def test_what_is_typed_may_be_a_key(tmp_path: Path) -> None:
    assert found(tmp_path, "ctrl+t") == ["theme"]
    assert found(tmp_path, ".")[0] == "next_tab" and found(tmp_path, "[")[0] == "previous_tab"
    assert found(tmp_path, "|")[0] == "log.pager"
    assert found(tmp_path, "f4", rollback="f4") == ["rollback"]
    assert found(tmp_path, "zzq") == []


def test_what_is_typed_may_be_a_filter(tmp_path: Path) -> None:
    assert found(tmp_path, "^S Serve") == ["serve"]
    assert "serve" not in found(tmp_path, "!serve") and len(found(tmp_path, "!serve")) > 50


def test_an_entry_without_a_key_has_its_command_line_or_none(tmp_path: Path) -> None:
    by_id = {each.id: each for each in helped(tmp_path, delete="", **{"log.pause": ""})}
    assert by_id["delete"].keys == () and by_id["log.pause"].keys == ()
    assert by_id["context"].keys == (":ctx",)
    assert by_id["list.mark"].help.startswith("Mark, for ctrl+p ▸ Delete and X;")


async def helping(seen: Camera, *keys: str) -> None:
    await seen.press("question_mark")
    await seen.until(lambda: isinstance(seen.app.screen, HelpScreen), "the help")
    await seen.press(*keys)


@pytest.mark.parametrize("size", SIZES)
async def test_enter_runs_a_key_of_the_list_as_it_runs_an_action(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        main = seen.app.main
        await helping(seen, *"last list", "enter")
        assert seen.app.screen is main and main.item == fake.functions()[-1]
        await helping(seen, *"mark, for", "enter")
        assert len(main.views.marked) == 1 and main.views.marks == (1, 0)
        await helping(seen, *"audit log", "enter")
        await seen.until(lambda: main.place.kind == "activity", "the screen")


@pytest.mark.parametrize("size", SIZES)
async def test_enter_runs_a_key_of_the_log_pane_where_it_has_the_focus(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    fake.log("a line")
    async with opened(size) as seen:
        await helping(seen, *"pause", "enter")
        assert isinstance(seen.app.screen, HelpScreen)
        await seen.until(lambda: "Pause: it works in: Log pane." in seen.text(), "the reason")
        await seen.press("escape", "4")
        await seen.until(lambda: "a line" in seen.text(), "the line")
        await helping(seen, *"pause", "enter")
        await seen.until(lambda: "paused" in seen.text(), "the pause")


@pytest.mark.parametrize("size", SIZES)
async def test_enter_on_what_cannot_be_done_says_why(
    opened: Opening, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        await helping(seen, *"undo the", "enter")
        assert isinstance(seen.app.screen, HelpScreen)
        await seen.until(lambda: "Undo: there is no move or auth" in seen.text(), "the reason")


KEYS = """
serve = ""
rollback = "ctrl+b"
help = "f1"
palette = "f9"
"""


@pytest.mark.parametrize("size", SIZES)
async def test_what_has_no_key_runs_from_help_and_palette(
    tmp_path: Path, fake: FakeBackend, size: tuple[int, int]
) -> None:
    async with camera(opening(tmp_path, fake, KEYS), size) as seen:
        await seen.press("G", "S")
        assert seen.app.screen is seen.app.main
        await seen.press("f1", *"ctrl+b")
        assert "ctrl+b" in seen.text() and "Roll back: point an alias at another" in seen.text()
        await seen.press(*["backspace"] * 6, *"serve a", "enter")
        await seen.until(lambda: "tab complete" in seen.text(), "the serve screen")
        await seen.press("escape", "f9")
        await seen.until(lambda: isinstance(seen.app.screen, CommandPalette), "the palette")
        await seen.press(*"roll back")
        await seen.until(lambda: "Roll back  ctrl+b" in seen.text(), "its entry")
        await seen.press(*["backspace"] * 9, *"serve")
        await seen.until(lambda: "Serve a function of a file" in seen.text(), "its entry")
        await seen.press("enter")
        await seen.until(lambda: "tab complete" in seen.text(), "the serve screen")
