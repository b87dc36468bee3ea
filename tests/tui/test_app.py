"""The application as a person sees it, over a fake backend."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest

from fal_serverless.config import Config
from fal_serverless.models import AuditEntry
from fal_tui import cache
from fal_tui.actions import ACTIONS, Situation
from fal_tui.app import FalTui
from fal_tui.places import HOME, Place
from fal_tui.screens.help import entries, matching
from fal_tui.screenshot import Camera
from fal_tui.store import Topic
from fal_tui.widgets.bindings import WIDGETS
from tui.conftest import Opening
from tui.fake_backend import START, FakeBackend, revision_id


def screen_of(seen: Camera) -> Any:
    return seen.app.main


async def test_lists_functions_with_their_live_revision(opened: Opening) -> None:
    async with opened() as seen:
        text = seen.text()
    assert "call" in text and "shout" in text and "anonymous" in text
    assert "22222222" in text and "● live" in text


async def test_garbage_is_looked_for_again_once_it_has_begun(opened: Opening) -> None:
    gc.disable()
    try:
        async with opened():
            assert gc.isenabled()
    finally:
        gc.enable()


async def test_fits_80_by_24(opened: Opening) -> None:
    async with opened((80, 24)) as seen:
        lines = seen.text().splitlines()
        assert lines[0].rstrip().endswith("● live")
        assert all(len(line) <= 80 for line in lines)
        assert "S Serve" in lines[-1]


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (100, 30), (160, 45)])
async def test_anonymous_functions_are_marked_at_every_size(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    for alias in ("production", "staging", "a-rather-long-name"):
        fake.point(alias, revision_id(3))
    async with opened(size) as seen:
        assert "ALIASES" in seen.text() and "anonymous" in seen.text()


async def test_says_when_there_is_not_enough_space_and_comes_back(opened: Opening) -> None:
    async with opened((59, 24)) as seen:
        assert "Not enough space" in seen.text()
        await seen.pilot.resize_terminal(80, 24)
        await seen.until(lambda: "functions" in seen.text(), "the list")
        assert "Not enough space" not in seen.text() and "whisper" in seen.text()


async def test_keys_go_to_the_list_after_there_was_no_space_under_a_dialog(
    opened: Opening,
) -> None:
    async with opened((80, 24)) as seen:
        await seen.press("d")
        for size in ((50, 12), (80, 24)):
            await seen.pilot.resize_terminal(*size)
            await seen.until(lambda size=size: screen_of(seen).size == size, "that size")
        await seen.press("escape", "g")
        assert seen.app.focused is screen_of(seen).views.listing.grid
        await seen.press("3")
        await seen.until(lambda: "WORKER" in seen.text(), "the workers")


async def test_tab_swaps_the_one_pane_at_80_columns(opened: Opening) -> None:
    async with opened((80, 24)) as seen:
        await seen.press("G", "tab")
        assert "def call(text: str)" in seen.text() and "NAME" not in seen.text()
        await seen.press("tab")
        assert "NAME" in seen.text()


async def test_enter_opens_revisions_and_esc_comes_back_to_the_same_function(
    opened: Opening,
) -> None:
    async with opened() as seen:
        await seen.press("G", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "revisions")
        assert "functions ▸ call ▸ revisions" in seen.text()
        await seen.press("escape")
        assert screen_of(seen).item.name == "call"


async def test_the_cursor_stays_on_its_item_when_the_list_changes(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        await seen.press("G")
        fake.add_revision(9, "newest", "upper")
        fake.changed("function")
        await seen.until(lambda: "newest" in seen.text(), "the new function")
        assert screen_of(seen).item.name == "call"


async def test_number_keys_lead_to_the_screens_and_minus_back(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("2")
        await seen.until(lambda: "REVISION" in seen.text(), "aliases")
        await seen.press("5")
        await seen.until(lambda: "0a1b2c3d" in seen.text(), "keys")
        await seen.press("7")
        assert "Nothing was changed in this session" in seen.text()
        await seen.press("minus")
        assert screen_of(seen).place.kind == "keys"


def entry(number: int, action: str, subject: str, **more: Any) -> AuditEntry:
    return AuditEntry(number, START, "grace", "k1", "10.0.0.7", action, subject, **more)


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_the_audit_log_is_a_tab_of_activity(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    fake.audit = [entry(1, "auth", "call", before="private", after="public", message="[/oops]")]
    async with opened(size) as seen:
        await seen.press("7", "full_stop")
        await seen.until(lambda: "private → public" in seen.text(), "the entry")
        assert "activity ▸ audit log" in seen.text()
        assert " this session   backend's audit log" in seen.text()
        fake.audit = [entry(2, "rollback", "prod"), *fake.audit]
        fake.changed("alias")
        await seen.until(lambda: "rollback" in seen.text(), "the new entry")
        await seen.press("tab" if size[0] < 100 else "j")
        await seen.until(lambda: "10.0.0.7" in seen.text(), "where it came from")
        assert screen_of(seen).item.subject == "call"
        await seen.press("shift+tab" if size[0] < 100 else "k", "comma")
        await seen.until(lambda: "Nothing was changed in this session" in seen.text(), "the deeds")


async def test_esc_leads_from_the_audit_log_to_activity_and_home(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("colon", *"audit", "enter")
        await seen.until(lambda: "Nothing was ever changed here" in seen.text(), "the audit log")
        await seen.press("escape")
        assert screen_of(seen).place.kind == "activity"
        await seen.press("escape")
        assert screen_of(seen).place.kind == "functions"


async def test_the_history_of_an_alias_opens_by_enter(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("2")
        await seen.until(lambda: "SINCE" in seen.text(), "aliases")
        await seen.press("enter")
        await seen.until(lambda: "aliases ▸ call ▸ history" in seen.text(), "history")


async def test_filter_narrows_and_esc_clears_it(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("slash", "s", "h", "o", "u")
        await seen.until(lambda: "whisper" not in seen.text(), "the filter")
        await seen.press("enter")
        assert screen_of(seen).item.name == "shout"
        await seen.press("escape")
        await seen.until(lambda: "whisper" in seen.text(), "the whole list")


@pytest.mark.parametrize("count", [2, 3000])
async def test_a_filter_that_takes_for_ever_is_taken_away_and_said(
    opened: Opening, fake: FakeBackend, count: int
) -> None:
    (one,) = [each for each in fake.functions() if each.name == "call"]
    names = ["a" * 60 + "!", *(f"fn-{n:04}" for n in range(count - 1))]
    many = [replace(one, name=name, aliases=(name,)) for name in names]
    fake.functions = lambda: many  # type: ignore[method-assign]
    async with opened() as seen:
        await seen.press("slash", *"(a+)+$")
        await seen.until(lambda: "Filter (a+)+$ takes too long" in seen.text(), "the toast")
        listing = screen_of(seen).views.listing
        await seen.until(lambda: len(listing.grid.rows) == count, "the whole list")
        # it can be mended, …
        assert listing.input.value == "(a+)+$" and listing.input.has_focus
        await seen.press("backspace", "backspace", "exclamation_mark")
        await seen.until(lambda: len(listing.grid.rows) == 1, "what was meant")
        # … and is gone when it is not
        await seen.press("backspace", *"+$")
        await seen.until(lambda: len(listing.grid.rows) == count, "the whole list")
        await seen.press("enter")
        await seen.until(lambda: not listing.input.display, "the line's end")
        assert listing.input.value == ""


async def test_a_filter_goes_when_a_function_comes_that_takes_it_for_ever(
    opened: Opening, fake: FakeBackend
) -> None:
    (one,) = [each for each in fake.functions() if each.name == "call"]
    many = [replace(one, name=name, aliases=(name,)) for name in ("aab", "c")]
    fake.functions = lambda: many  # type: ignore[method-assign]
    async with opened() as seen:
        await seen.press("slash", *"(a+)+b", "enter")
        listing = screen_of(seen).views.listing
        await seen.until(lambda: len(listing.grid.rows) == 1, "the filter")
        many.append(replace(one, name="a" * 60 + "!", aliases=("long",)))
        fake.changed("function")
        await seen.until(lambda: "takes too long" in seen.text(), "the toast")
        await seen.until(lambda: len(listing.grid.rows) == 3, "the whole list")
        assert not listing.input.display


async def test_source_and_diff_against_the_live_one_stand_in_the_tabs(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("G", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "revisions")
        await seen.press("G", "full_stop")
        await seen.until(lambda: "return text.upper()" in seen.text(), "source")
        await seen.press("full_stop", "full_stop")
        await seen.until(lambda: "-    return text.title()" in seen.text(), "diff")
        assert "22222222 (live) → 11111111" in seen.text()


async def test_markup_in_names_and_messages_is_text(opened: Opening, fake: FakeBackend) -> None:
    made = fake.add_revision(8, "odd", "upper", message="[/oops] [bold]x")
    fake.point("odd", made.id)
    async with opened() as seen:
        await seen.press("g", "g")
        screen_of(seen).views.select("odd")
        await seen.press("enter")
        await seen.until(lambda: "[/oops] [bold]x" in seen.text(), "the message")


async def test_help_is_searchable_and_runs_an_entry(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("question_mark")
        assert "Functions: what is served" in seen.text()
        await seen.press(*"keys: who")
        assert "Functions: what is served" not in seen.text()
        await seen.press("enter")
        await seen.until(lambda: screen_of(seen).place.kind == "keys", "keys")


async def test_help_finds_what_the_footer_calls_it(opened: Opening) -> None:
    found = entries(Situation(HOME), widgets=WIDGETS)
    for action in ACTIONS:
        ids = [each.id for each in matching(found, action.label)]
        assert action.id in ids, action.label
    async with opened((80, 24)) as seen:
        await seen.press("question_mark", *"roll")
        await seen.until(lambda: "at another revision" in seen.text(), "the entry")


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_help_says_where_a_key_works_and_all_of_what_it_does(
    opened: Opening, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        await seen.press("question_mark", *"activity")
        await seen.until(lambda: "what this session did, and the audit log" in seen.text(), "it")
        assert ("WHERE" in seen.text()) == (size[0] >= 100)
        await seen.press(*["backspace"] * 8, *"bookmark")
        await seen.until(lambda: "Log pane" in seen.text(), "a key of the log pane")


async def test_a_command_with_a_name_puts_the_cursor_on_it(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("g")
        main = seen.app.main
        assert main is not None and getattr(main.item, "name", "") != "call"
        await seen.press("colon", *"fn call", "enter")
        await seen.until(lambda: getattr(main.item, "name", "") == "call", "the cursor")


async def test_a_command_leads_to_the_revisions_of_a_function(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("colon", *"rev call", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "revisions")


async def test_an_unknown_command_says_which_there_are(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("colon", *"nope", "enter")
        assert "no command 'nope'" in seen.text()


async def test_describe_and_json_show_the_item(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("G", "y")
        assert '"entrypoint": "call"' in seen.text()
        await seen.press("escape", "d")
        assert "last minute" in seen.text()


async def test_copy_menu_copies_the_url(opened: Opening) -> None:
    async with opened() as seen:
        await seen.press("G", "c", "2")
        assert seen.app.clipboard == "http://1-call.gateway.localhost:3250"


async def test_logs_open_below_and_close_with_the_same_key(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.log("hello from call")
    async with opened() as seen:
        await seen.press("G", "l")
        await seen.until(lambda: "hello from call" in seen.text(), "the log line")
        fake.log("and another")
        await seen.until(lambda: "and another" in seen.text(), "the new line")
        await seen.press("l")
        assert "hello from call" not in seen.text()


async def test_logs_of_everything_have_a_screen(opened: Opening, fake: FakeBackend) -> None:
    fake.log("hello from call")
    async with opened((80, 24)) as seen:
        await seen.press("4")
        await seen.until(lambda: "hello from call" in seen.text(), "the log line")


async def test_an_empty_backend_names_the_next_key(opened: Opening, fake: FakeBackend) -> None:
    fake.revisions.clear()
    fake.aliases.clear()
    async with opened() as seen:
        assert "No functions yet. Press S to serve a file." in seen.text()


async def test_the_last_list_is_painted_before_the_backend_answers(
    fake: FakeBackend, config: Config
) -> None:
    cache.write(cache.place(config.paths.cache, "local"), tuple(fake.functions()))
    fake.down = True
    app = FalTui(config, config.context(), connect=fake.connect)
    async with app.run_test(size=(100, 30)) as pilot:
        seen = Camera(app, pilot)
        await pilot.pause()
        assert "shout" in seen.text()


async def test_the_list_is_kept_for_the_next_start(opened: Opening, config: Config) -> None:
    async with opened():
        kept = cache.read(cache.place(config.paths.cache, "local"))
    assert [each.entrypoint for each in kept] == ["whisper", "shout", "call"]
    assert all(each.workers == {} for each in kept)


async def test_a_theme_is_chosen_by_command_and_remembered(opened: Opening, config: Config) -> None:
    async with opened() as seen:
        await seen.press("colon", *"theme nord", "enter")
        assert seen.app.theme == "nord"
    assert "nord" in config.paths.config.read_text()


async def test_readonly_greys_changes_out_and_says_why(opened: Opening, fake: FakeBackend) -> None:
    async with opened(readonly=True) as seen:
        assert " RO " in seen.text().splitlines()[0]
        await seen.press("G", "A")
        assert "this context is read-only" in seen.text()
    assert not [each for each in fake.requests if each[0] != "GET"]


async def test_a_revision_that_is_gone_empties_its_detail(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        await seen.press("g")
        fake.revisions.pop(revision_id(4))
        fake.changed("function")
        await seen.until(lambda: "whisper" not in seen.text(), "the change")
        assert screen_of(seen).item.name == "shout"


async def test_a_bug_in_a_worker_is_shown_and_the_application_goes_on(opened: Opening) -> None:
    async def broken() -> None:
        raise RuntimeError("[/boom]")

    async with opened() as seen:
        seen.app.run_worker(broken(), exit_on_error=False)
        await seen.until(lambda: "[/boom]" in seen.text(), "the toast")
        assert seen.app.is_running


async def test_what_was_fetched_once_of_a_revision_is_not_fetched_again(
    opened: Opening, fake: FakeBackend
) -> None:
    async with opened() as seen:
        await seen.press("G")
        topic = Topic("revision", revision_id(2))
        await seen.until(lambda: seen.app.host.store.has(topic), "the revision")
        fake.changed("resync")
        await seen.press("g", "G")
    asked = [path for _, path in fake.requests if path.endswith(revision_id(2))]
    assert len(asked) == 1


async def test_two_aliases_keep_the_order_of_their_function(
    opened: Opening, fake: FakeBackend
) -> None:
    fake.point("also", revision_id(1))
    fake.aliases["also"] = replace(fake.aliases["also"], function="call")
    async with opened() as seen:
        names = [each.name for each in seen.app.host.store.aliases_of("call")]
    assert names == ["call", "also"]


async def test_commands_are_remembered_over_a_restart(opened: Opening) -> None:
    async with opened((80, 24)) as seen:
        await seen.press("colon", *"rev call", "enter")
        await seen.press("colon", *"alias", "enter")
        await seen.press("colon", *"alias", "enter")
        await seen.press("colon", *"nope", "enter", "escape")
    async with opened((80, 24)) as seen:
        await seen.press("colon", "up")
        assert ":alias" in seen.text().replace(": ", ":")
        await seen.press("up", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "the revisions")
        await seen.press("colon", "up", "up", "down", "down", *"wor", "tab", "enter")
        assert screen_of(seen).place.kind == "workers"


async def test_suggestions_are_picked_with_down_and_say_what_they_mean(opened: Opening) -> None:
    async with opened((80, 24)) as seen:
        await seen.press("colon", *"logs ")
        assert "call" in seen.text() and "shout" in seen.text()
        await seen.press("escape", "colon", *"hi")
        assert "moves of an alias" in seen.text()
        await seen.press("down", "tab", *"call", "enter")
        await seen.until(lambda: screen_of(seen).place.kind == "moves", "the history")


async def test_a_screens_number_leads_to_where_one_was_in_it_and_then_to_its_list(
    opened: Opening,
) -> None:
    async with opened((120, 30)) as seen:
        await seen.press("G", "enter")
        await seen.until(lambda: "▶ call" in seen.text(), "the revisions")
        await seen.press("G", "2", "1")
        assert screen_of(seen).place == Place("revisions", "call")
        assert screen_of(seen).item.id == revision_id(1)
        await seen.press("1")
        assert screen_of(seen).place == Place("functions")
        await seen.press("2", "1")
        assert screen_of(seen).place == Place("functions")


async def test_thousands_of_functions_change_under_a_cursor_that_stays(
    opened: Opening, fake: FakeBackend
) -> None:
    (one,) = [each for each in fake.functions() if each.name == "call"]
    many = [replace(one, name=f"fn-{n:04}", aliases=(f"fn-{n:04}",)) for n in range(3000)]
    fake.functions = lambda: many  # type: ignore[method-assign]
    async with opened((80, 24)) as seen:
        await seen.press("G")
        assert screen_of(seen).item.name == "fn-2999"
        many[:] = [replace(one, name="newest"), *many[1:]]
        many[-1] = replace(many[-1], auth="public")
        fake.changed("function")
        await seen.until(lambda: "fn-2999" in seen.text() and "public" in seen.text(), "the change")
        assert screen_of(seen).item.name == "fn-2999"
        await seen.press("slash", *"fn-17", "enter")
        assert len(screen_of(seen).views.listing.grid.rows) == 100
        await seen.press("colon", *"rev fn-2998")
        assert "rev fn-2998" in seen.text()
