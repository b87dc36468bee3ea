"""What the log says of a serve and of what somebody changed. Who it was stands at the end."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from fal_serverless.backend.logs.store import LogStore
from fal_serverless.backend.records import Endpoint, Stored
from fal_serverless.models import AuthMode, Level, LogEntry, MoveReason, Source, User


class Notes:
    """Written into the logs of one backend."""

    def __init__(self, logs: LogStore) -> None:
        self._logs = logs

    def moved(
        self,
        user: User,
        before: Endpoint | None,
        now: Endpoint,
        reason: MoveReason,
        message: str = "",
    ) -> None:
        """An alias was made or moved, and with it maybe its auth mode."""
        where = f"alias {now.label} points at {now.revision}"
        if before is not None and before.revision != now.revision:
            where = f"alias {now.label} moved from {before.revision} to {now.revision}"
        said = f": {message}" if message else ""
        self._note(user, now, f"{where} ({reason}), by {user.nickname}{said}")
        if before is not None and before.auth != now.auth:
            self.auth(user, before.auth, now)

    def auth(self, user: User, before: AuthMode, now: Endpoint) -> None:
        said = f"auth of {now.label} changed from {before} to {now.auth}"
        if before == now.auth:
            said = f"auth of {now.label} stays {now.auth}"
        self._note(user, now, f"{said}, by {user.nickname}")

    def alias_deleted(self, user: User, gone: Endpoint) -> None:
        said = f"alias {gone.label} deleted, it pointed at {gone.revision}"
        self._note(user, gone, f"{said}, by {user.nickname}")

    def revisions_deleted(self, user: User, gone: Iterable[Stored]) -> None:
        for stored in gone:
            said = f"revision {stored.id} deleted, by {user.nickname}"
            self.log(user.id, stored.function, stored.id, said, "system")

    def log(
        self,
        user: str,
        function: str,
        revision: str,
        message: str,
        source: Source,
        level: Level = "INFO",
        *,
        alias: str = "",
    ) -> None:
        now = datetime.now(UTC)
        self._logs.append(LogEntry(0, now, level, source, message, user, function, alias, revision))

    def _note(self, user: User, endpoint: Endpoint, message: str) -> None:
        alias = endpoint.label if endpoint.is_alias else ""
        self.log(user.id, endpoint.function, endpoint.revision, message, "system", alias=alias)
