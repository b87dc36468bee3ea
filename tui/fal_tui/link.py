"""The connection: opens it, keeps the store fresh, and comes back by itself when it is lost.

It never ends because of an error, and it never starts a backend unless it was asked to: a lost one
is looked for again and again, and `wake(start=True)` is how a person asks for a new one. It knows
the client and the store, no widget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from fal_serverless import errors
from fal_tui.store import FUNCTIONS, STATUS, Store, Topic, touched

if TYPE_CHECKING:
    from fal_serverless.client import Client
    from fal_serverless.config import Context
    from fal_serverless.models import FunctionList

Connect = Callable[[bool], Awaitable[tuple["Context", "Client"]]]
"""Opens the way to the backend; told whether it may start the embedded one."""

COALESCE = 0.08
"""Seconds that changes are gathered before they are fetched."""
FIGURES = 2.0
"""Seconds between two looks at figures that change without an event."""
BACKOFF = (0.25, 0.5, 1.0, 2.0, 4.0, 5.0)
"""Seconds before each new attempt; the last one repeats."""
AUDIT_LINES = 1_000
"""Entries of the audit log that are fetched."""
GIVEN_UP = 10.0
"""Seconds after which a lost connection is called offline."""

Mood = Literal["connecting", "live", "retrying", "offline"]


@dataclass(frozen=True)
class LinkState:
    """What the header says of the connection."""

    mood: Mood = "connecting"
    lost_at: datetime | None = None
    """When it was lost; None while it is not."""
    seen_at: datetime | None = None
    """When the data shown was last confirmed; None: never in this session."""
    retry_at: datetime | None = None
    """When it is tried again; None while it is being tried."""
    why: str = ""
    """The last error's message."""
    refused: bool = False
    """The backend answers, and does not let us in."""

    @property
    def live(self) -> bool:
        return self.mood == "live"


class Link:
    """One backend, looked at through one client, for as long as `run` runs."""

    def __init__(
        self,
        connect: Connect,
        store: Store,
        wanted: Callable[[], frozenset[Topic]],
        on_state: Callable[[LinkState], None],
        on_change: Callable[[frozenset[Topic]], None],
    ) -> None:
        self.state = LinkState()
        self.client: Client | None = None
        self.context: Context | None = None
        self._connect = connect
        self._store = store
        self._wanted = wanted
        self._on_state = on_state
        self._on_change = on_change
        self._functions: FunctionList | None = None
        """The last list of this connection."""
        self._stale: set[Topic] = set()
        self._fetching = asyncio.Lock()
        """An answer never comes into the store after a newer one."""
        self._stirred = asyncio.Event()
        self._awake = asyncio.Event()
        self._may_start = True
        self.attempts = 0
        """Failed ones since it was last live."""

    async def run(self) -> None:
        """For ever; ends by cancellation only."""
        try:
            while True:
                try:
                    await self._live()
                except* (errors.FalError, OSError) as group:
                    self._lose(_first(group))
                await self._pause()
        finally:
            await self._close()

    def want(self, *topics: Topic) -> None:
        """Fetch these soon; what was already fetched too."""
        self._stale.update(topics)
        self._stirred.set()

    def wake(self, *, start: bool = False) -> None:
        """Look at once: everything again when live, else try to connect."""
        self._may_start = self._may_start or start
        self._awake.set()
        self.want(*self._wanted())

    async def now(self, *topics: Topic) -> None:
        """Fetch these at once, for somebody who waits; where that fails, with all the rest."""
        try:
            if self.state.live and topics:
                await self._fetch(frozenset(topics))
                return
        except (errors.FalError, OSError):
            pass
        self.want(*topics)

    async def renewed(self) -> None:
        """All that is wanted, fetched anew."""
        await self.now(*self._wanted())

    async def ready(self, *, start: bool = True) -> Client:
        """The client, once it answers; starts the embedded backend if it must.

        Raises Unreachable when the next attempt fails too.
        """
        if self.state.live and self.client is not None:
            return self.client
        before = self.attempts
        self.wake(start=start)
        while not self.state.live:
            if self.attempts > before + 1:
                raise errors.Unreachable(self.state.why or "no backend answers")
            await asyncio.sleep(0.05)
        assert self.client is not None
        return self.client

    async def _live(self) -> None:
        start, self._may_start = self._may_start, False
        self._set(replace(self.state, retry_at=None))
        context, client = await self._connect(start)
        before, self.client = self.client, client
        self.context, self._functions = context, None
        if before is not None:
            # Who reads a log through it finds the next one in its place, and goes on.
            await before.close()
        await self._fetch(frozenset({STATUS, FUNCTIONS}) | self._wanted())
        self.attempts, self._may_start = 0, False
        self._awake.clear()
        self._set(LinkState("live", seen_at=datetime.now()))
        # In a task of its own: before Python 3.13 a group that failed leaves its task marked as
        # cancelled, and up to 3.11.2 the next timeout in such a task ends it.
        await asyncio.create_task(self._stay(client))

    async def _stay(self, client: Client) -> None:
        """Until the connection is lost, which it raises."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(client))
            group.create_task(self._refresh())

    async def _watch(self, client: Client) -> None:
        async for change in client.changes():
            self.want(*touched(change, self._wanted()))

    async def _refresh(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(FIGURES):
                    await self._stirred.wait()
                await asyncio.sleep(COALESCE)
            self._stirred.clear()
            stale, self._stale = frozenset(self._stale) or self._figures(), set()
            await self._fetch(stale)

    def _figures(self) -> frozenset[Topic]:
        """What changes without an event: figures of calls, memory of workers."""
        moving = {topic for topic in self._wanted() if topic.kind in ("workers", "pulse")}
        return frozenset({STATUS, FUNCTIONS}) | moving

    async def _fetch(self, topics: frozenset[Topic]) -> None:
        ordered = sorted(topics, key=lambda topic: (topic.kind, topic.name))
        async with self._fetching:
            assert self.client is not None
            client = self.client
            answers = await asyncio.gather(*(self._ask(client, topic) for topic in ordered))
            pairs = zip(ordered, answers, strict=True)
            changed = frozenset(t for t, answer in pairs if self._store.put(t, answer))
        self.state = replace(self.state, seen_at=datetime.now())
        if changed:
            self._on_change(changed)

    async def _ask(self, client: Client, topic: Topic) -> Any:
        if topic != FUNCTIONS:
            return await _ask(client, topic)
        self._functions = await client.functions_since(self._functions)
        return self._functions.functions

    def _lose(self, error: BaseException) -> None:
        now = datetime.now()
        lost = self.state.lost_at or now
        self.attempts += 1
        gone = (now - lost).total_seconds() > GIVEN_UP or error_is_final(error)
        mood: Mood = "offline" if gone else "retrying"
        why = str(error) or type(error).__name__
        refused = isinstance(error, errors.NotAuthenticated | errors.NotAllowed)
        self._set(LinkState(mood, lost, self.state.seen_at, None, why, refused))

    async def _pause(self) -> None:
        wait = BACKOFF[min(self.attempts, len(BACKOFF)) - 1]
        again = datetime.fromtimestamp(datetime.now().timestamp() + wait)
        self._set(replace(self.state, retry_at=again))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._awake.wait()
        self._awake.clear()

    async def _close(self) -> None:
        client, self.client = self.client, None
        if client is not None:
            await client.close()

    def _set(self, state: LinkState) -> None:
        self.state = state
        self._on_state(state)


def error_is_final(error: BaseException) -> bool:
    """Whether trying again will not help by itself: somebody has to do something."""
    return isinstance(error, errors.FalError) and not isinstance(error, errors.Unreachable)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


async def _ask(client: Client, topic: Topic) -> Any:
    """What the backend says of a topic; what has gone meanwhile is empty."""
    asks: dict[str, Callable[[], Awaitable[Any]]] = {
        "status": client.status,
        "aliases": client.aliases,
        "keys": client.keys,
        "workers": client.workers,
        "audit": lambda: client.audit(AUDIT_LINES),
        "revisions": lambda: client.revisions(topic.name),
        "moves": lambda: client.moves(topic.name),
        "revision": lambda: client.revision(topic.name),
        "pulse": lambda: client.pulse(*_pulse(topic)),
    }
    try:
        return await asks[topic.kind]()
    except errors.NotFound:
        return None if topic.kind in ("revision", "status", "pulse") else ()


def _pulse(topic: Topic) -> tuple[int, str]:
    seconds, _, function = topic.name.partition(" ")
    return int(seconds), function
