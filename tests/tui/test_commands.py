"""The line after `:`: what it means, what could follow, what was typed before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from textual.widgets import Input

from fal_serverless.config import Command as OwnCommand
from fal_serverless.errors import NotAllowed
from fal_tui.actions import STANDARD
from fal_tui.commands import MEANING, NAMES, Command, Words, parse, suggest
from fal_tui.screens.command import SEEN, CommandScreen
from fal_tui.screenshot import Camera
from tui.conftest import Opening
from tui.fake_backend import FakeBackend, revision_id

LONE = revision_id(4)
WORDS = Words(
    ["call", "shout", LONE],
    ["call", "prod"],
    ["call", "prod", "shout", LONE],
    ["nord", "dracula"],
    own={"show": "The commit"},
    called={LONE: "whisper"},
    keys=STANDARD,
)
SIZES = [(80, 24), (160, 45)]


def test_names_and_their_short_forms_mean_the_same() -> None:
    assert parse("functions", WORDS) == parse(":fn", WORDS) == Command("fn")
    assert parse("show", WORDS) == Command("run", "show")
    for quit_ in ("q", "q!", "quit", "exit"):
        assert parse(quit_, WORDS) == Command("q")


def test_what_begins_only_one_name_is_enough() -> None:
    assert parse("his prod", WORDS) == Command("history", "prod")
    assert parse("a", WORDS) == "'a' could be activity, alias, audit: type on"
    assert parse("sh", WORDS) == "no command 'sh': did you mean ':show'?"
    assert not isinstance(parse("exi", WORDS), Command)


def test_an_argument_is_taken_when_it_exists_or_begins_just_one() -> None:
    assert parse("rev call", WORDS) == Command("rev", "call")
    assert parse("logs pr", WORDS) == Command("logs", "prod")
    assert parse("rev whisp", WORDS) == Command("rev", LONE)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nope", f"no command 'nope'; there are: {', '.join((*MEANING, 'show'))}"),
        ("histroy prod", "no command 'histroy': did you mean ':history'?"),
        ("rollback call", "no command 'rollback': R does that"),
        ("rev", f":rev needs the name of a function; there are: call, shout, whisper ({LONE[:8]})"),
        ("history", ":history needs the name of an alias; there are: call, prod"),
        ("rev cal l", ":rev: no function 'cal l'; did you mean 'call'?"),
        ("theme zzq", ":theme: no theme 'zzq'; there are: dracula, nord"),
        ("pulse call", ":pulse takes no name: leave 'call' out"),
        ("show call", ":show takes no name: leave 'call' out"),
    ],
)
def test_what_is_wrong_is_said_with_what_there_is_and_what_to_do(line: str, said: str) -> None:
    assert parse(line, WORDS) == said


def test_logs_are_asked_for_by_a_name_that_may_be_that_of_something_deleted() -> None:
    wrong = ":logs: no function or alias 'calk'; did you mean 'call'?"
    words = replace(WORDS, labels=["call2", "call"])
    assert parse("logs calk", words) == Command("logs", "calk", wrong)
    assert str(parse("logs cal l", words)).startswith(":logs: no function or alias 'cal l'; ")


def test_of_many_names_a_few_are_listed() -> None:
    many = Words([f"f{number:04}" for number in range(3000)], keys=STANDARD)
    assert str(parse("rev zzq", many)).endswith("f0018, f0019 and 2,980 more")
    assert str(parse("rev f", many)).endswith("f0019 and 2,980 more: type on")


def test_where_there_is_none_it_says_what_makes_one() -> None:
    assert parse("rev x", Words(keys=STANDARD)) == (
        ":rev: no function 'x'; there is none: S serves a file"
    )
    assert parse("rev x", Words()) == ":rev: no function 'x'; there is none"


def test_an_empty_line_is_nothing() -> None:
    assert parse("  ", WORDS) == parse(":", WORDS) == ""


def test_what_can_be_left_out_leads_to_a_choice() -> None:
    assert parse("theme", WORDS) == Command("theme") and parse("ctx", WORDS) == Command("ctx")


def test_suggestions_begin_with_what_was_typed() -> None:
    assert next(each.text for each in suggest("re", WORDS)) == "rev "
    assert [each.text for each in suggest("theme d", WORDS)] == ["theme dracula", "theme nord"]
    assert suggest("nope x", WORDS) == []
    assert len(suggest("", WORDS)) == len(MEANING) + 1


def test_suggestions_are_found_by_their_other_names() -> None:
    for name, verb in NAMES.items():
        assert verb in [each.text.strip() for each in suggest(name, WORDS)]
    assert [each.text for each in suggest("rev whi", WORDS)] == [f"rev {LONE}"]


# The screen


async def command(seen: Camera, *keys: str) -> CommandScreen:
    await seen.press("colon")
    await seen.until(lambda: isinstance(seen.app.screen, CommandScreen), "the line")
    screen = seen.app.screen
    assert isinstance(screen, CommandScreen)
    await seen.press(*keys)
    return screen


def line(screen: CommandScreen) -> str:
    return screen.query_one(Input).value


@pytest.mark.parametrize("size", SIZES)
async def test_tab_takes_a_suggestion_and_enter_on_one_goes_on_to_its_name(
    opened: Opening, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        screen = await command(seen, *"rev", "tab")
        assert line(screen) == "rev " and "rev shout" in seen.text()
        await seen.press("escape")
        screen = await command(seen, *"rev", "down", "enter")
        assert line(screen) == "rev " and seen.app.screen is screen
        await seen.press("ctrl+n", "ctrl+n", "ctrl+p", "enter")
        await seen.until(lambda: seen.app.main.place.kind == "revisions", "the revisions")


@pytest.mark.parametrize("size", SIZES)
async def test_an_error_fits_and_goes_with_the_next_key(
    opened: Opening, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        screen = await command(seen, *"zzq", "enter")
        said = " ".join(seen.text().split())
        assert "no command 'zzq'; there are: fn, alias," in said and "help, q" in said
        assert seen.app.screen is screen and line(screen) == "zzq"
        await seen.press("backspace")
        assert "no command" not in seen.text()


@pytest.mark.parametrize("size", SIZES)
async def test_more_suggestions_than_fit_are_reached_by_moving_on(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    for number in range(5, 15):
        fake.add_revision(number, f"made{number:02}", "upper")
    async with opened(size) as seen:
        await command(seen, *"rev made")
        assert "… 2 more" in seen.text() and "rev made05" not in seen.text()
        await seen.press(*["down"] * (SEEN + 2))
        assert "rev made05" in seen.text() and "more" not in seen.text().splitlines()[-3]
        await seen.press("enter")
        await seen.until(lambda: seen.app.main.place.name == "made05", "the last one")


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_typed_before_comes_back_by_its_beginning(
    opened: Opening, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        for words in ("keys", "rev call", "fn"):
            screen = await command(seen, *words, "enter")
            await seen.until(lambda screen=screen: seen.app.screen is not screen, "the way there")
        kept = json.loads((seen.app.config.paths.cache / "commands.json").read_text())
        assert kept == ["fn", "rev call", "keys"]
        screen = await command(seen, "up")
        assert line(screen) == "fn"
        await seen.press("up", "up", "up")
        assert line(screen) == "keys"
        await seen.press("down", "down", "down")
        assert line(screen) == ""
        await seen.press(*"re", "up")
        assert line(screen) == "rev call"
        await seen.press("down")
        assert line(screen) == "re"
        await seen.press("up", *["backspace"] * 8, "up")
        assert line(screen) == "fn"


async def test_logs_of_what_was_deleted_are_shown_as_long_as_they_are_kept(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.log("the last words")
    fake.entries[-1] = replace(fake.entries[-1], alias="gone")
    async with opened((120, 30)) as seen:
        await command(seen, *"logs gona", "enter")
        await seen.until(lambda: "no function or alias 'gona'" in seen.text(), "the refusal")
        assert not seen.app.main.logs_open
        await command(seen, *"logs gone", "enter")
        await seen.until(lambda: "the last words" in seen.text(), "the lines")
        fake.refuse["GET", "/v1/logs"] = NotAllowed("no logs for you")
        await command(seen, *"logs lost", "enter")
        await seen.until(lambda: "no logs for you" in seen.text(), "the error")


async def test_a_theme_is_chosen_where_none_is_named(opened: Opening) -> None:
    async with opened((120, 30)) as seen:
        await command(seen, *"theme", "enter")
        await seen.until(lambda: "nord" in seen.text() and "enter choose" in seen.text(), "them")


async def test_an_own_command_that_is_not_possible_here_is_none(opened: Opening) -> None:
    async with opened((120, 30)) as seen:
        dispatch = seen.app.dispatch
        assert dispatch is not None
        gone = OwnCommand("gone", "", ("true",))
        dispatch.host.config = replace(dispatch.host.config, commands=(gone,))
        again = type(dispatch)(dispatch.app, dispatch.screen, dispatch.host)
        assert again._words().own == {}
