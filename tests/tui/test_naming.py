"""One thing has one name, on whatever screen it stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fal_serverless.models import AuditEntry, LogEntry, Worker
from fal_tui import detail, naming
from fal_tui.palette import PLAIN
from fal_tui.places import Place
from fal_tui.screens.base import MANY
from fal_tui.screens.workers import Workers
from fal_tui.store import FUNCTIONS, WORKERS, Item, Store
from fal_tui.widgets.cells import plain
from tui.conftest import Opening
from tui.fake_backend import START, FakeBackend, revision_id

LONE = revision_id(4)
"""The anonymous function `whisper`: its name, and its only revision."""
SIZES = [(80, 24), (160, 45)]


def a_worker(name: str, function: str, revision: str) -> Worker:
    return Worker(name, function, revision, "ready", 42, "unix", START)


def audited(subject: str, **changes: str) -> AuditEntry:
    return AuditEntry(1, START, "ada", "", "", "auth", subject, **changes)


def filled(fake: FakeBackend) -> FakeBackend:
    """Everything that can be about the anonymous function."""
    fake.point("quiet", LONE)
    fake.workers = [a_worker("w-1", LONE, LONE), a_worker("w-2", "call", revision_id(2))]
    fake.audit = [audited(LONE, before="private", after="public")]
    return fake


def test_an_anonymous_function_is_called_by_its_entry_point(fake: FakeBackend) -> None:
    names = naming.names_of(fake.functions())
    assert naming.function(LONE, names) == "whisper" and naming.function("call", names) == "call"
    assert naming.title(LONE, names) == f"whisper ({LONE[:8]})"
    assert naming.title(revision_id(2), names) == revision_id(2)[:8]
    assert naming.revision(LONE, LONE, names) == naming.title(LONE, names)
    assert naming.revision(revision_id(2), "call", names) == f"call {revision_id(2)[:8]}"
    assert naming.worker("w-1", LONE, names) == f"w-1 of whisper ({LONE[:8]})"
    assert naming.function(LONE, {}) == LONE[:8]


def named(item: Item, fake: FakeBackend) -> str:
    store = Store()
    store.put(FUNCTIONS, fake.functions())
    return detail.name_of(item, store)


def test_pages_and_logs_are_headed_by_that_name(fake: FakeBackend) -> None:
    filled(fake)
    whisper = f"whisper ({LONE[:8]})"
    assert named(fake._function(LONE), fake) == named(fake.revisions[LONE], fake) == whisper
    assert named(fake.workers[0], fake) == f"worker w-1 of {whisper}"
    assert named(fake.workers[1], fake) == "worker w-2 of call"
    assert named(fake.aliases["quiet"], fake) == "quiet"
    assert named(fake.keys[0], fake) == "first (0a1b2c3d)"
    assert named(audited(LONE), fake) == ""


@pytest.mark.parametrize("size", SIZES)
async def test_every_list_has_the_same_name(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    filled(fake)
    async with opened(size) as seen:
        main = seen.app.main
        for key, kind, cell in (
            ("1", "functions", "whisper"),
            ("0", "pulse", "whisper"),
            ("2", "aliases", "whisper"),
            ("3", "workers", "whisper"),
        ):
            await seen.press(key)
            await seen.until(lambda kind=kind: main.place.kind == kind, kind)
            await seen.until(lambda cell=cell: f" {cell} " in seen.text(), f"{cell} in {kind}")
        await seen.press("7", "full_stop")
        await seen.until(lambda: f"whisper ({LONE[:8]})" in seen.text(), "the audit log")
        await seen.press("3", "g", "l")
        await seen.until(
            lambda: main.log_pane._title._what.startswith("worker w-1 of whisper"), "title"
        )


@pytest.mark.parametrize("size", SIZES)
async def test_lines_of_all_endpoints_are_labelled_by_it(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    now = datetime.now(UTC)
    fake.entries.append(LogEntry(1, now, "INFO", "user", "hush", "1", LONE, "", LONE))
    async with opened(size) as seen:
        await seen.press("4")
        await seen.until(lambda: "hush" in seen.text(), "the line")
        (line,) = (each for each in seen.text().splitlines() if "hush" in each)
        assert " whisper " in line and LONE[:8] not in line


@pytest.mark.parametrize("size", SIZES)
async def test_what_was_done_to_it_stands_in_activity_under_it(
    opened: Opening, fake: FakeBackend, size: tuple[int, int]
) -> None:
    async with opened(size) as seen:
        await seen.press("g", "A", "enter")
        await seen.until(lambda: f"Open whisper ({LONE[:8]})" in seen.text(), "the question")
        await seen.press("y")
        await seen.until(lambda: bool(seen.app.host.store.deeds), "the deed")
        assert seen.app.host.store.deeds[0].what == f"whisper ({LONE[:8]}) is public now"
        assert seen.app.host.undo.last.words == f"whisper ({LONE[:8]}) back to private"


@pytest.mark.parametrize("count", [3, MANY])
def test_rows_are_made_anew_when_the_name_becomes_known(fake: FakeBackend, count: int) -> None:
    store, listing = Store(), Workers(Place("workers"))
    worker = a_worker("w", LONE, LONE)
    store.put(WORKERS, [replace(worker, id=f"w-{number}") for number in range(count)])

    def shown() -> str:
        listing.show(store, PLAIN)
        row = listing.grid.rows[0]
        return f"{plain(row.cells[1])} {row.sort[1] if row.sort else ''}"

    assert shown() == f"{LONE[:8]} {LONE[:8]}"
    store.put(FUNCTIONS, fake.functions())
    assert shown() == "whisper whisper"
