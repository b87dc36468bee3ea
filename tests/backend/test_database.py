from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from fal_serverless.backend import database
from fal_serverless.errors import InvalidSetting


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
