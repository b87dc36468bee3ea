"""Which environments does nobody use any more, and may they go?

Knows environments and who uses them; how a revision comes and goes is not its business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fal_serverless.backend import inventory
from fal_serverless.backend.environment import EnvironmentStore
from fal_serverless.errors import Conflict, NotFound
from fal_serverless.models import Environment, Pruned

LEAST_KEY = 4
"""Characters of a key's beginning that are enough to name it."""

Uses = Mapping[str, tuple[str, str]]
"""Revision -> its user, and the key of its environment."""


class Housekeeping:
    """Lists and removes the environments of one backend.

    `uses` tells what every revision uses, of all users, those being served included.
    """

    def __init__(self, store: EnvironmentStore, uses: Callable[[], Uses]) -> None:
        self._store = store
        self._uses = uses

    async def environments(self, user: str) -> list[Environment]:
        """Newest use first; revisions of others are only counted."""
        found = await asyncio.to_thread(self._store.kept)
        uses = self._uses()
        return [with_users(one, uses, user) for one in found]

    async def environment(self, user: str, key: str) -> Environment:
        """By its key or a beginning of it. Raises NotFound, Conflict for one that fits many."""
        found = await self.environments(user)
        hits = [one for one in found if one.key == key]
        if len(key) >= LEAST_KEY:
            hits = hits or [one for one in found if one.key.startswith(key)]
        if len(hits) > 1:
            raise Conflict(f"'{key}' begins the keys of {len(hits)} environments; name more of it")
        if not hits:
            raise NotFound(f"no environment '{key}'; 'environment list' shows them", key=key)
        return hits[0]

    async def delete(self, user: str, key: str) -> Pruned:
        """Raises NotFound; Conflict while a revision uses it or it is being built."""
        found = await self.environment(user, key)
        _refuse_used(with_users(found, self._uses(), user))
        freed = await self._store.remove(found.key)
        return Pruned((found,), 0, freed)

    async def prune(self, user: str, older_than: float = 0, dry_run: bool = False) -> Pruned:
        """Remove what no revision uses and nobody asked for in so many seconds; and leftovers."""
        before = datetime.now(UTC) - timedelta(seconds=older_than)
        removed: list[Environment] = []
        freed = 0
        for one in await self.environments(user):
            if one.last_used_at > before or self._is_used(one.key):
                continue
            size = await self._remove(one, dry_run)
            if size is not None:
                removed.append(one)
                freed += size
        leftovers, more = await asyncio.to_thread(self._clear, dry_run)
        return Pruned(tuple(removed), leftovers, freed + more, dry_run)

    async def _remove(self, one: Environment, dry_run: bool) -> int | None:
        """Bytes that are free now, or would be; None: somebody builds it."""
        if dry_run:
            return None if self._store.is_building(one.key) else one.size_bytes - one.shared_bytes
        try:
            return await self._store.remove(one.key)
        except Conflict:
            return None

    def _clear(self, dry_run: bool) -> tuple[int, int]:
        paths = self._store.leftovers()
        act = _would_free if dry_run else inventory.wipe
        return len(paths), sum(act(path) for path in paths)

    def _is_used(self, key: str) -> bool:
        return any(key == used for _, used in self._uses().values())


def with_users(one: Environment, uses: Uses, user: str) -> Environment:
    """The environment with the revisions that use it; those of others are only counted."""
    used_by = {revision: owner for revision, (owner, key) in uses.items() if key == one.key}
    mine = tuple(revision for revision, owner in used_by.items() if owner == user)
    return replace(one, revisions=mine, others=len(used_by) - len(mine))


def _refuse_used(one: Environment) -> None:
    if not one.in_use:
        return
    count = len(one.revisions) + one.others
    named = f" ('{one.revisions[0]}'{', …' if count > 1 else ''})" if one.revisions else ""
    many = f"{count} revision{'s use' if count > 1 else ' uses'}"
    raise Conflict(
        f"{many} environment '{one.key}'{named}; it can go when they are deleted",
        revisions=list(one.revisions),
    )


def _would_free(path: Path) -> int:
    size = inventory.measure(path)
    return size.total - size.shared
