"""Models as rows: what is shown of them, and how short."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fal_serverless.models import AuditEntry, Traffic, Worker
from fal_tui import render
from fal_tui.headings import COLUMNS
from fal_tui.palette import PLAIN
from fal_tui.render import Look
from fal_tui.widgets.cells import plain
from tui.fake_backend import FakeBackend, revision_id, two_functions

NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
LOOK = Look(NOW, PLAIN)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "now"), (5, "5s"), (90, "1m"), (7200, "2h"), (86_400, "1d"), (86_400 * 20, "2w")],
)
def test_ages_are_short(seconds: int, shown: str) -> None:
    assert render.ago(NOW - timedelta(seconds=seconds), NOW) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "—"), (0.84, "0.8 ms"), (42.3, "42 ms"), (1400.0, "1.4 s")]
)
def test_durations_are_short(value: float | None, shown: str) -> None:
    assert render.millis(value) == shown


@pytest.mark.parametrize(("count", "shown"), [(None, "—"), (900, "900 B"), (24_600_000, "25 MB")])
def test_sizes_are_short(count: int | None, shown: str) -> None:
    assert render.size(count) == shown


def test_no_traffic_is_a_dash_not_a_zero() -> None:
    assert render.rate(Traffic()) == "—" and render.percent(Traffic()) == "—"


def test_every_row_has_a_cell_for_every_column() -> None:
    backend = two_functions()
    samples = {
        "functions": backend.functions(),
        "revisions": list(backend.revisions.values()),
        "aliases": list(backend.aliases.values()),
        "moves": backend.moves["call"],
        "keys": backend.keys,
    }
    for kind, items in samples.items():
        for item in items:
            row = render.row(item, LOOK)
            assert len(row.cells) == len(row.sort or ()) == len(COLUMNS[kind])


def test_a_revision_names_its_environment_by_the_beginning_of_its_id() -> None:
    (revision, *_) = two_functions().revisions.values()
    keys = [column.key for column in COLUMNS["revisions"]]
    assert plain(render.row(revision, LOOK).cells[keys.index("environment")]) == "eeeeeeee"


def test_a_live_revision_is_marked_by_its_aliases() -> None:
    assert render.pointed(("call", "prod")) == "▶ call, prod"


def test_a_dirty_commit_has_a_star() -> None:
    backend = FakeBackend()
    revision = backend.add_revision(1, "call", "upper")
    dirty = replace(revision, bundle=replace(revision.bundle, git_dirty=True))
    assert render.git(dirty) == "3f2a9c1*"


def test_workers_are_said_in_words() -> None:
    assert plain(render.workers({"ready": 2, "busy": 1, "stopped": 3}, PLAIN)) == "1 busy 2 ready"
    assert plain(render.workers({}, PLAIN)) == "idle"


def a_row(item: object) -> list[str]:
    return [plain(cell) for cell in render.row(item, LOOK).cells]


@pytest.mark.parametrize(
    ("traffic", "shown"),
    [
        (Traffic(60, 2.04, 0, 0.0, 4.2), ("2.0", "0 %")),
        (Traffic(6000, 140.4, 100, 1.66, 4.2), ("140", "1.7%")),
        (Traffic(60, 99.9, 6, 10.0, 4.2), ("99.9", "10 %")),
    ],
)
def test_figures_have_as_many_digits_as_say_something(
    traffic: Traffic, shown: tuple[str, str]
) -> None:
    assert (render.rate(traffic), render.percent(traffic)) == shown
    assert (render.took(3.456), render.took(99.99), render.took(100.4)) == (
        "3.46 s", "99.99 s", "100 s",
    )  # fmt: skip
    assert (render.counted(1, "call"), render.counted(2, "call")) == ("1 call", "2 calls")


def test_a_function_without_an_alias_says_whether_it_is_anonymous() -> None:
    backend = two_functions()
    named = replace(backend._function("call"), aliases=())
    assert [a_row(each)[:2] for each in (named, backend._function(revision_id(4)))] == [
        ["call", "—"], ["whisper", "anonymous"],
    ]  # fmt: skip
    assert (render.row(named, LOOK).sort or ())[1] is None


def test_what_opens_an_endpoint_or_everything_stands_out() -> None:
    backend = two_functions()
    opens = AuditEntry(1, NOW, "ada", "", "", "auth", "call", "private", "public")
    closes = replace(opens, before="public", after="private")
    served = replace(opens, action="serve")
    styles = [render.row(each, LOOK).cells[5].style for each in (opens, closes, served)]
    assert styles == [PLAIN.warn, PLAIN.accent, PLAIN.accent] and PLAIN.warn != PLAIN.accent
    admin, api = backend.keys[0], replace(backend.keys[0], scope="API")
    assert render.row(admin, LOOK).cells[1].style == PLAIN.warn
    assert render.row(api, LOOK).cells[1].style == ""
    assert a_row(opens)[2] == "—" and a_row(replace(opens, address="::1"))[2] == "::1"


def test_a_worker_that_has_no_process_yet_has_no_number() -> None:
    worker = Worker("w", "call", revision_id(2), "starting", None, "unix", NOW)
    assert a_row(worker)[7] == "—" and a_row(replace(worker, pid=7))[7] == "7"
    assert not render.row(worker, LOOK).dim
    assert render.row(replace(worker, state="stopped"), LOOK).dim
