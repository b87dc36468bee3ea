"""What is registered: users, revisions, the endpoints that point at them, and every move.

Writes go to the database in one transaction each and then into memory; the call path reads memory
only (`resolve`). Bundles' bytes are not its business, nor whether a worker runs. The one process
that owns the state calls it, from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from fal_serverless.backend import audit
from fal_serverless.backend.records import Endpoint, Registration, Stored
from fal_serverless.backend.registry import rows
from fal_serverless.backend.registry.table import Table
from fal_serverless.endpoint import check_alias, is_revision_id
from fal_serverless.errors import BadInput, Conflict, InvalidName, NotFound
from fal_serverless.models import AUTH_MODES, AuditAction, AuthMode, Move, MoveReason, User


class Registry(Table):
    """The state of one backend."""

    def __init__(
        self, engine: sa.Engine, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__()
        self._engine = engine
        self._clock = clock
        self._writing = threading.RLock()
        self._load()

    def add_user(self, nickname: str) -> User:
        """Raises InvalidName, Conflict."""
        if not nickname.strip() or len(nickname) > 64:
            raise InvalidName(f"nickname {nickname!r} must have 1 to 64 characters")
        if nickname != nickname.strip() or not nickname.isprintable():
            raise InvalidName(f"nickname {nickname!r} must be one line without space around it")
        with self._writing, self._engine.begin() as connection:
            if any(user.nickname == nickname for user in self._users.values()):
                raise Conflict(f"there is a user '{nickname}' already", nickname=nickname)
            user = rows.add_user(connection, nickname, self._clock())
        self._users[user.id] = user
        return user

    # Asking the database

    def source(self, revision_id: str) -> str:
        """Text of its file; '' when there is no such revision."""
        with self._engine.connect() as connection:
            return rows.source(connection, revision_id)

    def moves(self, user: str, alias: str) -> list[Move]:
        """Newest first."""
        with self._engine.connect() as connection:
            return rows.moves(connection, user, alias)

    def served_by(self, user: str, label: str) -> set[str]:
        """Every revision a label ever pointed at, also when it is gone; empty: never was one."""
        if is_revision_id(label):
            return {label}  # it points at itself for ever
        known = self._endpoints.get((user, label))
        past = {move.to_revision for move in self.moves(user, label)}
        return past | ({known.revision} if known else set())

    # Registering

    def check_serve(self, user: str, alias: str | None, auth: AuthMode | None) -> None:
        """Raises what would make a serve impossible, before anything is built."""
        if auth is not None:
            check_auth(auth)
        if alias is None:
            return
        check_alias(alias, user)
        known = self._endpoints.get((user, alias))
        if known is not None and known.function != alias:
            raise Conflict(f"alias '{alias}' belongs to function '{known.function}'", alias=alias)

    def register(self, new: Registration) -> Stored:
        """Write a pending revision: nobody can call it, and a restart forgets it."""
        stored = Stored(
            id=new.id,
            user=new.user,
            function=new.alias or new.id,
            anonymous=new.alias is None,
            created_at=self._clock(),
            created_by=new.by,
            message=new.message,
            environment=new.environment,
            bundle=replace(new.bundle, source=""),
        )
        with self._writing, self._engine.begin() as connection:
            rows.add_pending(connection, stored, new.bundle.source)
        return stored

    def forget(self, revision_id: str) -> None:
        """Drop a pending revision."""
        with self._writing, self._engine.begin() as connection:
            rows.delete_pending(connection, revision_id)

    def publish(
        self, stored: Stored, alias: str | None, auth: AuthMode | None, message: str = ""
    ) -> Endpoint:
        """Make a pending revision callable and, with an alias, point it there: one transaction.

        Returns the endpoint people call. Raises Conflict when the alias was taken meanwhile.
        """
        with self._writing:
            self.check_serve(stored.user, alias, auth)
            own_auth: AuthMode = "private" if alias else auth or "private"
            own = self._new_endpoint(stored, stored.id, own_auth, is_alias=False)
            with self._engine.begin() as connection:
                rows.make_live(connection, stored.id)
                rows.write_endpoint(connection, own)
                pointed = None
                if not alias:
                    rows.tell_served(connection, own, message)
                if alias:
                    pointed = self._point(
                        connection, alias, stored, auth, stored.created_by, "serve", message
                    )
            self._revisions[stored.id] = stored
            self._keep(own)
            if pointed:
                self._keep_pointed(pointed)
            return pointed or own

    def point(
        self,
        user: str,
        alias: str,
        revision_id: str,
        *,
        by: str,
        reason: MoveReason,
        auth: AuthMode | None = None,
        message: str = "",
    ) -> Endpoint:
        """Make or move an alias, and write the move. Raises NotFound, InvalidName."""
        check_alias(alias, user)
        if auth is not None:
            check_auth(auth)
        with self._writing:
            stored = self.revision(user, revision_id)
            with self._engine.begin() as connection:
                endpoint = self._point(connection, alias, stored, auth, by, reason, message)
            self._keep_pointed(endpoint)
            return endpoint

    def rollback_target(self, user: str, alias: str, revision_id: str | None) -> Stored:
        """Where a rollback would go. Raises NotFound, Conflict when there is nowhere to go."""
        # A move that is being written is in the database before it is in memory.
        with self._writing:
            endpoint = self.alias(user, alias)
            if revision_id is not None:
                target = self.revision(user, revision_id)
            else:
                target = self._previous(endpoint)
        if target.id == endpoint.revision:
            raise Conflict(f"alias '{alias}' is at revision '{target.id}' already", alias=alias)
        return target

    def set_auth(self, user: str, label: str, auth: AuthMode) -> Endpoint:
        """In force with the next call. Raises NotFound, BadInput."""
        check_auth(auth)
        with self._writing:
            known = self._endpoints.get((user, label))
            if known is None:
                labels = {e.label for e in self.aliases(user)}
                raise self._no_such("endpoint", label, labels)
            endpoint = replace(known, auth=auth)
            with self._engine.begin() as connection:
                rows.write_endpoint(connection, endpoint)
                rows.tell_auth(connection, known.auth, endpoint)
            self._keep(endpoint)
            return endpoint

    # Deleting

    def delete_alias(self, user: str, name: str) -> None:
        """The pointer goes; its revisions and its history stay."""
        with self._writing:
            known = self.alias(user, name)
            with self._engine.begin() as connection:
                rows.delete_endpoint(connection, user, name)
                audit.write(connection, user, "alias delete", name, before=known.revision)
            del self._endpoints[(user, name)]
            self.version += 1

    def delete_revision(self, user: str, revision_id: str) -> Stored:
        """Raises Conflict while an alias points at it."""
        with self._writing:
            stored = self.revision(user, revision_id)
            holders = self.aliases_of(stored.id)
            if holders:
                names = ", ".join(f"'{name}'" for name in holders)
                one = len(holders) == 1
                raise Conflict(
                    f"{f'alias {names} points' if one else f'aliases {names} point'} at revision "
                    f"'{stored.id}'; move or delete {'it' if one else 'them'} first",
                    aliases=list(holders),
                )
            self._delete([stored], [], "revision delete", stored.id, f"of {stored.function}")
            return stored

    def delete_function(self, user: str, name: str) -> list[Stored]:
        """Its revisions and its own aliases, in one transaction; returns the revisions.

        Raises Conflict while an alias of another function points at one of them.
        """
        with self._writing:
            stored = self.function_revisions(user, name)
            ids = {r.id for r in stored}
            own = [e for e in self.aliases(user) if e.function == name]
            foreign = [e for e in self.aliases(user) if e.revision in ids and e.function != name]
            if foreign:
                alias = foreign[0]
                raise Conflict(
                    f"alias '{alias.label}' of function '{alias.function}' points at a revision "
                    f"of '{name}'; move or delete it first",
                    alias=alias.label,
                )
            count = f"{len(stored)} revision{'' if len(stored) == 1 else 's'}"
            names = ", ".join([count, *(f"alias {each.label}" for each in own)])
            self._delete(stored, own, "function delete", name, names)
            return stored

    # Inside

    def _load(self) -> None:
        with self._engine.begin() as connection:
            rows.delete_pending(connection)
            self._users = {user.id: user for user in rows.users(connection)}
            self._revisions = {stored.id: stored for stored in rows.revisions(connection)}
            for endpoint in rows.endpoints(connection):
                self._keep(endpoint)
            self._moved = rows.move_counts(connection)

    def _new_endpoint(
        self, stored: Stored, label: str, auth: AuthMode, *, is_alias: bool
    ) -> Endpoint:
        now = self._clock()
        return Endpoint(stored.user, label, is_alias, stored.function, stored.id, auth, now, now)

    def _point(
        self,
        connection: sa.Connection,
        alias: str,
        stored: Stored,
        auth: AuthMode | None,
        by: str,
        reason: MoveReason,
        message: str,
    ) -> Endpoint:
        known = self._endpoints.get((stored.user, alias))
        moved = known is None or known.revision != stored.id
        if known is None:
            endpoint = self._new_endpoint(stored, alias, auth or "private", is_alias=True)
        else:
            since = self._clock() if moved else known.since
            endpoint = replace(known, revision=stored.id, auth=auth or known.auth, since=since)
        rows.write_endpoint(connection, endpoint)
        if moved:
            before = known.revision if known else None
            rows.add_move(connection, before, endpoint, by, reason, message)
        rows.tell_auth(connection, known.auth if known else "private", endpoint)
        return endpoint

    def _previous(self, endpoint: Endpoint) -> Stored:
        moves = self.moves(endpoint.user, endpoint.label)
        before = moves[0].from_revision if moves else None
        if before is None:
            raise Conflict(
                f"alias '{endpoint.label}' has never been moved: there is nothing to roll back to",
                alias=endpoint.label,
            )
        if before not in self._revisions:
            raise NotFound(
                f"the revision before, '{before}', was deleted; name one of "
                f"'function revisions {endpoint.function}'",
                revision=before,
            )
        return self._revisions[before]

    def _delete(
        self,
        stored: list[Stored],
        aliases: list[Endpoint],
        action: AuditAction,
        subject: str,
        message: str,
    ) -> None:
        labels = [e.label for e in aliases] + [r.id for r in stored]
        user = stored[0].user
        ids = [r.id for r in stored]
        with self._engine.begin() as connection:
            for label in labels:
                rows.delete_endpoint(connection, user, label)
            rows.delete_revisions(connection, ids)
            audit.write(connection, user, action, subject, message=message)
        for label in labels:
            self._endpoints.pop((user, label), None)
        for revision_id in ids:
            del self._revisions[revision_id]
        self.version += 1


def check_auth(auth: str) -> AuthMode:
    """The mode itself. Raises BadInput for anything but the three."""
    for mode in AUTH_MODES:
        if auth == mode:
            return mode
    raise BadInput(f"auth must be one of {', '.join(AUTH_MODES)}, not {auth!r}")
