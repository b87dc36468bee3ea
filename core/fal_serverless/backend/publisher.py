"""From a bundle to a revision that answers, and every later move of a pointer.

A pointer moves only after its target is warm, in one registry transaction; whatever fails before
leaves nothing behind but its build log. This is the one place that changes both registry and
workers.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from fal_serverless.backend.bundles import BundleStore
from fal_serverless.backend.engine import LocalEngine, Spec
from fal_serverless.backend.environment import EnvironmentStore
from fal_serverless.backend.logs.store import LogStore
from fal_serverless.backend.notes import Notes
from fal_serverless.backend.records import Endpoint, Registration, Stored
from fal_serverless.backend.registry import Registry
from fal_serverless.errors import FalError, NotServable, PythonMismatch
from fal_serverless.isolated import make_options
from fal_serverless.models import (
    AuthMode,
    BundleInfo,
    Change,
    ChangeKind,
    Level,
    LogEntry,
    MoveReason,
    Phase,
    ServeEvent,
    Source,
    User,
)

BUILD_LOG_LINES = 200
"""Lines of a failed serve that travel with its error."""
LOOK = 1.0
"""Seconds between two looks at a revision's environment: calls come by the thousand."""


@dataclass(frozen=True)
class Order:
    """What somebody wants served."""

    user: User
    data: bytes
    """A bundle."""
    alias: str | None = None
    auth: AuthMode | None = None
    message: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    stored: Stored
    endpoint: Endpoint
    """The one people call."""
    seconds: float
    before: Endpoint | None = None
    """The same, as it was."""


Emit = Callable[[ServeEvent], None]


class Publisher:
    """Serves, moves and deletes, for one backend."""

    def __init__(
        self,
        registry: Registry,
        bundles: BundleStore,
        environments: EnvironmentStore,
        engine: LocalEngine,
        logs: LogStore,
        changed: Callable[[Change], None],
        spread: Callable[[], Awaitable[None]],
    ) -> None:
        """`spread` returns when everybody who answers calls knows what is registered."""
        self._registry = registry
        self._bundles = bundles
        self._environments = environments
        self._engine = engine
        self._logs = logs
        self._notes = Notes(logs)
        self._changed = changed
        self._spread = spread
        self._specs: dict[str, Spec] = {}
        self._moving: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        """By user and label; as long as somebody moves it, or waits to."""
        self._kept: set[str] = set()
        self._serving: set[asyncio.Task[Outcome]] = set()
        self._undoing: set[asyncio.Task[None]] = set()
        self._looked: dict[str, float] = {}
        """Revision -> when its environment was seen last."""

    async def spec(self, stored: Stored) -> Spec:
        """What the engine needs to run a revision; a lost environment is made again."""
        known = self._specs.get(stored.id)
        if known is None or self._is_lost(known):
            known = await self._make_spec(
                stored.id,
                stored.user,
                stored.function,
                stored.bundle,
                self._builder(stored),
                stored.environment,
            )
            self._specs[stored.id] = known
        return known

    def ready(self, revision_id: str) -> Spec | None:
        """As `spec`, for those who cannot wait; None when it has to be made."""
        known = self._specs.get(revision_id)
        return None if known is None or self._is_lost(known) else known

    def _is_lost(self, spec: Spec) -> bool:
        """Whether its environment has vanished from the disk; looked at once in `LOOK` seconds.

        What is lost stays so for all who ask, until it is made again.
        """
        now = time.monotonic()
        if now - self._looked.get(spec.revision, -LOOK) < LOOK:
            return False
        if not self._environments.holds(spec.environment):
            return True
        self._looked[spec.revision] = now
        return False

    def uses(self) -> dict[str, tuple[str, str]]:
        """Revision -> its user and the key of its environment; those being served, too."""
        stored = [r for user in self._registry.users() for r in self._registry.revisions(user.id)]
        kept = {one.id: (one.user, one.environment) for one in stored}
        return kept | {key: (s.user, s.environment.key) for key, s in self._specs.items()}

    async def serve(self, order: Order) -> AsyncGenerator[ServeEvent | Outcome, None]:
        """Yields phases and log lines, then the Outcome. Closing it early cancels the serve.

        Raises what went wrong, with the last build lines as `data["log"]`.
        """
        events: asyncio.Queue[ServeEvent | None] = asyncio.Queue()
        work = asyncio.create_task(self._serve(order, events.put_nowait))
        self._serving.add(work)
        work.add_done_callback(self._serving.discard)
        work.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            yield work.result()
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work

    async def move(
        self,
        user: User,
        alias: str,
        stored: Stored,
        reason: MoveReason,
        auth: AuthMode | None = None,
        message: str = "",
    ) -> Endpoint:
        """Point an alias at a revision that is warm by then. Raises WorkerFailed, InvalidName."""
        async with self._moves(user.id, alias):
            await self._engine.warm(await self.spec(stored))
            before = self._registry.find(user.id, alias)
            endpoint = await asyncio.to_thread(
                self._registry.point,
                user.id,
                alias,
                stored.id,
                by=user.nickname,
                reason=reason,
                auth=auth,
                message=message,
            )
        self._notes.moved(user, before, endpoint, reason, message)
        self._tell("alias", alias)
        self._tell("function", endpoint.function)
        await self.settle()
        return endpoint

    async def rollback(
        self, user: User, alias: str, revision_id: str | None, message: str
    ) -> Endpoint:
        """Back to where the alias stood, or to a revision. Raises NotFound, Conflict."""
        target = await asyncio.to_thread(
            self._registry.rollback_target, user.id, alias, revision_id
        )
        return await self.move(user, alias, target, "rollback", message=message)

    async def set_auth(self, user: User, label: str, auth: AuthMode) -> Endpoint:
        before = self._registry.find(user.id, label)
        endpoint = await asyncio.to_thread(self._registry.set_auth, user.id, label, auth)
        self._notes.auth(user, before.auth if before else auth, endpoint)
        self._tell("alias" if endpoint.is_alias else "revision", label)
        self._tell("function", endpoint.function)
        return endpoint

    async def delete_alias(self, user: User, name: str) -> None:
        endpoint = self._registry.alias(user.id, name)
        await asyncio.to_thread(self._registry.delete_alias, user.id, name)
        self._notes.alias_deleted(user, endpoint)
        self._tell("alias", name)
        self._tell("function", endpoint.function)
        await self.settle()

    async def delete_revision(self, user: User, revision_id: str) -> None:
        stored = await asyncio.to_thread(self._registry.delete_revision, user.id, revision_id)
        await self._remove(user, [stored])

    async def delete_function(self, user: User, name: str) -> None:
        removed = await asyncio.to_thread(self._registry.delete_function, user.id, name)
        await self._remove(user, removed)

    async def settle(self) -> None:
        """Keep warm what live revisions ask for, and no longer what only others asked for.

        Of one that cannot be kept its log tells: whoever changed something else has not failed.
        """
        wanted = {stored.id: stored for stored in self._live() if _floor(stored)}
        for revision_id in self._kept - set(wanted):
            if revision_id in self._specs:
                self._engine.keep(self._specs[revision_id], 0)
        kept = set()
        for stored in wanted.values():
            try:
                self._engine.keep(await self.spec(stored), _floor(stored))
                kept.add(stored.id)
            except (FalError, OSError) as exc:
                said = f"no worker of it is kept warm: {exc}"
                self._notes.log(stored.user, stored.function, stored.id, said, "system", "ERROR")
        self._kept = kept

    async def close(self) -> None:
        """Cancel the serves that run, and wait until nothing of them is left."""
        for work in self._serving:
            work.cancel()
        while waiting := self._serving | self._undoing:
            await asyncio.wait(waiting)

    # Inside

    async def _serve(self, order: Order, emit: Emit) -> Outcome:
        started = time.perf_counter()
        revision_id = str(uuid.uuid4())
        self._registry.check_serve(order.user.id, order.alias, order.auth)
        name = order.alias or revision_id
        build: list[str] = []

        def log(message: str, source: Source = "builder", level: Level = "INFO") -> None:
            self._notes.log(order.user.id, name, revision_id, message, source, level)

        def heard(entry: LogEntry) -> None:
            build.append(entry.message)
            emit(ServeEvent("log", entry=entry))

        def phase(name: Phase, message: str) -> None:
            emit(ServeEvent("phase", name, message))

        with self._logs.tap(revision_id, heard):
            try:
                outcome = await self._build(order, revision_id, phase, log)
            except BaseException as exc:
                undoing = asyncio.create_task(self._undo(revision_id))
                self._undoing.add(undoing)
                undoing.add_done_callback(self._undoing.discard)
                # A second cancel ends this wait, but not what is waited for.
                await asyncio.shield(undoing)
                if isinstance(exc, FalError):
                    if exc.message not in build[-1:]:  # its worker may have said it
                        log(exc.message, "system", "ERROR")
                    exc.data["log"] = build[-BUILD_LOG_LINES:]
                    exc.data["revision"] = revision_id
                raise
        if order.alias:
            self._notes.moved(order.user, outcome.before, outcome.endpoint, "serve", order.message)
        self._tell("function", outcome.stored.function)
        self._tell("revision", revision_id)
        if order.alias:
            self._tell("alias", order.alias)
        await self.settle()
        return replace(outcome, seconds=time.perf_counter() - started)

    async def _build(
        self,
        order: Order,
        revision_id: str,
        phase: Callable[[Phase, str], None],
        log: Callable[[str], None],
    ) -> Outcome:
        phase("upload", f"{len(order.data) / 1024:.1f} KiB")
        info = await asyncio.to_thread(self._bundles.unpack, revision_id, order.data)
        _check_servable(info)
        count = len(info.options.get("requirements", ()))
        many = f"{count} requirement{'s' if count != 1 else ''}"
        phase("environment", f"Python {info.python_version}, {many}")
        name = order.alias or revision_id
        spec = await self._make_spec(revision_id, order.user.id, name, info, log)
        self._specs[revision_id] = spec
        new = Registration(
            id=revision_id,
            user=order.user.id,
            by=order.user.nickname,
            alias=order.alias,
            environment=spec.environment.key,
            bundle=info,
            message=order.message,
        )
        stored = await asyncio.to_thread(self._registry.register, new)
        phase("worker", f"starting {info.entrypoint}")
        await self._engine.warm(spec)
        phase("publish", f"alias {order.alias}" if order.alias else "anonymous")
        async with self._moves(order.user.id, name):
            before = self._registry.find(order.user.id, name)
            # Past this point the serve is done, even if whoever asked for it hangs up.
            publish = asyncio.to_thread(
                self._registry.publish, stored, order.alias, order.auth, order.message
            )
            endpoint = await asyncio.shield(publish)
        await self._spread()
        return Outcome(stored, endpoint, 0.0, before)

    async def _make_spec(
        self,
        revision_id: str,
        user: str,
        function: str,
        info: BundleInfo,
        log: Callable[[str], None],
        known: str = "",
    ) -> Spec:
        requirements = info.options.get("requirements", ())
        environment = await self._environments.ensure(info.python_version, requirements, log, known)
        return Spec(
            revision=revision_id,
            function=function,
            user=user,
            entrypoint=info.entrypoint,
            options=info.options,
            parameters=info.parameters,
            folder=self._bundles.folder(revision_id),
            environment=environment,
            from_source=info.from_source,
            is_async=info.is_async,
        )

    async def _undo(self, revision_id: str) -> None:
        await self._engine.retire(revision_id, "its serve came to nothing")
        await asyncio.to_thread(self._registry.forget, revision_id)
        await asyncio.to_thread(self._bundles.remove, revision_id)
        self._specs.pop(revision_id, None)

    async def _remove(self, user: User, removed: list[Stored]) -> None:
        self._notes.revisions_deleted(user, removed)
        for stored in removed:
            await self._engine.retire(stored.id, f"its revision was deleted by {user.nickname}")
            await asyncio.to_thread(self._bundles.remove, stored.id)
            spec = self._specs.pop(stored.id, None)
            self._looked.pop(stored.id, None)
            self._environments.touch(spec.environment.key if spec else stored.environment)
            self._tell("revision", stored.id)
        self._tell("function", removed[0].function)
        await self.settle()

    def _moves(self, user: str, label: str) -> asyncio.Lock:
        """One move of an endpoint at a time."""
        return self._moving.setdefault((user, label), asyncio.Lock())

    def _live(self) -> list[Stored]:
        """Revisions that an alias points at, and anonymous ones."""
        pointed = {e.revision for e in self._registry.endpoints().values() if e.is_alias}
        return [
            stored
            for user in self._registry.users()
            for stored in self._registry.revisions(user.id)
            if stored.anonymous or stored.id in pointed
        ]

    def _builder(self, stored: Stored) -> Callable[[str], None]:
        """Where uv's words go when a lost environment is made again."""

        of = (stored.user, stored.function, stored.id)
        return lambda line: self._notes.log(*of, line, "builder")

    def _tell(self, kind: ChangeKind, name: str) -> None:
        self._changed(Change(kind, name))


def _floor(stored: Stored) -> int:
    return int(stored.bundle.options.get("min_concurrency", 0))


def _check_servable(info: BundleInfo) -> None:
    """Checked by our client already, maybe not by another.

    Raises InvalidOption, NotServable, PythonMismatch.
    """
    options = {k: v for k, v in info.options.items() if k != "setup_function"}
    made = make_options(options)
    if not made.serve and made.exposed_port is None:
        raise NotServable(
            "One of `serve` or `exposed_port` options needs to be specified in the isolated "
            "annotation to register a function"
        )
    if not info.from_source and made.python_version:
        _check_python(made.python_version, info.python_version)


def _check_python(wanted: str, pickled_by: str) -> None:
    """A pickle of one Python minor does not fail in another: it crashes it."""
    if wanted.split(".")[:2] != pickled_by.split(".")[:2]:
        raise PythonMismatch(
            f"the function asks for Python {wanted} and was pickled by {pickled_by}, and pickled "
            f"functions do not survive another version; pickle it with Python {wanted}, or serve "
            "it from source (--from-source)",
            wanted=wanted,
            loaded_by=pickled_by,
        )
