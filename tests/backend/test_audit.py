"""The audit log: who changed what, from where and when."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from fal_serverless.backend import audit, database
from fal_serverless.backend.audit import Actor, AuditLog, act_as
from fal_serverless.backend.keys import KeyRing
from fal_serverless.backend.registry import Registry
from fal_serverless.client import Client
from fal_serverless.errors import BadInput, Conflict, NotAuthenticated
from fal_serverless.models import AuditEntry
from running import RunningBackend, StartBackend
from serving import serve


def at_first_release(folder: Path) -> str:
    """A database as 0.1 left it, with one user."""
    url = database.sqlite_url(folder / "registry.db")
    engine = sa.create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(sa.text("INSERT INTO users VALUES (1, 'ada', '2026-11-01 00:00:00')"))
    engine.dispose()
    return url


def test_a_database_of_the_first_release_gets_the_log_and_keeps_what_it_had(
    tmp_path: Path,
) -> None:
    engine = database.open_database(at_first_release(tmp_path))
    assert [user.nickname for user in Registry(engine).users()] == ["ada"]
    assert AuditLog(engine).entries("1", 10) == []
    KeyRing(engine).generate("1", "API", "laptop")
    assert [each.action for each in AuditLog(engine).entries("1", 10)] == ["key generate"]


def test_what_fails_leaves_no_entry(tmp_path: Path) -> None:
    engine = database.open_database(database.sqlite_url(tmp_path / "r.db"))
    registry = Registry(engine)
    registry.add_user("ada")
    with pytest.raises(Conflict):
        registry.add_user("ada")
    assert len(AuditLog(engine).entries("1", 10)) == 1


async def test_who_acts_is_known_to_the_tasks_they_start_and_to_no_other(tmp_path: Path) -> None:
    engine = database.open_database(database.sqlite_url(tmp_path / "r.db"))
    log = AuditLog(engine)

    async def acting(name: str) -> None:
        act_as(Actor("1", name, "key-of-" + name, "10.0.0.7"))
        await asyncio.to_thread(log.add, "1", "worker stop", name)

    await asyncio.gather(acting("ada"), acting("bob"))
    log.add("1", "worker stop", "nobody")
    found = {each.subject: (each.by, each.key, each.address) for each in log.entries("1", 10)}
    assert found == {
        "ada": ("ada", "key-of-ada", "10.0.0.7"),
        "bob": ("bob", "key-of-bob", "10.0.0.7"),
        "nobody": ("backend", "", ""),
    }


def test_the_oldest_entries_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "KEPT", 5)
    monkeypatch.setattr(audit, "SWEEP", 2)
    log = AuditLog(database.open_database(database.sqlite_url(tmp_path / "r.db")))
    for number in range(20):
        log.add("1", "worker stop", str(number))
    assert [each.subject for each in log.entries("1", 100)] == ["19", "18", "17", "16", "15"]


def told(entry: AuditEntry) -> tuple[str, str, str, str]:
    return entry.action, entry.subject, entry.before, entry.after


async def test_every_change_of_a_pointer_auth_key_user_and_worker_is_told(
    backends: StartBackend,
) -> None:
    backend = backends()
    async with backend.client() as client:
        first = (await serve(backend, client, "texts.py", "call_text", "call")).revision.id
        second = (
            await serve(backend, client, "texts.py", "call_text", "call", "public")
        ).revision.id
        await client.rollback("call", message="it broke")
        await client.set_auth("call", "shared")
        await client.set_auth("call", "shared")
        await client.set_alias("prod", second, message="release")
        await client.delete_alias("prod")
        made = await client.generate_key("API", "laptop")
        await client.revoke_key(made.key.id)
        await client.add_user("grace")
        worker = (await client.workers())[0].id
        await client.stop_worker(worker)
        await client.delete_revision(second)
        await client.delete_function("call")
        entries = list(reversed(await client.audit()))
        own = (await client.keys())[0].id
    mine = [each for each in entries if each.by != "backend"]
    assert [told(each) for each in mine] == [
        ("serve", "call", "", first),
        ("serve", "call", first, second),
        ("auth", "call", "private", "public"),
        ("rollback", "call", second, first),
        ("auth", "call", "public", "shared"),
        ("alias set", "prod", "", second),
        ("alias delete", "prod", second, ""),
        ("key generate", made.key.id, "", "API"),
        ("key revoke", made.key.id, "API", ""),
        ("user add", "grace", "", ""),
        ("key generate", mine[10].subject, "", "ADMIN"),
        ("worker stop", worker, "", ""),
        ("revision delete", second, "", ""),
        ("function delete", "call", "", ""),
    ]
    assert {(each.key, each.address) for each in mine} == {(own, "127.0.0.1")}
    assert mine[3].message == "it broke" and mine[-1].message == "1 revision, alias call"
    assert [told(each)[:2] for each in entries if each.by == "backend"] == [
        ("user add", entries[0].subject),
        ("key generate", own),
    ]
    assert made.secret not in repr(entries)


async def test_it_is_still_there_after_kill_9(backends: StartBackend) -> None:
    first = backends()
    async with first.client() as client:
        key = (await client.generate_key("API", "laptop")).key
    first.kill()
    async with backends(first.home).client() as client:
        assert (await client.audit(1))[0].subject == key.id


async def test_one_sees_ones_own_things_and_deeds_and_no_others(
    backend: RunningBackend, client: Client
) -> None:
    user, new = await client.add_user("audited")
    async with backend.client(f"{new.key.id}:{new.secret}") as theirs:
        label = (await theirs.generate_key("API", "theirs")).key.id
        seen = [(each.by, each.action) for each in await theirs.audit()]
        owner = (await client.user()).nickname
    assert seen == [
        ("audited", "key generate"),
        (owner, "key generate"),
        (owner, "user add"),
    ]
    assert label not in [each.subject for each in await client.audit(1000)]
    assert user.nickname in [each.subject for each in await client.audit(1000)]


async def test_it_wants_an_admin_key_and_a_sensible_number(
    backend: RunningBackend, client: Client
) -> None:
    with pytest.raises(BadInput, match="lines must be from 0 to 10000"):
        await client.audit(-1)
    async with backend.client("no:body") as stranger:
        with pytest.raises(NotAuthenticated):
            await stranger.audit()
