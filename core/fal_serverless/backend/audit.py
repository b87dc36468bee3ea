"""Who changed what, from where and when.

An entry is written in the transaction of the change itself, so that there is never one without the
other, and it outlives what it tells of. Who is acting is known to the task that answers a request
(`act_as`) and to all that it starts; what nobody asked for was the backend's own doing.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from fal_serverless.backend import database as db
from fal_serverless.models import AuditAction, AuditEntry

KEPT = 100_000
"""Newest entries of all users that are kept."""
SWEEP = 1_000
"""Entries between two looks at how many there are."""


@dataclass(frozen=True)
class Actor:
    """Who acts."""

    user: str
    """Id; '' for the backend itself."""
    nickname: str
    key: str = ""
    """Id of the key that was shown."""
    address: str = ""
    """IP address the request came from; '' when there was none."""


BACKEND = Actor("", "backend")

_acting: ContextVar[Actor] = ContextVar("acting", default=BACKEND)


def act_as(actor: Actor) -> None:
    """From here on, in this task and in those that it starts."""
    _acting.set(actor)


def write(
    connection: sa.Connection,
    owner: str,
    action: AuditAction,
    subject: str,
    *,
    before: str = "",
    after: str = "",
    message: str = "",
) -> None:
    """Add an entry to the transaction of the change. `owner` is the id of whose thing it is."""
    actor = _acting.get()
    row = {
        "owner_id": int(owner),
        "actor_id": int(actor.user) if actor.user else None,
        "by": actor.nickname,
        "key_id": actor.key,
        "address": actor.address,
        "at": datetime.now(UTC),
        "action": action,
        "subject": subject,
        "before": before,
        "after": after,
        "message": message,
    }
    made = connection.execute(sa.insert(db.audit).values(row)).inserted_primary_key
    assert made is not None
    if made[0] % SWEEP == 0:
        connection.execute(sa.delete(db.audit).where(db.audit.c.id <= made[0] - KEPT))


class AuditLog:
    """The entries of one backend."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, owner: str, action: AuditAction, subject: str, *, message: str = "") -> None:
        """An entry about what is not in the database."""
        with self._engine.begin() as connection:
            write(connection, owner, action, subject, message=message)

    def entries(self, user: str, lines: int) -> list[AuditEntry]:
        """The newest so many of what is the user's or was done by them, newest first."""
        table = db.audit.c
        query = (
            sa.select(db.audit)
            .where(sa.or_(table.owner_id == int(user), table.actor_id == int(user)))
            .order_by(table.id.desc())
            .limit(lines)
        )
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]


def _entry(row: sa.RowMapping) -> AuditEntry:
    return AuditEntry(
        id=row["id"],
        at=row["at"],
        by=row["by"],
        key=row["key_id"],
        address=row["address"],
        action=row["action"],
        subject=row["subject"],
        before=row["before"],
        after=row["after"],
        message=row["message"],
    )
