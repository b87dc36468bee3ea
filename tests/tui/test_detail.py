"""The pages beside a list, and what they need fetched."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

from rich.text import Text

from fal_serverless.models import AuditEntry
from fal_tui import copies, detail, difference
from fal_tui.detail import Code
from fal_tui.palette import PLAIN
from fal_tui.render import Look
from fal_tui.store import ALIASES, FUNCTIONS, Store, Topic
from tui.fake_backend import FakeBackend, revision_id, two_functions

LOOK = Look(datetime(2026, 11, 21, 13, 0, tzinfo=UTC), PLAIN)
ONE, TWO = revision_id(1), revision_id(2)


def filled(backend: FakeBackend) -> Store:
    store = Store()
    store.put(FUNCTIONS, backend.functions())
    store.put(ALIASES, list(backend.aliases.values()))
    store.put(Topic("revisions", "call"), backend._newest_first("call"))
    store.put(Topic("moves", "call"), backend.moves["call"])
    for each in (ONE, TWO):
        store.put(Topic("revision", each), backend.revisions[each])
    return store


def text_of(store: Store, item: object, tab: str) -> str:
    page = detail.page(item, tab, store, LOOK)
    return page.text if isinstance(page, Code) else page.plain


def test_a_function_is_described_with_signature_and_curl_line() -> None:
    store = filled(two_functions())
    text = text_of(store, store.function("call"), detail.OVERVIEW)
    assert text.startswith("def call(text: str)")
    assert "call → 22222222" in text and 'curl -H "Authorization' in text


def test_options_have_their_units_and_a_zero_is_no_absence() -> None:
    backend = two_functions()
    old = backend.revisions[TWO]
    options = {"keep_alive": 10, "min_concurrency": 0, "setup_function": None, "serve": True}
    backend.revisions[TWO] = replace(old, bundle=replace(old.bundle, options=options))
    store = filled(backend)
    lines = text_of(store, store.function("call"), detail.OPTIONS).splitlines()
    said = dict(line.rsplit(maxsplit=1) for line in lines if not line.endswith(" s"))
    assert said["min_concurrency"] == "0" and said["setup_function"] == "—"
    assert any(line.split() == ["keep_alive", "10", "s"] for line in lines)


def test_an_older_revision_is_compared_with_the_live_one() -> None:
    store = filled(two_functions())
    text = text_of(store, store.revision(ONE), detail.DIFF)
    assert "22222222 (live) → 11111111" in text and "+    return text.upper()" in text


def test_the_live_revision_is_compared_with_the_one_before() -> None:
    store = filled(two_functions())
    assert detail.compared(store.revision(TWO), store) == (ONE, TWO)


def test_source_is_code() -> None:
    store = filled(two_functions())
    page = detail.page(store.function("call"), detail.SOURCE, store, LOOK)
    assert isinstance(page, Code) and "text.title()" in page.text


def test_history_of_a_revision_is_what_it_was_part_of() -> None:
    store = filled(two_functions())
    text = text_of(store, store.revision(ONE), detail.HISTORY)
    assert "made → 11111111" in text and "11111111 → 22222222" in text


def test_only_what_the_tab_shows_is_needed() -> None:
    store = filled(two_functions())
    item = store.function("call")
    assert Topic("moves", "call") not in detail.needs(item, detail.OVERVIEW, store)
    assert Topic("moves", "call") in detail.needs(item, detail.HISTORY, store)
    assert Topic("revision", ONE) in detail.needs(item, detail.DIFF, store)


def test_json_of_a_revision_has_its_source() -> None:
    store = filled(two_functions())
    found = json.loads(copies.as_json(store.revision(ONE), store))
    assert "text.upper()" in found["bundle"]["source"]


def test_curl_lines_trust_whom_the_context_trusts() -> None:
    store = filled(two_functions())
    item = store.function("call")
    page = detail.page(item, detail.OVERVIEW, store, replace(LOOK, ca="ca.pem"))
    assert isinstance(page, Text) and "curl --cacert ca.pem " in page.plain
    found = {each.label: each.value for each in copies.copies(item, store, [], "ca.pem")}
    assert found["curl"].startswith("curl --cacert ca.pem ")


def test_an_entry_of_the_audit_log_has_its_parts_to_copy() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    entry = AuditEntry(1, at, "ada", "k1", "", "rollback", "call", ONE, TWO)
    found = {each.label: each.value for each in copies.copies(entry, Store(), ["x"])}
    assert found == {"subject": "call", "before": ONE, "after": TWO, "key": "k1", "row": "x"}


def test_requirements_and_options_are_part_of_a_difference() -> None:
    from dataclasses import replace

    backend = two_functions()
    old = backend.revisions[ONE]
    options = {"serve": True, "requirements": ["flask"], "max_concurrency": 4}
    new = replace(old, bundle=replace(old.bundle, options=options, python_version="3.12"))
    found = difference.compare(old, new)
    text = difference.draw(found, PLAIN).plain
    assert "+ flask" in text and "max_concurrency: 2 → 4" in text and "python: 3.11 → 3.12" in text


def test_no_difference_is_said() -> None:
    revision = two_functions().revisions[ONE]
    found = difference.draw(difference.compare(revision, revision), PLAIN)
    assert isinstance(found, Text) and found.plain.startswith("No difference")


def test_options_are_said_in_words() -> None:
    store = filled(two_functions())
    lines = [
        " ".join(each.split())
        for each in text_of(store, store.revision(TWO), "options").split("\n")
    ]
    assert lines[:4] == [
        "requirements none",
        "python 3.11",
        f"environment {'e' * 12}",
        "from source no",
    ]
    assert "serve yes" in lines and "max_concurrency 2" in lines


def test_what_is_on_its_way_is_told_from_what_is_not_there() -> None:
    store, call = Store(), two_functions()._function("call")
    assert text_of(store, call, detail.SOURCE) == "Loading revision 22222222…"
    store.put(Topic("revision", TWO), None)
    assert text_of(store, call, detail.SOURCE) == "There is nothing to show."


def test_a_lone_revision_has_nothing_to_be_compared_with() -> None:
    backend = two_functions()
    store = filled(backend)
    store.put(Topic("revisions", "shout"), backend._newest_first("shout"))
    shout = backend.revisions[revision_id(3)]
    assert detail.compared(store.function("shout"), store) == (None, shout.id)
    text = text_of(store, store.function("shout"), detail.DIFF)
    assert text == "There is no other revision to compare with."
