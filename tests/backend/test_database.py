from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from fal_serverless.backend import database
from fal_serverless.backend.registry import Registry
from fal_serverless.errors import InvalidSetting, StateFailed


def test_the_migrations_make_exactly_the_tables(tmp_path: Path) -> None:
    engine = database.open_database(database.sqlite_url(tmp_path / "r.db"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, database.metadata) == []


def test_head_is_the_newest_migration() -> None:
    names = sorted(path.stem for path in (database.MIGRATIONS / "versions").glob("0*.py"))
    assert names[-1].split("_")[0] == database.HEAD


def test_opening_an_existing_database_does_not_import_alembic(tmp_path: Path) -> None:
    import subprocess
    import sys

    url = database.sqlite_url(tmp_path / "r.db")
    database.open_database(url)
    program = (
        "import sys; from fal_serverless.backend.database import open_database;"
        f"open_database({url!r}); sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_writers_do_not_meet_inside_a_transaction(tmp_path: Path) -> None:
    engine = database.open_database(database.sqlite_url(tmp_path / "r.db"))
    with engine.connect() as connection:
        assert connection.scalar(sa.text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(sa.text("PRAGMA foreign_keys")) == 1


def test_a_bad_url_is_an_invalid_setting() -> None:
    with pytest.raises(InvalidSetting, match="cannot be opened"):
        database.open_database("nonsense")


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _overwrite(data: bytes) -> bytes:
    return data[:4096] + b"\x7f" * 100 + data[4196:]


def _replace(data: bytes) -> bytes:
    return b"no database at all " * 999


@pytest.mark.parametrize("damage", [_cut, _overwrite, _replace])
def test_a_damaged_file_is_told_and_left_as_it_is(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "r.db"
    database.open_database(database.sqlite_url(path)).dispose()
    path.write_bytes(damaged := damage(path.read_bytes()))
    with pytest.raises(StateFailed, match=r"r\.db is damaged .* put a copy in its place"):
        database.open_database(database.sqlite_url(path))
    assert path.read_bytes() == damaged


def test_a_newer_version_is_told(tmp_path: Path) -> None:
    url = database.sqlite_url(tmp_path / "r.db")
    engine = database.open_database(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(
        StateFailed,
        match=f"has schema 9999, and this version knows {database.HEAD}",
    ):
        database.open_database(url)


def test_a_schema_that_was_never_ours_is_told(tmp_path: Path) -> None:
    url = database.sqlite_url(tmp_path / "r.db")
    engine = database.open_database(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000x'"))
    with pytest.raises(StateFailed, match=r"none of this program's: .*0000x"):
        database.open_database(url)


def test_a_full_disk_is_told_and_changes_nothing(tmp_path: Path) -> None:
    engine = database.open_database(database.sqlite_url(tmp_path / "r.db"))
    registry = Registry(engine)
    registry.add_user("before")
    with engine.connect() as connection:
        pages = connection.scalar(sa.text("PRAGMA page_count"))
        # A database that may not grow fails as a full disk does.
        connection.execute(sa.text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StateFailed, match="disk is full; nothing was changed"):
        for number in range(10_000):
            registry.add_user(f"{number} {'x' * 50}")
    users = [user.nickname for user in registry.users()]
    assert users == [user.nickname for user in Registry(engine).users()]
