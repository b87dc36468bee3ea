"""Wide, save, edit, themes, marks: what one does with a list beside changing it."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from fal_serverless.config import Config
from fal_tui.__main__ import parser
from fal_tui.palette import PLAIN
from fal_tui.screenshot import Camera
from fal_tui.widgets.clipboard import MOST, cut, wrapped
from tui.conftest import Opening
from tui.fake_backend import FakeBackend, revision_id


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_wide_shows_long_texts_whole_and_leaves_the_detail_out(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    message = "a rather long message that says why this was served at all, to the end"
    known = fake.revisions[revision_id(2)]
    fake.revisions[known.id] = replace(known, message=message)
    async with opened(size) as seen:
        await seen.press("G", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "the revisions")
        grid = seen.text()
        assert "a rather long message" in grid and (size[0] < 100 or "overview" in grid)
        await seen.press("ctrl+w")
        assert ("to the end" in seen.text()) == (size[0] > 100)
        assert " overview " not in seen.text()
        await seen.press("tab")
        assert (" overview " in seen.text()) == (size[0] < 100)
        await seen.press("shift+tab", "ctrl+w")
        assert size[0] < 100 or " overview " in seen.text()


async def test_enter_on_what_opens_nothing_shows_the_detail_again(opened: Opening) -> None:
    async with opened((120, 30)) as seen:
        await seen.press("5", "ctrl+w")
        await seen.until(lambda: "first" in seen.text(), "the key")
        await seen.press("enter")
        assert "only its hash is stored" in seen.text()


def saved(folder: Path, suffix: str) -> Path:
    (found,) = folder.glob(f"*{suffix}")
    return found


async def test_a_list_is_saved_as_it_is_shown(
    opened: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened((80, 24)) as seen:
        await seen.press("slash", *"sh|ca", "enter", "ctrl+s")
        await seen.until(lambda: "Saved 2 rows to" in seen.text(), "the toast")
    rows = list(csv.reader(saved(tmp_path, ".csv").read_text().splitlines()))
    assert rows[0][:4] == ["NAME", "ALIASES", "LIVE", "AUTH"] and len(rows[0]) == 9
    assert [row[0] for row in rows[1:]] == ["shout", "call"]


async def test_a_page_is_saved_as_what_it_is(
    opened: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with opened((120, 30)) as seen:
        await seen.press("G", "tab", "full_stop")
        await seen.until(lambda: "return text.title()" in seen.text(), "the source")
        await seen.press("ctrl+s")
        await seen.until(lambda: "Saved 7 lines to" in seen.text(), "the toast")
    assert "return text.title()" in saved(tmp_path, ".py").read_text()


async def test_a_folder_that_cannot_be_written_is_told(
    opened: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "nowhere")
    async with opened((120, 30)) as seen:
        await seen.press("ctrl+s")
        await seen.until(lambda: "Not saved" in seen.text(), "the toast")


async def test_where_no_terminal_can_be_given_away_edit_says_so(opened: Opening) -> None:
    async with opened((120, 30)) as seen:
        await seen.press("G", "e")
        said = "this terminal cannot be given to another program"
        await seen.until(lambda: said in seen.text(), "the toast")


async def test_the_terminals_own_colours_are_a_theme(opened: Opening) -> None:
    async with opened((120, 30)) as seen:
        await seen.press("colon", *"theme ansi-dark", "enter")
        assert seen.app.host is not None
        assert seen.app.native_ansi_color and seen.app.host.palette == PLAIN
        await seen.press("colon", *"theme nord", "enter")
        assert seen.app.host.palette.good.startswith("#")


async def test_a_theme_is_seen_before_it_is_chosen(opened: Opening, config: Config) -> None:
    async with opened((80, 24)) as seen:
        app = seen.app
        before, themes = app.theme, sorted(app.available_themes)
        after = themes[themes.index(before) + 1]
        await seen.press("ctrl+t", "j")
        assert app.theme == after
        await seen.press("escape")
        assert app.theme == before and not config.paths.config.exists()
        await seen.press("ctrl+t", "j", "enter")
        await seen.until(lambda: config.paths.config.exists(), "the setting")
        assert app.theme == after and after in config.paths.config.read_text()


async def marked(seen: Camera, *names: str) -> None:
    assert seen.app.main is not None and seen.app.main.views.listing is not None
    for name in names:
        seen.app.main.views.select(name)
        await seen.press("space")


async def test_delete_takes_all_that_are_marked_and_names_each(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened((120, 30)) as seen:
        await marked(seen, "call", "shout")
        await seen.press("g", "D")
        await seen.until(lambda: "Function shout" in seen.text(), "the question")
        assert "Function call with 2 revisions" in seen.text() and "whisper with" not in seen.text()
        await seen.press("y")
        await seen.until(lambda: len(fake.functions()) == 1, "the deletes")
    gone = [path for method, path in fake.requests if method == "DELETE"]
    assert sorted(gone) == ["/v1/functions/call", "/v1/functions/shout"]


async def test_marks_and_cursor_stay_with_their_items_when_the_order_changes(
    opened: Opening,
) -> None:
    async with opened((160, 45)) as seen:
        await marked(seen, "call")
        assert seen.app.main is not None
        seen.app.main.views.select("shout")
        await seen.press("O", "O")
        assert getattr(seen.app.main.item, "name", "") == "shout"
        assert [getattr(each, "name", "") for each in seen.app.main.views.marked] == ["call"]
        assert "NAME ▼" in seen.text()
        await seen.press("shift+right", "shift+right", "O")
        assert "▲" in seen.text() and "NAME ▼" not in seen.text()


def test_the_mouse_can_be_left_to_the_terminal() -> None:
    assert parser().parse_args(["--no-mouse"]).no_mouse
    assert not parser().parse_args([]).no_mouse


def test_what_goes_to_the_clipboard_passes_tmux_and_has_a_limit() -> None:
    assert wrapped("hi") == "\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\"
    assert len(cut("line\n" * MOST)) <= MOST and cut("short") == "short"
