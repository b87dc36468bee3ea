"""The store: what differs, what a change touches, and what is put back."""

from __future__ import annotations

from dataclasses import replace

from fal_serverless.models import Change
from fal_tui.store import ALIASES, FUNCTIONS, KEYS, STATUS, Store, Topic, endpoint_label, touched
from tui.fake_backend import revision_id, two_functions

REVISIONS, MOVES = Topic("revisions", "call"), Topic("moves", "call")


def test_only_what_differs_is_a_change() -> None:
    store, functions = Store(), two_functions().functions()
    assert store.put(FUNCTIONS, functions)
    assert not store.put(FUNCTIONS, list(functions))
    assert store.put(FUNCTIONS, functions[1:])


def test_a_change_touches_only_topics_that_are_wanted() -> None:
    wanted = {FUNCTIONS, STATUS, KEYS, MOVES}
    assert touched(Change("alias", "call"), wanted) == {FUNCTIONS, STATUS, MOVES}
    assert touched(Change("key"), wanted) == {KEYS}
    assert touched(Change("resync"), wanted) == wanted


def test_a_revision_keeps_its_source_and_shows_its_present_aliases() -> None:
    backend, store = two_functions(), Store()
    whole = backend.revisions[revision_id(2)]
    store.put(Topic("revision", whole.id), whole)
    store.put(REVISIONS, backend._newest_first("call"))
    found = store.revision(whole.id)
    assert found is not None and found.aliases == ("call",) and "title" in found.bundle.source


def test_an_assumed_auth_mode_is_seen_everywhere_and_put_back() -> None:
    backend, store = two_functions(), Store()
    store.put(FUNCTIONS, backend.functions())
    store.put(ALIASES, list(backend.aliases.values()))
    put_back = store.assume_auth("call", "public")
    alias, function = store.alias("call"), store.function("call")
    assert alias and function and alias.auth == function.auth == "public"
    put_back()
    alias = store.alias("call")
    assert alias is not None and alias.auth == "private"


def test_putting_an_assumed_auth_mode_back_undoes_nothing_that_came_meanwhile() -> None:
    backend, store = two_functions(), Store()
    store.put(ALIASES, list(backend.aliases.values()))
    store.put(KEYS, ("old",))
    put_back = store.assume_auth("call", "public")
    newer = [replace(each, moves=99) for each in backend.aliases.values()]
    store.put(ALIASES, newer)
    store.put(KEYS, ("new",))
    put_back()
    assert store.aliases == tuple(newer) and store.keys == ("new",)


def test_of_one_kind_the_others_are_forgotten() -> None:
    store, pulses = Store(), [Topic("pulse", "300"), Topic("pulse", "3600")]
    for topic in (*pulses, KEYS):
        store.put(topic, ())
    store.keep_only(pulses[1])
    assert [store.has(topic) for topic in (*pulses, KEYS)] == [False, True, True]


def test_aliases_of_a_function_come_in_its_own_order() -> None:
    backend, store = two_functions(), Store()
    backend.point("again", revision_id(1))
    store.put(FUNCTIONS, backend.functions())
    store.put(ALIASES, list(backend.aliases.values())[::-1])
    assert [each.name for each in store.aliases_of("call")] == ["call", "again"]
    store.put(ALIASES, [backend.aliases["again"]])
    assert [each.name for each in store.aliases_of("call")] == ["again"]
    assert store.aliases_of("nope") == ()


def test_a_function_is_called_by_its_alias_else_by_its_live_revision() -> None:
    backend, store = two_functions(), Store()
    store.put(FUNCTIONS, backend.functions())
    lone = revision_id(4)
    assert [endpoint_label(backend._function(each)) for each in ("call", lone)] == ["call", lone]
    assert store.live_of("call") == revision_id(2) and store.live_of("nope") is None
