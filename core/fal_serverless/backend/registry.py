"""What is registered: users, revisions, the endpoints that point at them, and every move.

Writes go to the database in one transaction each and then into memory; the call path reads memory
only (`resolve`). Bundles' bytes are not its business, nor whether a worker runs. The one process
that owns the state calls it, from any thread.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import sqlalchemy as sa

from fal_serverless.backend import audit
from fal_serverless.backend import database as db
from fal_serverless.backend.records import (
    Endpoint,
    Registration,
    Stored,
    endpoint_of,
    move_of,
    stored_of,
)
from fal_serverless.endpoint import check_alias, is_revision_id
from fal_serverless.errors import BadInput, Conflict, InvalidName, NotFound
from fal_serverless.models import (
    AUTH_MODES,
    AuditAction,
    AuthMode,
    Move,
    MoveReason,
    User,
    to_json,
)


class Registry:
    """The state of one backend. All listings are of one user."""

    def __init__(
        self, engine: sa.Engine, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._writing = threading.RLock()
        self._users: dict[str, User] = {}
        self._revisions: dict[str, Stored] = {}
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._moved: Counter[tuple[str, str]] = Counter()
        self.version = 0
        """Another one whenever revisions or endpoints are not as they were."""
        self._load()

    # Users

    def add_user(self, nickname: str) -> User:
        """Raises InvalidName, Conflict."""
        if not nickname.strip() or len(nickname) > 64:
            raise InvalidName(f"nickname {nickname!r} must have 1 to 64 characters")
        with self._writing, self._engine.begin() as connection:
            if any(user.nickname == nickname for user in self._users.values()):
                raise Conflict(f"there is a user '{nickname}' already", nickname=nickname)
            now = self._clock()
            query = sa.insert(db.users).values(nickname=nickname, created_at=now)
            key = connection.execute(query).inserted_primary_key
            assert key is not None
            user = User(str(key[0]), nickname, now)
            audit.write(connection, user.id, "user add", nickname)
        self._users[user.id] = user
        return user

    def user(self, user_id: str) -> User:
        found = self._users.get(user_id)
        if found is None:
            raise NotFound(f"no user '{user_id}'", user=user_id)
        return found

    def users(self) -> list[User]:
        return list(self._users.values())

    # Looking up

    def resolve(self, user: str, label: str) -> Endpoint:
        """The endpoint of a call. Raises NotFound."""
        found = self._endpoints.get((user, label))
        if found is None:
            raise NotFound(f"no endpoint '{label}' of user {user}", label=label)
        return found

    def find(self, user: str, label: str) -> Endpoint | None:
        """The endpoint of a call, when there is one."""
        return self._endpoints.get((user, label))

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """All there are, as they are now, by user and label."""
        return dict(self._endpoints)

    def stored(self, revision_id: str) -> Stored | None:
        """By its whole id, whosever it is."""
        return self._revisions.get(revision_id)

    def revision(self, user: str, revision_id: str) -> Stored:
        """By its id, or by a unique beginning of at least four characters. Raises NotFound."""
        exact = self._revisions.get(revision_id)
        if exact is not None and exact.user == user:
            return exact
        hits = [
            r for r in self._revisions.values() if r.user == user and r.id.startswith(revision_id)
        ]
        if len(revision_id) < 4 or not hits:
            raise NotFound(
                f"no revision '{revision_id}'; 'function list' and 'function revisions NAME' "
                "show what there is",
                revision=revision_id,
            )
        if len(hits) > 1:
            ids = ", ".join(sorted(hit.id[:13] for hit in hits)[:5])
            raise BadInput(f"'{revision_id}' begins {len(hits)} revisions: {ids}")
        return hits[0]

    def revisions(self, user: str, function: str | None = None) -> list[Stored]:
        """Newest first."""
        found = [
            r
            for r in self._revisions.values()
            if r.user == user and (function is None or r.function == function)
        ]
        # In the order they came in, not by their times: a clock may have been set back.
        return found[::-1]

    def function_revisions(self, user: str, function: str) -> list[Stored]:
        """Newest first. Raises NotFound, naming the functions there are."""
        found = self.revisions(user, function)
        if not found:
            raise self._no_such("function", function, {r.function for r in self.revisions(user)})
        return found

    def aliases(self, user: str) -> list[Endpoint]:
        found = [e for e in self._endpoints.values() if e.user == user and e.is_alias]
        return sorted(found, key=lambda e: e.label)

    def alias(self, user: str, name: str) -> Endpoint:
        """Raises NotFound, naming the aliases there are."""
        found = self._endpoints.get((user, name))
        if found is None or not found.is_alias:
            raise self._no_such("alias", name, {e.label for e in self.aliases(user)})
        return found

    def aliases_of(self, revision_id: str) -> tuple[str, ...]:
        """Names of the aliases that point at it now."""
        hits = (
            e.label for e in self._endpoints.values() if e.is_alias and e.revision == revision_id
        )
        return tuple(sorted(hits))

    def source(self, revision_id: str) -> str:
        query = sa.select(db.revisions.c.source).where(db.revisions.c.id == revision_id)
        with self._engine.connect() as connection:
            return connection.scalar(query) or ""

    def moves(self, user: str, alias: str) -> list[Move]:
        """Newest first."""
        table = db.moves.c
        query = (
            sa.select(db.moves)
            .where(table.user_id == int(user), table.alias == alias)
            .order_by(table.id.desc())
        )
        with self._engine.connect() as connection:
            return [move_of(row) for row in connection.execute(query).mappings()]

    def move_count(self, user: str, alias: str) -> int:
        """How often it was pointed somewhere, its making included."""
        return self._moved[user, alias]

    def served_by(self, user: str, label: str) -> set[str]:
        """Every revision a label ever pointed at; empty when there is no such label."""
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
            "source": new.bundle.source,
        }
        with self._writing, self._engine.begin() as connection:
            connection.execute(sa.insert(db.revisions).values(row))
        return stored

    def forget(self, revision_id: str) -> None:
        """Drop a pending revision."""
        table = db.revisions.c
        query = sa.delete(db.revisions).where(table.id == revision_id, table.state == "pending")
        with self._writing, self._engine.begin() as connection:
            connection.execute(query)

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
                live = sa.update(db.revisions).where(db.revisions.c.id == stored.id)
                connection.execute(live.values(state="live"))
                self._write_endpoint(connection, own)
                pointed = None
                if not alias:
                    _audit_served(connection, own, message)
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
                self._write_endpoint(connection, endpoint)
                _audit_auth(connection, known, endpoint)
            self._keep(endpoint)
            return endpoint

    # Deleting

    def delete_alias(self, user: str, name: str) -> None:
        """The pointer goes; its revisions and its history stay."""
        with self._writing:
            known = self.alias(user, name)
            with self._engine.begin() as connection:
                connection.execute(_delete_endpoint(user, name))
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
            connection.execute(sa.delete(db.revisions).where(db.revisions.c.state == "pending"))
            for row in connection.execute(sa.select(db.users)).mappings():
                user = User(str(row["id"]), row["nickname"], row["created_at"])
                self._users[user.id] = user
            columns = [column for column in db.revisions.c if column.name != "source"]
            is_sqlite = self._engine.dialect.name == "sqlite"
            came = sa.text("rowid") if is_sqlite else db.revisions.c.created_at
            for row in connection.execute(sa.select(*columns).order_by(came)).mappings():
                stored = stored_of(row)
                self._revisions[stored.id] = stored
            for row in connection.execute(sa.select(db.endpoints)).mappings():
                self._keep(endpoint_of(row))
            count = sa.select(db.moves.c.user_id, db.moves.c.alias, sa.func.count())
            for user_id, alias, times in connection.execute(
                count.group_by(db.moves.c.user_id, db.moves.c.alias)
            ):
                self._moved[str(user_id), alias] = times

    def _keep(self, endpoint: Endpoint) -> None:
        self._endpoints[(endpoint.user, endpoint.label)] = endpoint
        self.version += 1

    def _keep_pointed(self, endpoint: Endpoint) -> None:
        known = self._endpoints.get((endpoint.user, endpoint.label))
        if known is None or known.revision != endpoint.revision:
            self._moved[endpoint.user, endpoint.label] += 1
        self._keep(endpoint)

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
        self._write_endpoint(connection, endpoint)
        if moved:
            connection.execute(
                sa.insert(db.moves).values(
                    user_id=int(stored.user),
                    alias=alias,
                    from_revision=known.revision if known else None,
                    to_revision=stored.id,
                    at=endpoint.since,
                    by=by,
                    reason=reason,
                    message=message,
                )
            )
            audit.write(
                connection,
                stored.user,
                _ACTIONS[reason],
                alias,
                before=known.revision if known else "",
                after=stored.id,
                message=message,
            )
        _audit_auth(connection, known, endpoint)
        return endpoint

    def _write_endpoint(self, connection: sa.Connection, endpoint: Endpoint) -> None:
        connection.execute(_delete_endpoint(endpoint.user, endpoint.label))
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
                connection.execute(_delete_endpoint(user, label))
            connection.execute(sa.delete(db.revisions).where(db.revisions.c.id.in_(ids)))
            audit.write(connection, user, action, subject, message=message)
        for label in labels:
            self._endpoints.pop((user, label), None)
        for revision_id in ids:
            del self._revisions[revision_id]
        self.version += 1

    def _no_such(self, kind: str, name: str, have: set[str]) -> NotFound:
        named = sorted(label for label in have if not is_revision_id(label))
        listed = f"; there are: {', '.join(named)}" if named else f"; there is no {kind} yet"
        return NotFound(f"no {kind} '{name}'{listed}", name=name)


def check_auth(auth: str) -> AuthMode:
    """The mode itself. Raises BadInput for anything but the three."""
    for mode in AUTH_MODES:
        if auth == mode:
            return mode
    raise BadInput(f"auth must be one of {', '.join(AUTH_MODES)}, not {auth!r}")


_ACTIONS: dict[MoveReason, AuditAction] = {
    "serve": "serve",
    "rollback": "rollback",
    "set": "alias set",
    "undo": "undo",
}


def _audit_served(connection: sa.Connection, own: Endpoint, message: str) -> None:
    """An anonymous function: its revision is all that points at it."""
    audit.write(connection, own.user, "serve", own.label, after=own.revision, message=message)
    _audit_auth(connection, None, own)


def _audit_auth(connection: sa.Connection, known: Endpoint | None, made: Endpoint) -> None:
    """Nothing is said of what is closed from the beginning."""
    before = known.auth if known else "private"
    if before != made.auth:
        told = {"before": before, "after": made.auth}
        audit.write(connection, made.user, "auth", made.label, **told)


def _delete_endpoint(user: str, label: str) -> sa.Delete:
    table = db.endpoints.c
    return sa.delete(db.endpoints).where(table.user_id == int(user), table.label == label)
