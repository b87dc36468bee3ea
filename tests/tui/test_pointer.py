"""Moving an alias: a picker with everything in sight, back and forward, from a history, undone."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from fal_serverless.config import Config
from fal_serverless.models import Move, Revision
from fal_tui import difference
from fal_tui.actions import BY_ID, Situation, why_not
from fal_tui.app import FalTui
from fal_tui.palette import PLAIN
from fal_tui.places import Place
from fal_tui.screens.confirm import ConfirmScreen
from fal_tui.screens.rollback import RollbackScreen, turn
from fal_tui.screenshot import Camera, camera
from tui.conftest import Opening
from tui.fake_backend import FakeBackend, revision_id, two_functions

ONE, TWO, THREE = revision_id(1), revision_id(2), revision_id(3)
SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 45)])


async def pick(seen: Camera, *keys: str) -> None:
    await seen.press("G", "R")
    await seen.until(lambda: isinstance(seen.app.screen, RollbackScreen), "the picker")
    await seen.until(lambda: "source" in seen.text() or "No difference" in seen.text(), "the diff")
    await seen.press(*keys)


def lines_of(text: str) -> str:
    """What stands inside the box, as one line: long lines are wrapped in small terminals."""
    rows = [row.strip(" ▌│▏") for row in text.splitlines() if "│" in row]
    return re.sub(r"\s+", " ", " ".join(rows))


def toast(seen: Camera) -> str:
    """Words of what is on the screen, without the bars of toasts."""
    return " ".join(seen.text().replace("▌", " ").split())


@SIZES
async def test_three_keys_roll_back_with_everything_in_sight(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        await pick(seen)
        inside = lines_of(seen.text())
        assert "─ Roll back call ─" in seen.text()
        assert "alias call from 22222222 → to 11111111 by ada 2026-11-21" in inside
        assert f"$ fal-serverless function rollback call {ONE}" in inside
        assert "+ return text.upper()" in inside
        assert "y do it · enter look closer" in seen.text()
        await seen.press("y")
        await seen.until(lambda: fake.aliases["call"].revision == ONE, "the move")
        await seen.until(lambda: "z undoes" in seen.text(), "the toast")
        assert "Rolled back call: 22222222 → 11111111 in 0." in toast(seen)


async def test_from_an_older_revision_it_goes_forward(opened: Opening, fake: FakeBackend) -> None:
    fake.point("call", ONE, "rollback")
    async with opened() as seen:
        await pick(seen)
        assert "─ Roll forward call ─" in seen.text()
        await seen.press("enter")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "Roll forward (y)" in seen.text()
        await seen.press("y")
        await seen.until(lambda: "Rolled forward call: 11111111 → 22222222" in seen.text(), "it")
        assert fake.aliases["call"].revision == TWO


async def test_the_live_one_is_not_moved_to(opened: Opening, fake: FakeBackend) -> None:
    async with opened() as seen:
        await pick(seen, "g")
        assert "live now: choose another one" in seen.text()
        await seen.press("y")
        assert isinstance(seen.app.screen, RollbackScreen)
    assert not [each for each in fake.requests if each[0] == "POST"]


async def test_a_protected_context_wants_its_name_after_the_picker_too(
    fake: FakeBackend, config: Config
) -> None:
    context = replace(config.context(), name="prod", protected=True)
    async with camera(FalTui(config, context, connect=fake.connect), (80, 24)) as seen:
        await pick(seen, "y")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "The context 'prod' is protected" in seen.text()
        assert fake.aliases["call"].revision == TWO
        await seen.press(*"prod", "enter")
        await seen.until(lambda: fake.aliases["call"].revision == ONE, "the move")


async def test_all_of_a_question_is_reached_by_keys_in_a_small_terminal(
    opened: Opening, fake: FakeBackend
) -> None:
    before = fake.revisions[ONE]
    message = "a message of several words that is longer than a line of this terminal"
    source = "\n".join(f"x{line} = 'what is longer than a line'" for line in range(30))
    bundle = replace(before.bundle, source=f"{source}\n# the {'very ' * 20}end")
    fake.revisions[ONE] = replace(before, message=message, bundle=bundle)
    async with opened((80, 24)) as seen:
        await pick(seen, "enter")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert message in lines_of(seen.text()) and "pgdn pgup scroll · y roll back" in seen.text()
        assert "very very end" not in lines_of(seen.text())
        await seen.press(*["pagedown"] * 8)
        await seen.until(lambda: "very very end" in lines_of(seen.text()), "the end of the source")


@SIZES
async def test_an_entry_of_the_history_is_gone_back_to(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        await seen.press("2", "enter")
        await seen.until(lambda: "history" in seen.text() and "11111111" in seen.text(), "moves")
        await seen.press("g", "R")
        assert "call points there already" in toast(seen)
        await seen.press("G", "R")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        assert "to     11111111" in seen.text()
        await seen.press("y")
        await seen.until(lambda: fake.aliases["call"].revision == ONE, "the move")


async def test_an_undo_asks_when_somebody_moved_the_alias_meanwhile(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.add_revision(3, "call", "title")
    async with opened() as seen:
        await seen.press("G", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "revisions")
        await seen.press("G", "R")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        await seen.press("y")
        await seen.until(lambda: "z undoes" in seen.text(), "the toast")
        fake.point("call", THREE, "set")
        await seen.press("z")
        await seen.until(lambda: "call was moved meanwhile" in seen.text(), "the question")
        await seen.press("enter")
        assert fake.aliases["call"].revision == THREE
        await seen.press("z")
        await seen.until(lambda: isinstance(seen.app.screen, ConfirmScreen), "the question")
        await seen.press("y")
        await seen.until(lambda: fake.aliases["call"].revision == TWO, "the undo")


async def test_what_cannot_be_undone_any_more_is_said_and_forgotten(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        await pick(seen, "y")
        await seen.until(lambda: "z undoes" in seen.text(), "the toast")
        del fake.aliases["call"]
        await seen.press("z")
        await seen.until(lambda: "Cannot undo" in seen.text(), "why")
        host = seen.app.host
        assert host is not None and host.undo.last is None


async def test_a_long_wait_says_what_it_waits_for(
    opened: Opening, fake: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fal_tui.flows.host.NOTICED", 0.01)
    ready = asyncio.Event()
    async with opened() as seen:
        host = seen.app.host
        assert host is not None

        async def slow(_: object) -> str:
            await ready.wait()
            return "done"

        changing = asyncio.create_task(host.change("Moved", "$", slow, waits="Waiting for 1111"))
        await seen.until(lambda: "Waiting for 1111" in seen.text(), "what it waits for")
        ready.set()
        assert await changing == ("done",)


def test_a_history_entry_of_an_alias_that_is_gone_says_so() -> None:
    backend = two_functions()
    move = backend.moves["call"][0]
    gone = Situation(Place("moves", "call"), move)
    assert why_not(BY_ID["rollback"], gone) == "there is no alias 'call' any more"
    there = replace(gone, aliases=(backend.aliases["call"],))
    assert why_not(BY_ID["rollback"], there) == "call points there already"
    earlier: Move = backend.moves["call"][-1]
    assert why_not(BY_ID["rollback"], replace(there, item=earlier)) == ""


def test_an_alias_of_a_single_revision_has_nothing_to_go_back_to() -> None:
    backend = two_functions()
    alias = backend.aliases["call"]
    there = Situation(Place("aliases"), alias, (alias,), revisions=1)
    assert why_not(BY_ID["rollback"], there) == "there is only one revision"


def changed(revision: Revision, **options: object) -> Revision:
    bundle = replace(revision.bundle, options={**revision.bundle.options, **options})
    return replace(revision, bundle=bundle)


def test_the_difference_names_requirements_options_and_how_it_is_imported() -> None:
    old = two_functions().revisions[ONE]
    new = changed(old, requirements=["six"], keep_alive=60, serve=False, max_concurrency=1)
    new = replace(new, bundle=replace(new.bundle, from_source=True))
    assert difference.draw(difference.compare(old, new), PLAIN).plain.splitlines() == [
        "requirements",
        "+ six",
        "options",
        "  from_source: no → yes",
        "  keep_alive: none → 60",
        "  max_concurrency: 2 → 1",
        "  serve: yes → no",
    ]


def test_forward_is_to_what_was_served_later() -> None:
    known = two_functions().revisions
    assert (turn(known[TWO], known[ONE]), turn(known[ONE], known[TWO])) == (
        "Roll back",
        "Roll forward",
    )
