"""What a browser cannot do is not offered there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fal_serverless.config import Command, Config
from fal_tui.actions import ACTIONS
from fal_tui.bound import Bound, Keyed
from fal_tui.keymap import read
from fal_tui.web.possible import KEPT, in_browser, possible, possible_widgets
from fal_tui.widgets.bindings import WIDGETS
from tui.conftest import Opening


def test_nothing_has_a_key_that_browsers_keep_and_all_can_be_reached() -> None:
    found = possible(ACTIONS, ())
    assert {action.id for action in ACTIONS} - {action.id for action in found} == {"edit"}
    assert not any(key in KEPT for action in found for key in action.keys.split(","))
    assert all(Bound.of(found).way(action.id) for action in found)
    by_id = {action.id: action for action in found}
    assert by_id["quit"].written == (":q",) and by_id["theme"].written == (":theme",)


def test_own_commands_that_want_the_terminal_are_left_out(config: Config) -> None:
    commands = tuple(
        Command(name, "", ("true",), background=background)
        for name, background in (("top", False), ("mail", True))
    )
    config = replace(config, commands=commands)
    found = {action.id for action in in_browser(read(config, WIDGETS), commands).actions}
    assert "command.mail" in found and "command.top" not in found


def test_the_pager_of_the_log_pane_is_not_explained() -> None:
    def keys(widgets: Sequence[Keyed]) -> int:
        return sum(len(each.bindings) for each in widgets)

    assert keys(possible_widgets(WIDGETS)) == keys(WIDGETS) - 1


async def test_in_a_terminal_all_is_there(opened: Opening) -> None:
    async with opened((120, 40)) as seen:
        await seen.press("question_mark", *"pager")
        assert "Pager" in seen.text()
