"""The registry's rows in the database: read at start, written in the transaction of a change.

What the audit log is told of a change stands in the same transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa

from fal_serverless.backend import audit
from fal_serverless.backend import database as db
from fal_serverless.backend.records import Endpoint, Stored, endpoint_of, move_of, stored_of
from fal_serverless.models import AuditAction, AuthMode, Move, MoveReason, User, to_json

# Reading


def users(connection: sa.Connection) -> Iterator[User]:
    for row in connection.execute(sa.select(db.users)).mappings():
        yield User(str(row["id"]), row["nickname"], row["created_at"])


def revisions(connection: sa.Connection) -> Iterator[Stored]:
    """In the order they came in, without source text."""
    columns = [column for column in db.revisions.c if column.name != "source"]
    is_sqlite = connection.dialect.name == "sqlite"
    came = sa.text("rowid") if is_sqlite else db.revisions.c.created_at
    for row in connection.execute(sa.select(*columns).order_by(came)).mappings():
        yield stored_of(row)


def endpoints(connection: sa.Connection) -> Iterator[Endpoint]:
    for row in connection.execute(sa.select(db.endpoints)).mappings():
        yield endpoint_of(row)


def move_counts(connection: sa.Connection) -> Counter[tuple[str, str]]:
    """How often each user's aliases were moved."""
    alias = db.moves.c.user_id, db.moves.c.alias
    count = sa.select(*alias, sa.func.count()).group_by(*alias)
    return Counter({(str(user), name): times for user, name, times in connection.execute(count)})


def moves(connection: sa.Connection, user: str, alias: str) -> list[Move]:
    """Newest first."""
    table = db.moves.c
    mine = sa.select(db.moves).where(table.user_id == int(user), table.alias == alias)
    return [move_of(row) for row in connection.execute(mine.order_by(table.id.desc())).mappings()]


def source(connection: sa.Connection, revision_id: str) -> str:
    """Text of a revision's file; '' when there is no such revision."""
    query = sa.select(db.revisions.c.source).where(db.revisions.c.id == revision_id)
    return connection.scalar(query) or ""


# Writing


def add_user(connection: sa.Connection, nickname: str, now: datetime) -> User:
    """With the id that the database gives."""
    query = sa.insert(db.users).values(nickname=nickname, created_at=now)
    key = connection.execute(query).inserted_primary_key
    assert key is not None
    user = User(str(key[0]), nickname, now)
    audit.write(connection, user.id, "user add", nickname)
    return user


def add_pending(connection: sa.Connection, stored: Stored, text: str) -> None:
    """A revision that nobody can call yet. `text`: of its file."""
    row = {
        "id": stored.id,
        "user_id": int(stored.user),
        "function": stored.function,
        "anonymous": stored.anonymous,
        "state": "pending",
        "created_at": stored.created_at,
        "created_by": stored.created_by,
        "message": stored.message,
        "environment": stored.environment,
        "bundle": to_json(stored.bundle),
        "source": text,
    }
    connection.execute(sa.insert(db.revisions).values(row))


def delete_pending(connection: sa.Connection, revision_id: str | None = None) -> None:
    """One; None: all."""
    pending = sa.delete(db.revisions).where(db.revisions.c.state == "pending")
    if revision_id is not None:
        pending = pending.where(db.revisions.c.id == revision_id)
    connection.execute(pending)


def make_live(connection: sa.Connection, revision_id: str) -> None:
    live = sa.update(db.revisions).where(db.revisions.c.id == revision_id)
    connection.execute(live.values(state="live"))


def delete_revisions(connection: sa.Connection, ids: Sequence[str]) -> None:
    connection.execute(sa.delete(db.revisions).where(db.revisions.c.id.in_(ids)))


def write_endpoint(connection: sa.Connection, endpoint: Endpoint) -> None:
    delete_endpoint(connection, endpoint.user, endpoint.label)
    connection.execute(
        sa.insert(db.endpoints).values(
            user_id=int(endpoint.user),
            label=endpoint.label,
            is_alias=endpoint.is_alias,
            function=endpoint.function,
            revision=endpoint.revision,
            auth=endpoint.auth,
            created_at=endpoint.created_at,
            since=endpoint.since,
        )
    )


def delete_endpoint(connection: sa.Connection, user: str, label: str) -> None:
    table = db.endpoints.c
    query = sa.delete(db.endpoints).where(table.user_id == int(user), table.label == label)
    connection.execute(query)


def add_move(
    connection: sa.Connection,
    before: str | None,
    made: Endpoint,
    by: str,
    reason: MoveReason,
    message: str,
) -> None:
    """An alias was pointed somewhere. `before`: its revision until then; `by`: a nickname."""
    connection.execute(
        sa.insert(db.moves).values(
            user_id=int(made.user),
            alias=made.label,
            from_revision=before,
            to_revision=made.revision,
            at=made.since,
            by=by,
            reason=reason,
            message=message,
        )
    )
    audit.write(
        connection,
        made.user,
        _ACTIONS[reason],
        made.label,
        before=before or "",
        after=made.revision,
        message=message,
    )


_ACTIONS: dict[MoveReason, AuditAction] = {
    "serve": "serve",
    "rollback": "rollback",
    "set": "alias set",
    "undo": "undo",
}


def tell_served(connection: sa.Connection, own: Endpoint, message: str) -> None:
    """Of an anonymous function: its revision is all that points at it."""
    audit.write(connection, own.user, "serve", own.label, after=own.revision, message=message)
    tell_auth(connection, "private", own)


def tell_auth(connection: sa.Connection, before: AuthMode, made: Endpoint) -> None:
    """Nothing is said of what is closed from the beginning."""
    if before != made.auth:
        told = {"before": before, "after": made.auth}
        audit.write(connection, made.user, "auth", made.label, **told)
