"""What is said names the keys that are in force, and nothing that no key does."""

from __future__ import annotations

from pathlib import Path

import pytest

from fal_serverless.errors import InvalidSetting
from fal_tui import keymap
from fal_tui.actions import ACTIONS, STANDARD, Situation, why_not
from fal_tui.app import FalTui, Start
from fal_tui.bound import Bound
from fal_tui.keymap import read
from fal_tui.places import Place
from fal_tui.screens.lists import KINDS
from fal_tui.screenshot import Camera, camera
from fal_tui.widgets.bindings import WIDGETS
from tui.fake_backend import FakeBackend, revision_id
from tui.test_keymap import reading

SIZES = [(80, 24), (160, 45)]


def bound(folder: Path, **keys: str) -> Bound:
    lines = [f'"{name}" = "{key}"' for name, key in keys.items()]
    return read(reading(folder, "\n".join(["[keymap]", *lines])), WIDGETS).bound


def opening(folder: Path, fake: FakeBackend, text: str, **start: bool) -> FalTui:
    config = reading(folder, f"[keymap]\n{text}")
    return FalTui(config, config.context(), start=Start(**start), connect=fake.connect)


def test_what_has_no_key_is_reached_another_way(tmp_path: Path) -> None:
    assert STANDARD.way("serve") == "S" and STANDARD.way("context") == ":ctx"
    assert bound(tmp_path, serve="f2, f3").way("serve") == "f2"
    assert bound(tmp_path, serve="").way("serve") == "ctrl+p ▸ Serve"
    assert bound(tmp_path, serve="", palette="f9").way("serve") == "f9 ▸ Serve"
    assert bound(tmp_path, serve="", palette="").way("serve") == "? ▸ Serve"
    assert bound(tmp_path, serve="", palette="", help="").way("serve") == ""
    assert bound(tmp_path, command="f2").way("context") == "f2 ctx"
    assert bound(tmp_path, command="").way("context") == "ctrl+p ▸ Context"
    assert bound(tmp_path, **{"log.pause": ""}).way("log.pause") == ""


def test_a_hint_is_left_out_where_nothing_does_what_it_speaks_of(tmp_path: Path) -> None:
    hint = "No keys.[ Press {new} to make one.][ {log.pause} pauses.]"
    assert bound(tmp_path).say(hint) == "No keys. Press n to make one. p pauses."
    none = bound(tmp_path, new="", palette="", help="", **{"log.pause": "f2"})
    assert none.say(hint) == "No keys. f2 pauses."


def test_every_key_that_a_text_names_is_one_of_the_registry() -> None:
    known = Bound.of(ACTIONS, WIDGETS)
    for listing in KINDS.values():
        said = known.say(listing.nothing)
        assert not {"{", "[", "  "} & set(said) and said.endswith("."), said


def test_reasons_name_the_key_too(tmp_path: Path) -> None:
    keys = bound(tmp_path, go_keys="f5", **{"log.save": "", "log.search": "f4"})
    by_id = {action.id: action for action in ACTIONS}
    assert "Keys (f5)" in why_not(by_id["new"], Situation(Place("functions"), keys=keys))
    logs = Situation(Place("logs"), keys=keys)
    assert why_not(by_id["save"], logs) == "logs are saved from inside their pane"
    assert why_not(by_id["filter"], logs).endswith(", with f4")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"log.pause" = "s"', "'s' is the key of both 'log.follow' and 'log.pause'"),
        ('"log.pause" = "/"', "'/' is the key of both 'log.search' and 'log.pause'"),
        ('"list.sort" = "m"\n"list.mark" = "m"', "'m' is the key of both 'list.mark' and"),
        ('"pulse.narrow" = "j"', "'j' is the key of both 'list.down' and 'pulse.narrow'"),
        ('"list.down" = "e"', "'e' is the key of both 'list.down' and 'edit'"),
        ('auth = "k"', "'k' is the key of both 'list.up' and 'auth'"),
        ('"detail.down" = "y"', "'y' is the key of both 'detail.down' and 'json'"),
        ('"log.wrap" = "f"', "'f' is the key of both 'log.wrap' and 'full'"),
    ],
)
def test_of_two_that_want_a_key_neither_is_silently_lost(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        read(reading(tmp_path, f"[keymap]\n{text}"), WIDGETS)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        '"log.pause" = "z"',  # what lists do by it means nothing in a log
        '"list.down" = "k"\n"list.up" = "j"',
        '"list.down" = "e"\nedit = ""',
        'back = "backspace"\n"log.undo" = "backspace"',
    ],
)
def test_what_is_apart_may_have_the_same_key(tmp_path: Path, text: str) -> None:
    read(reading(tmp_path, f"[keymap]\n{text}"), WIDGETS)


OTHERS = """
serve = "f2"
invoke = "f3"
new = ""
back = "f6"
undo = "f7"
help = "f1"
palette = "f9"
next_tab = "f8"
previous_tab = ""
go_functions = "f5"
"log.last" = "f11"
"log.pause" = "f12"
"log.span" = ""
"""


async def said_at(seen: Camera, key: str, words: str) -> None:
    """In place of the rows; the beginning is looked for on the screen, where it may be folded."""
    await seen.press(key)
    await seen.until(lambda: words in empty(seen), words)
    assert empty(seen).split(".")[0][:30] in seen.text()


def empty(seen: Camera) -> str:
    main = seen.app.main
    return str(main.views.listing.grid.empty) if main and main.views.listing else ""


@pytest.mark.parametrize("size", SIZES)
async def test_empty_states_name_the_keys_in_force(
    tmp_path: Path, fake: FakeBackend, size: tuple[int, int]
) -> None:
    fake.revisions.clear()
    fake.aliases.clear()
    fake.keys.clear()
    async with camera(opening(tmp_path, fake, OTHERS), size) as seen:
        await said_at(seen, "f5", "Press f2 to serve a file")
        assert "served by f2 or by fal-tui FILE" in seen.text()
        assert "f7 undoes" in seen.text() and "f1 all keys" in " ".join(seen.text().split())
        await said_at(seen, "2", "Press f2 to serve a function")
        await said_at(seen, "3", "Press f5, then f3 on a function")
        await said_at(seen, "5", "Press f9 ▸ New to make one")
        await said_at(seen, "7", "Press f8 for the audit log, f5 for functions")
        await said_at(seen, "f8", "Press f5, then f2 to serve a file")
        await seen.press("0")
        await seen.until(lambda: "f8 range · p only this function" in seen.text(), "the ranges")


@pytest.mark.parametrize("size", SIZES)
async def test_toasts_and_filters_name_the_keys_in_force(
    tmp_path: Path, fake: FakeBackend, size: tuple[int, int]
) -> None:
    async with camera(opening(tmp_path, fake, OTHERS), size) as seen:
        await seen.press("slash", *"zzq", "enter")
        await seen.until(lambda: "Press f6 to clear the filter" in seen.text(), "the hint")
        await seen.press("f6", "G", "R", "y")
        await seen.until(lambda: "f7 undoes" in seen.text(), "the toast")
        await seen.press("f7")
        await seen.until(lambda: "Undone: call is back" in seen.text(), "the undo")
        assert fake.aliases["call"].revision == revision_id(2)


@pytest.mark.parametrize("size", SIZES)
async def test_the_title_of_a_log_names_the_keys_in_force(
    tmp_path: Path, fake: FakeBackend, size: tuple[int, int]
) -> None:
    for number in range(60):
        fake.log(f"line {number}")
    async with camera(opening(tmp_path, fake, OTHERS), size) as seen:
        await seen.press("4")
        await seen.until(lambda: "line 59" in seen.text(), "the lines")
        await seen.press("k")
        assert "held · f11 follows" in seen.text()
        fake.log("line 60")
        await seen.until(lambda: "+1 new · f11" in seen.text(), "the chip")
        await seen.press("f12")
        await seen.until(lambda: "waiting · f12" in seen.text(), "the pause")


@pytest.mark.parametrize("size", SIZES)
async def test_a_key_of_a_widget_can_be_none(
    tmp_path: Path, fake: FakeBackend, size: tuple[int, int]
) -> None:
    fake.log("a line")
    text = '"log.pause" = ""\n"log.follow" = ""\n"list.unmark" = ""\n"list.mark" = "v"'
    async with camera(opening(tmp_path, fake, text), size) as seen:
        await seen.press("v")
        assert " 1 marked" in seen.text() and "Unmark" not in seen.text()
        await seen.press("u")
        assert " 1 marked" in seen.text()
        await seen.press("4")
        await seen.until(lambda: "a line" in seen.text(), "the line")
        await seen.press("p", "s")
        assert "paused" not in seen.text() and "● following" in seen.text()
        footer = seen.text().splitlines()[-1]
        assert "Pause" not in footer and "Follow" not in footer and "enter Line" in footer


async def test_an_unbound_tab_does_nothing(tmp_path: Path, fake: FakeBackend) -> None:
    async with camera(opening(tmp_path, fake, 'swap = ""'), (160, 45)) as seen:
        await seen.press("tab")
        assert seen.app.main is not None and seen.app.main.pane == "list"
        assert seen.app.main.focused is seen.app.main.views.target


async def test_the_key_that_quits_is_the_one_of_the_config_file(
    tmp_path: Path, fake: FakeBackend
) -> None:
    text = 'quit = "f10"\npalette = "f9"\nrollback = "ctrl+p"\nauth = "ctrl+q"'
    async with camera(opening(tmp_path, fake, text), (120, 30)) as seen:
        await seen.press("G", "ctrl+q")
        await seen.until(lambda: "Who may call call?" in seen.text(), "what it does now")
        await seen.press("escape", "ctrl+p")
        await seen.until(lambda: "Roll back call" in seen.text(), "what it does now")
        await seen.press("f10")
        await seen.until(lambda: "the backend goes on serving" in seen.text(), "the question")
        await seen.press("q")
        assert seen.app.return_code == 0


async def test_ctrl_c_says_what_quits(tmp_path: Path, fake: FakeBackend) -> None:
    async with camera(opening(tmp_path, fake, 'quit = ""'), (120, 30)) as seen:
        await seen.press("ctrl+c")
        await seen.until(lambda: "ctrl+p ▸ Quit quits" in seen.text(), "the hint")


async def test_what_was_read_at_the_start_is_not_read_again(
    tmp_path: Path, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = reading(tmp_path, '[keymap]\nhelp = "f1"')
    found = read(config, WIDGETS)
    monkeypatch.setattr(keymap, "read", None)
    app = FalTui(config, config.context(), connect=fake.connect, keymap=found)
    assert app.get_default_screen()._help == "f1"  # type: ignore[attr-defined]
    async with camera(app, (120, 30)) as seen:
        await seen.press("f1", *"f1")
        await seen.until(lambda: "All keys, searchable" in seen.text(), "the help")
