"""Keys that are typed faster than what they do is done."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from textual.events import Key
from textual.widgets import TextArea

from fal_serverless.config import Config
from fal_tui.app import FalTui
from fal_tui.screenshot import Camera
from fal_tui.turns import FLOW
from fal_tui.widgets.line_panel import LinePanel
from tui.conftest import Opening
from tui.fake_backend import FakeBackend, revision_id

NAMES = {
    "enter": "\r", "escape": "\x1b", "tab": "\t", "ctrl+j": "\n", "colon": ":", "slash": "/",
    "question_mark": "?", "space": " ", "full_stop": ".", "minus": "-",
}  # fmt: skip


def at_once(seen: Camera, *keys: str) -> None:
    """All of them, before any is looked at."""
    for key in keys:
        seen.app.post_message(Key(key, NAMES.get(key, key if len(key) == 1 else None)))


def main_of(seen: Camera) -> Any:
    return seen.app.main


async def test_the_last_of_several_screens_is_the_one_that_is_seen(opened: Opening) -> None:
    async with opened() as seen:
        at_once(seen, *"24153705")
        await seen.until(lambda: main_of(seen).place.kind == "keys", "the last one")
        await seen.until(lambda: "0a1b2c3d" in seen.text(), "its rows")
        assert main_of(seen).views.listing.display
        shown = [each for each in main_of(seen).views.children if each.display]
        assert len(shown) == 1


async def test_what_is_typed_behind_the_key_of_a_dialog_reaches_the_dialog(
    opened: Opening,
) -> None:
    async with opened() as seen:
        at_once(seen, "G", "colon", *"rev call", "enter", "d")
        await seen.until(lambda: main_of(seen).place.kind == "revisions", "the revisions")
        await seen.until(lambda: type(seen.app.screen).__name__ == "PageScreen", "the page")
        at_once(seen, "escape", "question_mark", *"zzq")
        await seen.until(lambda: "zzq" in seen.text(), "the text in the help")
        at_once(seen, "escape", "slash", *"second")
        await seen.until(lambda: main_of(seen).views.listing.input.value == "second", "a filter")


async def test_what_is_typed_at_once_behind_i_is_in_the_body(opened: Opening) -> None:
    async with opened() as seen:
        at_once(seen, "G", "i", *"xyz")
        await seen.until(lambda: bool(seen.app.screen.query(TextArea)), "the editor")
        await seen.until(lambda: "xyz" in seen.app.screen.query_one(TextArea).text, "the text")
        at_once(seen, "escape", "2")
        await seen.until(lambda: main_of(seen).place.kind == "aliases", "the aliases")
        assert seen.app.screen is main_of(seen)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_a_roll_back_and_its_undo_in_one_go(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        at_once(seen, "G", "R", "y", "z", "5")
        await seen.until(lambda: main_of(seen).place.kind == "keys", "the keys")
        await seen.until(lambda: "Undone: call" in seen.text(), "the undo")
        assert [move.reason for move in fake.moves["call"][:2]] == ["undo", "rollback"]
        assert fake.aliases["call"].revision == revision_id(2)


async def test_the_next_key_finds_what_the_one_before_has_changed(
    opened: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as seen:
        host = seen.app.host
        assert host is not None
        monkeypatch.setattr(host.link, "want", lambda *_: None)  # nothing comes by itself
        at_once(seen, "G", "R", "y", "y")
        await seen.until(lambda: type(seen.app.screen).__name__ == "PageScreen", "the JSON")
        await seen.until(lambda: f'"live": "{revision_id(1)}"' in seen.text(), "the new one")


async def test_a_choice_by_its_key_is_not_a_key_of_the_list_too(opened: Opening) -> None:
    async with opened() as seen:
        at_once(seen, "5", "c", "1", "k")
        await seen.until(lambda: "Copied" in seen.text(), "the toast")
        assert main_of(seen).place.kind == "keys"


async def test_the_panel_of_a_line_gets_the_keys_behind_enter(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        fake.log("one of many")
        at_once(seen, "L", "tab", "tab")
        await seen.until(lambda: "one of many" in seen.text(), "the line")
        await seen.until(lambda: seen.app.focused is main_of(seen).log_pane.view, "the focus")
        at_once(seen, "enter", "down")
        await seen.until(lambda: isinstance(seen.app.screen, LinePanel), "the panel")
        panel = seen.app.screen
        assert isinstance(panel, LinePanel)
        await seen.until(lambda: panel._list.highlighted == 1, "the next row")
        at_once(seen, "c", "escape", "g", "2")
        await seen.until(lambda: main_of(seen).place.kind == "aliases", "the aliases")
        await seen.until(lambda: "Copied" in seen.text(), "the copy")


async def test_a_flow_that_takes_long_holds_up_nobody_for_ever(opened: Opening) -> None:
    async with opened() as seen:
        never = asyncio.Event()
        seen.app.run_worker(never.wait(), group=FLOW)
        main_of(seen).run_action_id = lambda _: seen.app.run_worker(never.wait(), group=FLOW)
        at_once(seen, "G", "z", "j", "z", "k")
        await seen.until(lambda: getattr(main_of(seen).item, "name", "") == "shout", "the cursor")
        never.set()


async def test_keys_that_come_before_the_application_has_begun_are_kept(
    fake: FakeBackend, config: Config
) -> None:
    app = FalTui(config, config.context(), connect=fake.connect)
    async with app.run_test(size=(120, 30)) as pilot:
        seen = Camera(app, pilot)
        assert app.dispatch is None
        at_once(seen, "2")
        await seen.until_loaded()
        await seen.until(lambda: main_of(seen).place.kind == "aliases", "the aliases")
