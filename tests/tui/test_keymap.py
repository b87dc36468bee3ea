"""Other keys and own commands, as the config file wants them."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from fal_serverless.config import Config, load
from fal_serverless.errors import InvalidSetting
from fal_tui.actions import Situation, why_not
from fal_tui.app import FalTui, Start
from fal_tui.flows.programs import line_of
from fal_tui.keymap import keys, read, words
from fal_tui.places import HOME, Place
from fal_tui.screenshot import camera
from fal_tui.values import values
from fal_tui.widgets.bindings import WIDGETS
from tui.fake_backend import FakeBackend, revision_id, two_functions


def reading(folder: Path, text: str) -> Config:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(text)
    return load({"FAL_SERVERLESS_HOME": str(home), "PATH": "/usr/bin:/bin"})


@pytest.mark.parametrize(
    ("text", "written"),
    [("R", "R"), ("?", "question_mark"), ("ctrl+b, f5", "ctrl+b,f5"), (",", "comma"), ("", "")],
)
def test_keys_are_written_as_people_write_them(text: str, written: str) -> None:
    assert keys("rollback", text) == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[keymap]\nrolback = "b"', "no action 'rolback'; did you mean 'rollback'"),
        ('[keymap]\nrollback = "hyperspace"', "'hyperspace' is no key for 'rollback'"),
        ('[keymap]\nrollback = "contrl+b"', "'contrl+b' is no key for 'rollback'"),
        ('[keymap]\nrollback = "D"', "'D' is the key of both 'rollback' and 'delete'"),
        ("[keymap]\nrollback = 1", "the keys of 'rollback' must be a text"),
        ('[commands.x]\nkey = "N"', "needs run"),
        ('[commands.x]\nrun = "a"\nkeys = "N"', "no field 'keys'; there are: key, run"),
        ('[commands.x]\nrun = "a {nope}"', "no placeholder '{nope}'; there are: name, id"),
        ('[commands.x]\nrun = "a \'b"', "run has an open quote"),
        ('[commands.x]\nrun = "a"\nconfirm = "yes"', "confirm must be a bool"),
        ('[commands.x]\nrun = "a"\nscreens = ["nope"]', "no screen 'nope'; there are: functions"),
        ('[commands.x]\nrun = "a"\nkey = "S"', "'S' is the key of both 'serve' and 'command.x'"),
        ("[commands.x]\nrun = \"env bash -lc 'echo {name}'\"", "a shell's script"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_there_is(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        read(reading(tmp_path, text), WIDGETS)
    assert said in str(caught.value)


def test_a_value_stays_one_word_whatever_is_in_it(tmp_path: Path) -> None:
    config = reading(tmp_path, "[commands.x]\nrun = \"sh -c 'echo $1' sh {name} --at={url}\"")
    found = words(config.commands[0], {"name": "a b; rm -rf $(x) '", "url": "u v"})
    assert found == ["sh", "-c", "echo $1", "sh", "a b; rm -rf $(x) '", "--at=u v"]
    assert line_of(["a", "b\x1b[2J\nc"]) == "a 'b␛[2J␊c'"


def test_it_says_what_is_missing_under_the_cursor(tmp_path: Path) -> None:
    text = '[commands.x]\nrun = "a {alias} {context}"\nscreens = ["functions"]'
    (action,) = (a for a in read(reading(tmp_path, text)).actions if a.id == "command.x")
    fake = two_functions()
    lone, *_, call = fake.functions()
    assert why_not(action, Situation(HOME, call)) == ""
    assert why_not(action, Situation(HOME, lone)) == "there is no alias here"
    assert why_not(action, Situation(Place("aliases"), call)) == "it is for functions"


def test_every_item_has_what_its_screen_promises() -> None:
    fake = two_functions()
    revision = fake.revisions[revision_id(2)]
    assert values(fake.functions()[-1])["label"] == "call"
    assert values(revision)["revision"] == values(fake.aliases["call"])["revision"]
    assert values(fake.keys[0])["key"] == "0a1b2c3d" and values(None) == {}


KEYS = """
[keymap]
rollback = "ctrl+b"
delete = ""
"list.down" = "e"
edit = ""
help = "?,f1"
"""


async def test_other_keys_work_and_are_shown_everywhere(tmp_path: Path, fake: FakeBackend) -> None:
    config = reading(tmp_path, KEYS)
    app = FalTui(config, config.context(), start=Start(), connect=fake.connect)
    async with camera(app, (160, 45)) as seen:
        await seen.press("g", "e", "e")
        assert app.main is not None and getattr(app.main.item, "name", "") == "call"
        assert "ctrl+b Roll back" in seen.text() and "Delete" not in seen.text().splitlines()[-1]
        await seen.press("R", "D")
        assert app.screen is app.main
        await seen.press("ctrl+b")
        await seen.until(lambda: "Roll back call" in seen.text(), "the dialog")
        await seen.press("escape", "f1", *"list", "space")
        await seen.until(lambda: " e " in seen.text() and "Down" in seen.text(), "the help")


LOG_KEYS = """
[keymap]
"log.pause" = "z"
"log.search" = "f4"
"pulse.narrow" = "b"
"""


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_the_keys_of_the_log_pane_can_be_others(
    tmp_path: Path, fake: FakeBackend, size: tuple[int, int]
) -> None:
    config = reading(tmp_path, LOG_KEYS)
    app = FalTui(config, config.context(), start=Start(), connect=fake.connect)
    fake.log("a line")
    async with camera(app, size) as seen:
        await seen.press("4")
        await seen.until(lambda: "a line" in seen.text(), "the line")
        await seen.press("z")
        await seen.until(lambda: "paused" in seen.text(), "the pause")
        await seen.press("p")
        assert "paused" in seen.text()
        await seen.press("f4")
        await seen.until(lambda: "search: text or regular" in seen.text(), "the search")
        assert "f4 Search" in seen.text().splitlines()[-1]
        await seen.press("escape", "question_mark", *"pause")
        await seen.until(lambda: " z " in seen.text() and "Pause" in seen.text(), "the help")


def test_every_key_of_a_widget_can_be_another() -> None:
    named = [each.id for widget in WIDGETS for each in widget.named]
    assert len(named) == len(set(named)) == sum(len(widget.bindings) for widget in WIDGETS)


def command(folder: Path, **more: str) -> str:
    script = folder / "said.py"
    script.write_text("import sys; print('saw', *sys.argv[1:]); sys.exit('fail' in sys.argv)")
    lines = [f"{name} = {value}" for name, value in more.items()]
    run = [sys.executable, str(script), "{name}", "{context}"]
    return "\n".join(["[commands.say]", 'key = "N"', f"run = {run}", *lines])


def test_the_command_of_the_readme_shows_the_commit_of_a_revision(tmp_path: Path) -> None:
    readme = Path(__file__).parents[2].joinpath("README.md").read_text()
    (example,) = re.findall(r"```toml\n(\[keymap\].*?)```", readme, re.S)
    (show,) = reading(tmp_path, example).commands
    revision = two_functions().revisions[revision_id(1)]
    assert revision.bundle.git_sha
    assert words(show, values(revision)) == ["git", "show", "--stat", revision.bundle.git_sha]


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_a_command_runs_in_the_background_and_stands_in_activity(
    tmp_path: Path, fake: FakeBackend, size: tuple[int, int]
) -> None:
    config = reading(tmp_path, command(tmp_path, background="true", help="'Say it'"))
    app = FalTui(config, config.context(), start=Start(), connect=fake.connect)
    async with camera(app, size) as seen:
        await seen.press("G", "N")
        await seen.until(lambda: "say is done: saw call local" in seen.text(), "the toast")
        assert app.host is not None
        assert app.host.store.deeds[0].what == "Ran say"
        assert app.host.store.deeds[0].command.endswith("call local")
        await seen.press("question_mark", *"say it")
        await seen.until(lambda: "Commands" in seen.text(), "the help")


async def test_what_runs_in_the_background_ends_with_us_and_all_that_it_started(
    tmp_path: Path, fake: FakeBackend
) -> None:
    fifo, script = tmp_path / "fifo", tmp_path / "run.sh"
    os.mkfifo(fifo)
    script.write_text(f"exec 3> {fifo}\necho begun >&3\nsleep 600 &\nsleep 600\n")
    text = f'[commands.wait]\nkey = "N"\nrun = "sh {script}"\nbackground = true\n'
    config = reading(tmp_path, text)
    app = FalTui(config, config.context(), start=Start(), connect=fake.connect)
    said = asyncio.StreamReader()
    pipe = os.fdopen(os.open(fifo, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(said), pipe
    )
    async with camera(app, (120, 30)) as seen:
        await seen.press("G", "N")
        assert await asyncio.wait_for(said.readline(), 20) == b"begun\n"
    # Its end: nobody is left who could write.
    assert await asyncio.wait_for(said.read(), 20) == b""


async def test_a_command_asks_first_where_it_should_and_runs_by_its_name(
    tmp_path: Path, fake: FakeBackend
) -> None:
    config = reading(tmp_path, command(tmp_path, background="true", confirm="true"))
    app = FalTui(config, config.context(), start=Start(), connect=fake.connect)
    async with camera(app, (120, 30)) as seen:
        await seen.press("G", "colon", *"say", "enter")
        await seen.until(lambda: "Run it?" in seen.text(), "the question")
        await seen.press("escape")
        assert app.host is not None and app.host.store.deeds == []
        await seen.press("N", "y")
        await seen.until(lambda: "saw call local" in seen.text(), "the toast")


async def test_a_command_that_is_not_there_or_fails_is_told(
    tmp_path: Path, fake: FakeBackend
) -> None:
    text = '[commands.gone]\nkey = "N"\nrun = "no-such-program-here"\nbackground = true\n'
    config = reading(tmp_path, text)
    app = FalTui(config, config.context(), start=Start(), connect=fake.connect)
    async with camera(app, (120, 30)) as seen:
        await seen.press("N")
        await seen.until(lambda: "cannot run 'no-such-program-here'" in seen.text(), "the reason")


async def test_what_changes_the_backend_is_refused_in_a_readonly_context(
    tmp_path: Path, fake: FakeBackend
) -> None:
    config = reading(tmp_path, command(tmp_path, background="true", changes="true"))
    app = FalTui(config, config.context(), start=Start(readonly=True), connect=fake.connect)
    async with camera(app, (120, 30)) as seen:
        await seen.press("G", "N")
        await seen.until(lambda: "this context is read-only" in seen.text(), "the refusal")
