"""The registry of actions: what is offered when, and that every entry does something."""

from __future__ import annotations

from pathlib import Path

import pytest

from fal_tui.actions import ACTIONS, BY_ID, Situation, footer, markdown_table, why_not
from fal_tui.bound import shown_key
from fal_tui.dispatch import Dispatch
from fal_tui.places import HOME, Place
from tui.fake_backend import revision_id, two_functions


def on_call(**changes: object) -> Situation:
    backend = two_functions()
    item = next(each for each in backend.functions() if each.name == "call")
    values = {"place": HOME, "item": item, "aliases": (backend.aliases["call"],), **changes}
    return Situation(**values)


def test_no_key_is_bound_twice() -> None:
    keys = [key for action in ACTIONS if action.keys for key in action.keys.split(",")]
    assert len(keys) == len(set(keys))


def test_every_action_is_done_by_somebody() -> None:
    missing = [a.id for a in ACTIONS if a.leads is None and not hasattr(Dispatch, f"do_{a.id}")]
    assert missing == []


def test_changes_are_refused_with_the_reason_in_a_readonly_context() -> None:
    for action in ACTIONS:
        if action.changes:
            assert why_not(action, on_call(readonly=True)) == "this context is read-only"


def test_roll_back_is_greyed_on_the_live_revision() -> None:
    backend = two_functions()
    live = backend.revisions[revision_id(2)]
    found = why_not(BY_ID["rollback"], on_call(item=live))
    assert found == "it is the live one already"


def test_new_keys_and_aliases_are_made_where_it_is_clear_which() -> None:
    revision = two_functions().revisions[revision_id(2)]
    new = BY_ID["new"]
    made = "new keys are made on Keys (5), new aliases on a revision or alias"
    for kind, item, said in (
        ("keys", None, ""),
        ("revisions", revision, ""),
        ("aliases", None, made),
        ("functions", revision, made),
    ):
        assert why_not(new, Situation(Place(kind), item)) == said, kind


def test_what_is_for_lists_says_so_in_logs() -> None:
    for name in ("next_tab", "previous_tab", "wide", "save", "filter"):
        assert why_not(BY_ID[name], on_call()) == ""
        assert why_not(BY_ID[name], Situation(Place("logs"))) != ""


def test_going_back_is_offered_where_it_leads_somewhere() -> None:
    back = BY_ID["back"]
    assert back not in footer(on_call(), 300)
    assert back in footer(on_call(pane="detail"), 300)
    assert back in footer(on_call(place=Place("keys")), 300)


def test_an_entry_of_the_history_is_gone_back_to_unless_it_is_the_live_one() -> None:
    backend = two_functions()
    last, first = backend.moves["call"]
    move = BY_ID["rollback"]
    assert why_not(move, on_call(item=last)) == "call points there already"
    assert why_not(move, on_call(item=first)) == ""
    assert why_not(move, on_call(item=first, aliases=())) == "there is no alias 'call' any more"


def test_undo_needs_something_to_undo() -> None:
    assert why_not(BY_ID["undo"], on_call()) != ""
    assert why_not(BY_ID["undo"], on_call(undo="call back to 1111")) == ""


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_footer_fits_and_always_has_help(width: int) -> None:
    shown = footer(on_call(), width)
    assert sum(len(a.written[0]) + len(a.label) + 3 for a in shown) < width
    assert shown[0].id == "help"


def test_the_footer_of_activity_says_how_to_get_to_the_audit_log() -> None:
    for kind in ("activity", "audit"):
        assert BY_ID["next_tab"] in footer(Situation(Place(kind)), 80)
    assert BY_ID["next_tab"] not in footer(Situation(Place("keys")), 300)


def test_the_footer_does_not_offer_what_makes_no_sense() -> None:
    ids = {action.id for action in footer(Situation(Place("activity")), 300)}
    assert not ids & {"serve", "rollback", "auth", "invoke", "delete", "stop"}


def test_keys_are_written_as_people_write_them() -> None:
    shown = {key: shown_key(key) for key in ("question_mark", "shift+left", "semicolon", "space")}
    assert list(shown.values()) == ["?", "shift+←", ";", "space"]


def test_the_table_for_the_readme_names_every_key() -> None:
    table = markdown_table()
    assert all(action.help.replace("|", "\\|") in table for action in ACTIONS)


def test_a_readme_that_has_a_key_table_has_this_one() -> None:
    text = Path(__file__).parents[2].joinpath("README.md").read_text()
    if "| Key | What it does |" in text:
        assert markdown_table() in text
