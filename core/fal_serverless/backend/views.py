"""What clients are shown: the registry's records joined with workers and traffic. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from fal_serverless import endpoint as names
from fal_serverless.backend.records import Endpoint, Stored
from fal_serverless.backend.registry import Registry
from fal_serverless.backend.traffic import Meter
from fal_serverless.models import Alias, Function, Revision, Worker


class Views:
    """`base` is the backend's URL for callers, known once it listens."""

    def __init__(
        self,
        registry: Registry,
        meter: Meter,
        workers: Callable[[], list[Worker]],
        domain: str,
        base: str,
    ) -> None:
        self._registry = registry
        self._meter = meter
        self._workers = workers
        self._domain = domain
        self._base = base
        split = urlsplit(base)
        self._scheme = split.scheme
        self._port = split.port or {"http": 80, "https": 443}[split.scheme]

    def url(self, user: str, label: str) -> str:
        return names.url(user, label, self._domain, self._port, self._scheme)

    def path_url(self, user: str, label: str) -> str:
        return names.path_url(self._base, user, label)

    def revision(self, stored: Stored, source: str = "") -> Revision:
        return Revision(
            id=stored.id,
            function=stored.function,
            anonymous=stored.anonymous,
            user=stored.user,
            created_at=stored.created_at,
            created_by=stored.created_by,
            auth=self._registry.resolve(stored.user, stored.id).auth,
            url=self.url(stored.user, stored.id),
            path_url=self.path_url(stored.user, stored.id),
            bundle=replace(stored.bundle, source=source) if source else stored.bundle,
            environment=stored.environment,
            message=stored.message,
            aliases=self._registry.aliases_of(stored.id),
        )

    def alias(self, endpoint: Endpoint) -> Alias:
        stored = self._registry.revision(endpoint.user, endpoint.revision)
        return Alias(
            name=endpoint.label,
            function=endpoint.function,
            revision=endpoint.revision,
            user=endpoint.user,
            auth=endpoint.auth,
            url=self.url(endpoint.user, endpoint.label),
            path_url=self.path_url(endpoint.user, endpoint.label),
            created_at=endpoint.created_at,
            since=endpoint.since,
            moves=self._registry.move_count(endpoint.user, endpoint.label),
            max_concurrency=int(stored.bundle.options.get("max_concurrency", 1)),
        )

    def workers(self) -> list[Worker]:
        return self._workers()

    def function(self, user: str, name: str) -> Function:
        revisions = self._registry.function_revisions(user, name)
        pointing = [e for e in self._registry.aliases(user) if e.function == name]
        ids = {stored.id for stored in revisions}
        states = Counter(w.state for w in self._workers() if w.revision in ids)
        return replace(
            self.resting(user, name, revisions, pointing),
            workers={str(state): count for state, count in states.items()},
            traffic=self._meter.traffic(user, name),
        )

    def resting(
        self, user: str, name: str, revisions: list[Stored], pointing: list[Endpoint]
    ) -> Function:
        """Without workers and traffic. `pointing`: the function's aliases."""
        newest = revisions[0]
        # The alias of the function's own name is the one people mean.
        pointing = sorted(pointing, key=lambda e: (e.label != name, e.label))
        called = pointing[0] if pointing else self._registry.resolve(user, newest.id)
        return Function(
            name=name,
            anonymous=newest.anonymous,
            entrypoint=newest.bundle.entrypoint,
            user=user,
            revisions=len(revisions),
            latest=newest.id,
            live=called.revision if pointing or newest.anonymous else None,
            aliases=tuple(e.label for e in pointing),
            auth=called.auth,
            url=self.url(user, called.label),
            path_url=self.path_url(user, called.label),
            served_at=newest.created_at,
            file_name=newest.bundle.file_name,
        )
