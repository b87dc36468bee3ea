"""The registry's tables, and how its database is opened and brought up to date.

SQLAlchemy Core on SQLite (write-ahead log, one file in the state folder) or on what
`database_url` names. Every change of a table is a migration; nothing is created on the side.
"""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fal_serverless.backend.sqlite import code_of, is_damage
from fal_serverless.errors import InvalidSetting, StateFailed

HEAD = "0002"
"""The newest migration. A database that is there already needs no Alembic, and no time for it."""

MIGRATIONS = Path(__file__).parent / "migrations"


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware time, kept in UTC: SQLite has no zones."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


metadata = sa.MetaData()

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("nickname", sa.Text, nullable=False, unique=True),
    sa.Column("created_at", UtcTime, nullable=False),
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("alias", sa.Text, nullable=False),
    sa.Column("secret_hash", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("anonymous", sa.Boolean, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("environment", sa.Text, nullable=False),
    sa.Column("bundle", sa.JSON, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Index("revisions_of_function", "user_id", "function"),
)

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("is_alias", sa.Boolean, nullable=False),
    sa.Column("function", sa.Text, nullable=False),
    sa.Column("revision", sa.Text, sa.ForeignKey("revisions.id"), nullable=False),
    sa.Column("auth", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
)

moves = sa.Table(
    "moves",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.Integer, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("alias", sa.Text, nullable=False),
    sa.Column("from_revision", sa.Text),
    sa.Column("to_revision", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Index("moves_of_alias", "user_id", "alias", "id"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("owner_id", sa.Integer, nullable=False),
    sa.Column("actor_id", sa.Integer),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("key_id", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Index("audit_of_owner", "owner_id", "id"),
    sa.Index("audit_of_actor", "actor_id", "id"),
)


def open_database(url: str) -> sa.Engine:
    """The database at `url`, at its newest migration. Raises InvalidSetting, StateFailed.

    Whoever uses it meets StateFailed where the disk or the file is what is wrong.
    """
    try:
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _prepare_sqlite)
            sa.event.listen(engine, "begin", _begin_immediate)
            sa.event.listen(engine, "handle_error", _told, retval=True)
            _look_over(engine)
        _upgrade(engine)
    except (sa.exc.ArgumentError, sa.exc.DatabaseError, ImportError) as exc:
        reason = str(getattr(exc, "orig", None) or exc).splitlines()[0]
        raise InvalidSetting(f"the database cannot be opened: {reason}") from exc
    return engine


_UNUSABLE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
)


def _told(context: sa.engine.ExceptionContext) -> BaseException | None:
    """What SQLite says of its file and the disk, as an error of ours."""
    error = context.original_exception
    place = context.engine.url.database if context.engine is not None else "the registry"
    if is_damage(error):
        return _damaged(place, str(error))
    if code_of(error) in _UNUSABLE:
        return StateFailed(f"{place} cannot be used: {error}; nothing was changed")
    return None


def _damaged(place: str | None, why: str) -> StateFailed:
    return StateFailed(
        f"{place} is damaged ({why}): put a copy in its place, or move the state folder away to "
        "begin anew"
    )


def _look_over(engine: sa.Engine) -> None:
    """Raises StateFailed for a damage, also where it would be met much later."""
    with engine.connect() as connection:
        found = connection.scalar(sa.text("PRAGMA quick_check(1)"))
    if found != "ok":
        raise _damaged(engine.url.database, " ".join(str(found).split()))


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN is deferred: two writers would meet in the middle of a transaction.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def schemas() -> list[str]:
    """Those that this version can bring up to date, and its own; oldest first."""
    return sorted(path.stem.partition("_")[0] for path in (MIGRATIONS / "versions").glob("0*.py"))


def check_schema(found: str, where: str) -> None:
    """Raises StateFailed for a database that a newer version has written, or another program."""
    if found in schemas():
        return
    if found.isdigit() and found > HEAD:
        raise StateFailed(
            f"{where} is of a newer version: it has schema {found}, and this version knows {HEAD} "
            "at most; update fal-tui, or use the copy of before. Nothing was changed"
        )
    raise StateFailed(f"{where} has a schema that is none of this program's: {found}")


def _upgrade(engine: sa.Engine) -> None:
    found = _version(engine)
    if found == HEAD:
        return
    if found is not None:
        check_schema(found, f"the registry {engine.url.render_as_string()}")
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _version(engine: sa.Engine) -> str | None:
    if not sa.inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return str(found) if found else None
