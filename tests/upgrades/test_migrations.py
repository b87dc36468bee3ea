"""A registry of any version there was is brought up to date, with all that is in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from fal_serverless.backend import database
from fal_serverless.backend.audit import AuditLog
from fal_serverless.backend.credentials import Credential, hash_of
from fal_serverless.backend.keys import KeyRing
from fal_serverless.backend.registry import Registry
from fal_serverless.errors import StateFailed
from running import StartBackend

KEY = "0f0e0d0c-0b0a-4908-8706-050403020100"
REVISION = "11111111-2222-4333-8444-555555555555"
BUNDLE = (
    '{"entrypoint": "call_text", "python_version": "3.11", "options": {"serve": true},'
    ' "parameters": [], "file_name": "app.py", "source": "", "doc": ""}'
)

FIRST = f"""
INSERT INTO users VALUES (1, 'owner', '2026-01-02 03:04:05');
INSERT INTO keys VALUES ('{KEY}', 1, 'ADMIN', 'mine', '{hash_of("secret").hex()}',
    '2026-01-02 03:04:05');
INSERT INTO revisions VALUES ('{REVISION}', 1, 'call', 0, 'live', '2026-01-02 03:04:05', 'owner',
    'first', 'abc', '{BUNDLE}', 'text of it');
INSERT INTO endpoints VALUES (1, '{REVISION}', 0, 'call', '{REVISION}', 'private',
    '2026-01-02 03:04:05', '2026-01-02 03:04:05');
INSERT INTO endpoints VALUES (1, 'call', 1, 'call', '{REVISION}', 'shared',
    '2026-01-02 03:04:05', '2026-01-02 03:04:05');
INSERT INTO moves VALUES (1, 1, 'call', NULL, '{REVISION}', '2026-01-02 03:04:05', 'owner',
    'serve', 'first');
"""
"""What a backend of the first version had written."""


def made_at(path: Path, schema: str) -> str:
    """A registry as that schema had it, with what the first one can hold; its URL."""
    url = database.sqlite_url(path)
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS))
    with sa.create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST)
        connection.commit()
    with sa.create_engine(url).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, schema)
    return url


@pytest.mark.parametrize("schema", database.schemas())
def test_nothing_is_lost_on_the_way_from_any_version(tmp_path: Path, schema: str) -> None:
    engine = database.open_database(made_at(tmp_path / "registry.db", schema))
    registry, keys, audit = Registry(engine), KeyRing(engine), AuditLog(engine)
    assert [user.nickname for user in registry.users()] == ["owner"]
    assert keys.check_admin(Credential(KEY, "secret")).alias == "mine"
    assert registry.resolve("1", "call").auth == "shared"
    assert registry.resolve("1", REVISION).auth == "private"
    assert registry.revision("1", REVISION).bundle.entrypoint == "call_text"
    assert registry.source(REVISION) == "text of it"
    assert [move.message for move in registry.moves("1", "call")] == ["first"]
    keys.generate("1", "API")
    assert audit.entries("1", 10)[0].action == "key generate"
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, database.metadata) == []


def test_the_first_version_is_known_still() -> None:
    assert database.schemas()[0] == "0001"
    assert database.schemas()[-1] == database.HEAD


def test_a_registry_of_a_newer_version_is_left_alone(
    tmp_path: Path, backends: StartBackend
) -> None:
    path = tmp_path / "home" / "state" / "registry.db"
    path.parent.mkdir(parents=True)
    database.open_database(database.sqlite_url(path)).dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(AssertionError) as told:
        backends(tmp_path / "home")
    said = str(told.value).removeprefix("the backend did not start: ").strip().splitlines()
    assert len(said) == 1
    assert "newer version: it has schema 0999" in said[0] and "update fal-tui" in said[0]
    assert path.read_bytes() == before
    assert not (path.parent / "revisions").exists()


def test_what_is_no_registry_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"not a database at all" * 1000)
    with pytest.raises(StateFailed, match=r"damaged \(file is not a database\)"):
        database.open_database(database.sqlite_url(tmp_path / "registry.db"))
    assert (tmp_path / "registry.db").read_bytes() == b"not a database at all" * 1000
