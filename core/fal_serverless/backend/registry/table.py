"""What is registered, as memory has it: what the call path and the listings read.

It knows nothing of a database, and who may call what is not its business.
"""

from __future__ import annotations

from collections import Counter

from fal_serverless.backend.records import Endpoint, Stored
from fal_serverless.endpoint import is_revision_id
from fal_serverless.errors import BadInput, NotFound, listed
from fal_serverless.models import User


class Table:
    """Users, revisions and the endpoints that point at them. All listings are of one user."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._revisions: dict[str, Stored] = {}
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        self._moved: Counter[tuple[str, str]] = Counter()
        self.version = 0
        """Another one whenever revisions or endpoints are not as they were."""

    # Looking up

    def user(self, user_id: str) -> User:
        found = self._users.get(user_id)
        if found is None:
            raise NotFound(f"no user '{user_id}'", user=user_id)
        return found

    def users(self) -> list[User]:
        return list(self._users.values())

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

    def move_count(self, user: str, alias: str) -> int:
        """How often it was pointed somewhere, its making included."""
        return self._moved[user, alias]

    # For who writes it

    def _keep(self, endpoint: Endpoint) -> None:
        self._endpoints[(endpoint.user, endpoint.label)] = endpoint
        self.version += 1

    def _keep_pointed(self, endpoint: Endpoint) -> None:
        known = self._endpoints.get((endpoint.user, endpoint.label))
        if known is None or known.revision != endpoint.revision:
            self._moved[endpoint.user, endpoint.label] += 1
        self._keep(endpoint)

    def _no_such(self, kind: str, name: str, have: set[str]) -> NotFound:
        named = [label for label in have if not is_revision_id(label)]
        known = f"there are: {listed(named, name)}" if named else f"there is no {kind} yet"
        return NotFound(f"no {kind} '{name}'; {known}", name=name)
