"""What changes the backend: asked first, undone by z, written into Activity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from textual.widgets import Static

from fal_serverless import errors
from fal_serverless.config import Config
from fal_serverless.models import Worker
from fal_tui.app import FalTui
from fal_tui.flows import calls
from fal_tui.screens.call import Call, Made
from fal_tui.screens.confirm import ConfirmScreen
from fal_tui.screens.pick import PickScreen
from fal_tui.screens.rollback import RollbackScreen
from fal_tui.screenshot import Camera, camera
from fal_tui.turns import FLOW
from tui.conftest import Opening
from tui.fake_backend import START, FakeBackend, revision_id

ONE, TWO = revision_id(1), revision_id(2)


def asked(seen: Camera) -> str:
    """What a question says."""
    return str(seen.app.screen.query_one("#body Static", Static).render())


async def test_roll_back_preselects_where_the_alias_came_from(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        await seen.press("G", "R")
        await seen.until(lambda: isinstance(seen.app.screen, RollbackScreen), "the picker")
        await seen.until(lambda: "+    return text.upper()" in seen.text(), "the diff")
        await seen.press("enter")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        text = seen.text()
        assert "from   22222222" in text and "to     11111111" in text and "by ada" in text
        assert f"$ fal-serverless function rollback call {ONE}" in text
        await seen.press("y")
        await seen.until(lambda: fake.aliases["call"].revision == ONE, "the move")
        await seen.until(lambda: "Rolled back call: 22222222 → 11111111 in 0." in seen.text(), "it")
        assert "z undoes" in seen.text()


async def test_undo_puts_the_pointer_back(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("G", "R")
        await seen.until(lambda: isinstance(seen.app.screen, RollbackScreen), "the picker")
        await seen.press("enter")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        await seen.press("y")
        await seen.until(lambda: "z undoes" in seen.text(), "the toast")
        await seen.press("z")
        await seen.until(lambda: fake.aliases["call"].revision == TWO, "the undo")
    assert [move.reason for move in fake.moves["call"]][:2] == ["undo", "rollback"]


async def test_roll_back_on_a_revision_goes_to_that_one(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("G", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "revisions")
        await seen.press("G", "R")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        await seen.press("y")
        await seen.until(lambda: fake.aliases["call"].revision == ONE, "the move")


async def test_roll_back_says_why_it_makes_no_sense(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("g", "R")
        assert "no alias points at this function" in seen.text()
        await seen.press("j", "R")
        assert "there is only one revision" in seen.text()


async def test_enter_in_a_question_is_cancel(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("G", "D")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        await seen.press("enter")
        assert "call" in seen.text()
    assert not [each for each in fake.requests if each[0] == "DELETE"]


async def test_public_asks_and_names_the_address(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("G", "A", "enter")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "http://1-call.gateway.localhost:3250" in seen.text()
        await seen.press("y")
        await seen.until(lambda: fake.aliases["call"].auth == "public", "the change")
        await seen.press("z")
        await seen.until(lambda: fake.aliases["call"].auth == "private", "the undo")


async def test_an_undo_that_opens_an_endpoint_to_everybody_asks(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.aliases["call"] = replace(fake.aliases["call"], auth="public")
    async with opened() as seen:
        await seen.press("G", "A", "enter")
        await seen.until(lambda: "z undoes" in seen.text(), "the toast")
        assert fake.aliases["call"].auth == "private"
        await seen.press("z")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "Anybody may call it then." in asked(seen)
        await seen.press("escape")
    assert fake.aliases["call"].auth == "private"


async def test_the_mode_that_is_in_force_already_changes_nothing(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        await seen.press("G", "A")
        await seen.until(lambda: isinstance(seen.app.screen, PickScreen), "the modes")
        await seen.press("k", "k", "enter")
        flows = [each for each in seen.app.workers if each.group == FLOW]
        await seen.until(lambda: all(each.is_finished for each in flows), "the end of it")
        assert seen.app.host.store.deeds == []
    assert not [each for each in fake.requests if each[0] == "PATCH"]


async def test_a_refused_auth_change_is_put_back_and_said(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.refuse["PATCH", "/v1/endpoints/call"] = errors.NotAllowed("not with this key")
    async with opened() as seen:
        await seen.press("G", "A", "k", "enter")
        await seen.until(lambda: "not with this key" in seen.text(), "the toast")
        alias = seen.app.host.store.alias("call")
        assert alias is not None and alias.auth == "private"


async def test_delete_takes_a_function_away(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("G", "D")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "2 revisions and the alias call" in seen.text()
        await seen.press("y")
        await seen.until(lambda: "call" not in fake.aliases, "the deletion")


async def test_a_live_revision_is_not_deleted(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("G", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "revisions")
        await seen.press("g", "D")
        assert "alias call points at it" in seen.text()


async def test_a_new_key_shows_its_secret_once_and_nowhere_else(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        await seen.press("5")
        await seen.until(lambda: "0a1b2c3d" in seen.text(), "keys")
        await seen.press("n", "enter", *"ci", "enter")
        await seen.until(lambda: "FAL_KEY_SECRET='s3cr3t'" in seen.text(), "the secret")
        await seen.press("enter", "q")  # too many, before it was read
        assert "FAL_KEY_SECRET='s3cr3t'" in seen.text()
        await seen.press("escape", "7")
        assert "fal-serverless key generate --scope API" in seen.text()
        assert "s3cr3t" not in seen.text()


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_pictures_of_a_new_secret_show_dots_and_the_screen_shows_it(
    opened: Opening, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        await seen.press("5")
        await seen.until(lambda: "0a1b2c3d" in seen.text(), "keys")
        await seen.press("n", "enter", *"ci", "enter")
        await seen.until(lambda: "FAL_KEY_SECRET='s3cr3t'" in seen.text(), "the secret")
        assert "Scope API for ci" in seen.text()
        assert "c copy both lines · esc close, for good" in seen.text()
        picture = seen.svg()
        assert "s3cr3t" not in picture and "••••••" in picture and "99887766" in picture
        await seen.press("c")
        assert "FAL_KEY_SECRET='s3cr3t'" in seen.text()
        assert seen.app.clipboard == "FAL_KEY_ID='99887766'\nFAL_KEY_SECRET='s3cr3t'"
        await seen.press("escape")
        assert "s3cr3t" not in seen.text() + seen.svg()
        host = seen.app.host
        assert host is not None and "s3cr3t" not in repr(host.store.deeds)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_what_is_asked_is_read_whole(opened: Opening, size: tuple[int, int]) -> None:
    async with opened(size) as seen:
        await seen.press("G", "D")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        words = " ".join(seen.text().replace("│", " ").split())
        assert "with 2 revisions and the alias call. Its address stops answering." in words


async def test_revoking_the_key_in_use_warns(opened: Opening, fake: FakeBackend) -> None:
    fake.keys = [replace(fake.keys[0], id="id"), *fake.keys]
    async with opened() as seen:
        await seen.press("5")
        await seen.until(lambda: "0a1b2c3d" in seen.text(), "keys")
        await seen.press("g", "D")
        await seen.until(lambda: "you lock yourself out" in seen.text(), "the warning")
        await seen.press("escape", "j", "D")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "lock yourself out" not in seen.text()
        await seen.press("y")
        await seen.until(lambda: [key.id for key in fake.keys] == ["id"], "the end of the key")


async def test_a_worker_is_stopped_after_a_question(opened: Opening, fake: FakeBackend) -> None:
    fake.workers = [Worker("w" * 12, "call", TWO, "busy", 42, "unix", START, 7, 1)]
    async with opened() as seen:
        await seen.press("3")
        await seen.until(lambda: "wwwwwwww" in seen.text(), "workers")
        await seen.press("X")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "after 1 running call" in seen.text()
        assert str(seen.app.screen.query_one("#box").border_title) == "Stop"
        await seen.press("y")
        await seen.until(lambda: not fake.workers, "the stop")


async def test_a_worker_of_an_anonymous_function_says_which(
    opened: Opening, fake: FakeBackend
) -> None:
    lone = revision_id(4)
    fake.workers = [Worker("w" * 12, lone, lone, "ready", 42, "unix", START, 7, 0)]
    async with opened((160, 45)) as seen:
        await seen.press("3")
        await seen.until(lambda: "wwwwwwww" in seen.text(), "workers")
        assert f"wwwwwwww    whisper   {lone[:8]}" in seen.text(), "in the list"
        assert f"whisper ({lone[:8]})" in seen.text(), "beside it"


async def test_activity_teaches_the_command_line(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("G", "A", "k", "enter")
        await seen.until(lambda: fake.aliases["call"].auth == "shared", "the change")
        await seen.press("7")
        await seen.until(lambda: "fal-serverless function auth call shared" in seen.text(), "it")


async def test_a_new_alias_is_refused_with_the_rule(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await seen.press("G", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "revisions")
        await seen.press("n", *"Bad!", "enter")
        assert "lower-case letters" in seen.text()
        await seen.press("escape", "n", *"stage", "enter")
        await seen.until(lambda: "stage" in fake.aliases, "the alias")


async def test_quit_offers_to_stop_the_backend(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("ctrl+q")
        await seen.until(lambda: "the backend goes on serving" in seen.text(), "the question")
        await seen.press("escape")
        assert seen.app.is_running
        await seen.press("ctrl+q", "q")
        assert not seen.app.is_running


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_marks_outlive_a_filter_and_a_deletion_names_what_is_hidden(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        await seen.press("g", "space", "space", "slash", *"call", "enter")
        await seen.until(lambda: "shout" not in seen.text().splitlines()[3], "the filter")
        assert "u Unmark (2 marked, 2 hidden)" in seen.text().splitlines()[-1]
        await seen.press("D")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "Delete all 2" in seen.text()
        assert asked(seen).count("hidden by the filter") == 2
        assert "Function shout" in asked(seen) and "Function call" not in asked(seen)
        await seen.press("escape", "escape")
        await seen.until(lambda: "u Unmark (2 marked) " in seen.text(), "the marks")
        await seen.press("u")
        await seen.until(lambda: "Unmark" not in seen.text(), "no mark")
        assert seen.text().count("✓") == 0


async def test_keys_that_are_marked_and_hidden_are_asked_for_as_such(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.keys.append(replace(fake.keys[0], id="ffff0000", alias="second"))
    async with opened() as seen:
        await seen.press("5")
        await seen.until(lambda: "ffff0000" in seen.text(), "the keys")
        await seen.press("g", "space", "space", "slash", *"second", "enter", "D")
        await seen.until(lambda: "Revoke key 1 of 2" in seen.text(), "the question")
        assert "hidden by the filter" in asked(seen)
        flows = [each for each in seen.app.workers if each.group == FLOW]
        await seen.press("escape")
        await seen.until(lambda: all(each.is_finished for each in flows), "no further question")
    assert len(fake.keys) == 2


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_a_backend_that_cannot_be_stopped_is_told_of_and_one_stays(
    opened: Opening, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:  # the fake one is no process that the launcher knows
        await seen.press("ctrl+q", "s")
        await seen.until(lambda: "Not stopped" in seen.text(), "the reason")
        assert "ctrl+q, then q" in " ".join(seen.text().split())
        assert seen.app.is_running
        await seen.press("ctrl+q", "q")
        assert not seen.app.is_running


async def test_what_is_thrown_away_at_the_end_is_no_question(opened: Opening) -> None:
    async with opened() as seen:
        assert seen.app.host is not None and seen.app.host.context.embedded
        seen.app.host.throw_away = True
        await seen.press("ctrl+q")
        assert not seen.app.is_running


async def test_a_protected_context_wants_its_name_typed(fake: FakeBackend, config: Config) -> None:
    context = replace(config.context(), name="prod", protected=True)
    app = FalTui(config, context, connect=fake.connect)
    async with camera(app, (120, 36)) as seen:
        assert " PROTECTED " in seen.text().splitlines()[0]
        await seen.press("G", "A", "k", "enter")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        await seen.press(*"prot", "enter")
        assert fake.aliases["call"].auth == "private"
        await seen.press(*["backspace"] * 4, *"prod", "enter")
        await seen.until(lambda: fake.aliases["call"].auth == "shared", "the change")


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(("5", "n", "enter", "enter"), id="new key"),
        pytest.param(("G", "enter", "n", *"next", "enter"), id="new alias"),
        pytest.param(("G", "R", "y"), id="roll back"),
        pytest.param(("G", "D"), id="delete"),
        pytest.param(("S",), id="serve"),
    ],
)
async def test_in_a_protected_context_no_change_is_made_without_its_name(
    fake: FakeBackend, config: Config, keys: Sequence[str]
) -> None:
    context = replace(config.context(), name="prod", protected=True)
    async with camera(FalTui(config, context, connect=fake.connect), (120, 36)) as seen:
        await seen.press(*keys)
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "prod" in seen.text()
        await seen.press("y", "enter")
        assert isinstance(seen.app.screen, ConfirmScreen)
    assert {method for method, _ in (each[:2] for each in fake.requests)} == {"GET"}


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_calls_stand_in_activity_with_their_command_line(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    answers = [(200, "HELLO"), (500, {"detail": "it broke"})]
    async with opened(size) as seen:
        for status, body in answers:
            fake.answers = (status, body)
            await seen.press("G", "i")
            await seen.until(lambda: bool(seen.app.screen.query("#editor")), "the body")
            await seen.press("ctrl+j")
            await seen.until(lambda s=status: f" {s} · " in seen.text(), "the answer")
            await seen.press("escape")
        assert seen.app.host is not None
        failed, done = seen.app.host.store.deeds
        line = 'fal-serverless function invoke call -d \'{"text": "text"}\''
        assert (done.what, done.command, done.error) == ("Called call: 200", line, "")
        assert (failed.what, failed.error) == ("Called call: 500", "500: it broke")
        await seen.press("7")
        await seen.until(lambda: "Called call: 500" in seen.text(), "the calls")


async def test_a_body_with_a_secret_in_it_is_not_repeated(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        assert seen.app.host is not None
        call = Call("GET", "/a?api_key=abc", '{"password": "hush"}')
        calls._record(seen.app.host, Made("call", call, "http://h/1/call", 0.1, 200))
        (deed,) = seen.app.host.store.deeds
        assert deed.command.endswith("invoke http://h/1/call/a -X GET -d @body.json")


async def test_a_copied_curl_of_an_open_endpoint_has_no_key(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.aliases["call"] = replace(fake.aliases["call"], auth="public")
    async with opened() as seen:
        await seen.press("2", "g", "i")
        await seen.until(lambda: bool(seen.app.screen.query("#editor")), "the body")
        await seen.press("ctrl+j")
        await seen.until(lambda: " 200 · " in seen.text(), "the answer")
        await seen.press("c")
        assert seen.app.clipboard.startswith("curl -sS -H 'Content-Type")
