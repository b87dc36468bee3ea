"""What is known of the backend right now: one place, keyed by topic and id.

It answers questions about what was last fetched and says whether something new differs. It fetches
nothing and draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from fal_serverless.models import (
    Alias,
    AuditEntry,
    AuthMode,
    Change,
    Function,
    Key,
    Move,
    Pulse,
    Revision,
    Status,
    Worker,
)
from fal_tui.naming import Names, names_of

TopicKind = Literal[
    "status",
    "functions",
    "aliases",
    "keys",
    "workers",
    "revisions",
    "moves",
    "revision",
    "audit",
    "pulse",
]


@dataclass(frozen=True)
class Topic:
    """One thing to fetch as a whole."""

    kind: TopicKind
    name: str = ""
    """Function of `revisions`, alias of `moves`, id of `revision`; seconds of `pulse`, behind
    which a function may stand; else ''."""


STATUS = Topic("status")
FUNCTIONS = Topic("functions")
ALIASES = Topic("aliases")
KEYS = Topic("keys")
WORKERS = Topic("workers")
AUDIT = Topic("audit")

_TOUCHED: dict[str, tuple[TopicKind, ...]] = {
    "function": ("functions", "aliases", "revisions", "status", "audit"),
    "revision": ("functions", "aliases", "revisions", "status", "audit"),
    "alias": ("functions", "aliases", "revisions", "moves", "status", "audit"),
    "key": ("keys", "audit"),
    "worker": ("functions", "workers", "status", "audit"),
    "traffic": ("functions", "status", "pulse"),
    "resync": (
        "status",
        "functions",
        "aliases",
        "keys",
        "workers",
        "revisions",
        "moves",
        "audit",
        "pulse",
    ),
}


def touched(change: Change, wanted: Iterable[Topic]) -> frozenset[Topic]:
    """Which of the wanted topics a change makes stale."""
    kinds = _TOUCHED.get(change.kind, _TOUCHED["resync"])
    return frozenset(topic for topic in wanted if topic.kind in kinds)


@dataclass(frozen=True)
class Deed:
    """One thing this session did."""

    id: str
    at: datetime
    what: str
    """In words, as the toast said it."""
    command: str
    """The equivalent `fal-serverless …` line; '' when there is none."""
    seconds: float
    error: str = ""
    """'' when it worked."""


Item = Function | Revision | Alias | Key | Worker | Move | Deed | AuditEntry
"""What a row of a list can stand for."""


class Store:
    """The last known answer for each topic; what was never fetched is empty."""

    def __init__(self) -> None:
        self._answers: dict[Topic, Any] = {}
        self._by_function: tuple[tuple[Alias, ...], dict[str, list[Alias]]] = ((), {})
        """The aliases that were sorted out by function last, and how."""
        self._names: tuple[tuple[Function, ...], Names] = ((), {})
        """The functions that were looked through for names last, and these."""
        self.deeds: list[Deed] = []
        """Newest first."""

    def put(self, topic: Topic, answer: Any) -> bool:
        """Keep an answer; whether it differs from the last one."""
        kept = tuple(answer) if isinstance(answer, list) else answer
        if topic in self._answers and self._answers[topic] == kept:
            return False
        self._answers[topic] = kept
        return True

    def has(self, topic: Topic) -> bool:
        """Whether it was ever fetched."""
        return topic in self._answers

    def keep_only(self, topic: Topic) -> None:
        """Forget the other answers of its kind."""
        for other in [each for each in self._answers if each.kind == topic.kind]:
            if other != topic:
                del self._answers[other]

    # Selectors

    def _all(self, topic: Topic) -> tuple[Any, ...]:
        """Of an answer with several; none while it was not fetched."""
        found: tuple[Any, ...] = self._answers.get(topic, ())
        return found

    @property
    def status(self) -> Status | None:
        found: Status | None = self._answers.get(STATUS)
        return found

    @property
    def functions(self) -> tuple[Function, ...]:
        return self._all(FUNCTIONS)

    @property
    def aliases(self) -> tuple[Alias, ...]:
        return self._all(ALIASES)

    @property
    def keys(self) -> tuple[Key, ...]:
        return self._all(KEYS)

    @property
    def workers(self) -> tuple[Worker, ...]:
        return self._all(WORKERS)

    def pulse(self, topic: Topic) -> Pulse | None:
        """None: not fetched yet, or the backend has none."""
        found: Pulse | None = self._answers.get(topic)
        return found

    @property
    def audit(self) -> tuple[AuditEntry, ...]:
        """Newest first."""
        return self._all(AUDIT)

    @property
    def names(self) -> Names:
        """Of anonymous functions."""
        if self._names[0] is not self.functions:
            self._names = self.functions, names_of(self.functions)
        return self._names[1]

    def function(self, name: str) -> Function | None:
        return next((each for each in self.functions if each.name == name), None)

    def alias(self, name: str) -> Alias | None:
        return next((each for each in self.aliases if each.name == name), None)

    def aliases_of(self, function: str) -> tuple[Alias, ...]:
        """The function's own order first: its first alias is the one people call."""
        if self._by_function[0] is not self.aliases:
            sorted_out: dict[str, list[Alias]] = {}
            for each in self.aliases:
                sorted_out.setdefault(each.function, []).append(each)
            self._by_function = self.aliases, sorted_out
        mine = self._by_function[1].get(function, [])
        known = self.function(function)
        order = {name: place for place, name in enumerate(known.aliases)} if known else {}
        return tuple(sorted(mine, key=lambda each: order.get(each.name, len(order))))

    def revisions(self, function: str) -> tuple[Revision, ...]:
        """Newest first."""
        return self._all(Topic("revisions", function))

    def moves(self, alias: str) -> tuple[Move, ...]:
        """Newest first."""
        return self._all(Topic("moves", alias))

    def revision(self, revision_id: str | None) -> Revision | None:
        """With its source text if that was fetched, else as the list has it."""
        if revision_id is None:
            return None
        whole: Revision | None = self._answers.get(Topic("revision", revision_id))
        listed = self._listed(revision_id)
        if whole is not None and listed is not None:
            return replace(listed, bundle=whole.bundle)
        return whole or listed

    def _listed(self, revision_id: str) -> Revision | None:
        for topic, answer in self._answers.items():
            if topic.kind == "revisions":
                for each in answer:
                    if each.id == revision_id:
                        found: Revision = each
                        return found
        return None

    def live_of(self, function: str) -> str | None:
        known = self.function(function)
        return known.live if known else None

    # What this session does

    def add(self, deed: Deed) -> None:
        self.deeds.insert(0, deed)

    def assume_auth(self, label: str, auth: AuthMode) -> Callable[[], None]:
        """Show an auth mode before the backend confirmed it.

        What is returned puts the old one back, but where something newer was fetched meanwhile.
        """
        kept = {
            topic: answer
            for topic, answer in self._answers.items()
            if topic.kind in ("functions", "aliases", "revisions")
        }
        assumed = {
            topic: tuple(_with_auth(each, label, auth) for each in answer)
            for topic, answer in kept.items()
        }
        self._answers |= assumed

        def put_back() -> None:
            for topic, answer in kept.items():
                if self._answers.get(topic) is assumed[topic]:
                    self._answers[topic] = answer

        return put_back


def _with_auth(item: Any, label: str, auth: AuthMode) -> Any:
    if isinstance(item, Alias) and item.name == label:
        return replace(item, auth=auth)
    if isinstance(item, Revision) and item.id == label:
        return replace(item, auth=auth)
    if isinstance(item, Function) and endpoint_label(item) == label:
        return replace(item, auth=auth)
    return item


def endpoint_label(function: Function) -> str:
    """The label people call it under: its first alias, else its only revision."""
    return function.aliases[0] if function.aliases else function.live or function.latest


def item_id(item: Item) -> str:
    """What its row is known by."""
    if isinstance(item, Function | Alias):
        return item.name
    if isinstance(item, AuditEntry):
        return f"audit-{item.id}"
    return str(item.id)
