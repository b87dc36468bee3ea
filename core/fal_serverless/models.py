"""What things are. Frozen, typed, and the same on both sides of the wire.

`to_json` and `from_json` are the only way in and out: times are RFC 3339 in UTC, tuples are lists,
unknown fields of a newer backend are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from fal_serverless.errors import BadAnswer

T = TypeVar("T")

AuthMode = Literal["private", "shared", "public"]
"""Who may call an endpoint: keys of its owner, any valid key, anybody."""
AUTH_MODES: tuple[AuthMode, ...] = ("private", "shared", "public")

Scope = Literal["ADMIN", "API"]
"""What a key opens: control API and endpoints, or endpoints only."""
SCOPES: tuple[Scope, ...] = ("ADMIN", "API")

Level = Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "STDOUT", "STDERR"]
LEVELS: tuple[Level, ...] = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "STDOUT", "STDERR")
LEVEL_RANK: dict[str, int] = {
    "TRACE": 0,
    "DEBUG": 1,
    "INFO": 2,
    "STDOUT": 2,
    "STDERR": 2,
    "WARNING": 3,
    "ERROR": 4,
}
"""Order for `--level`; a function's plain output counts as INFO."""

Source = Literal["builder", "system", "request", "user"]
"""Who wrote a log line: uv, the backend, the gateway's line per request, the function."""
SOURCES: tuple[Source, ...] = ("builder", "system", "request", "user")

WorkerState = Literal["starting", "ready", "busy", "draining", "stopped", "failed"]

MoveReason = Literal["serve", "rollback", "set", "undo"]

AuditAction = Literal[
    "serve",
    "rollback",
    "alias set",
    "undo",
    "alias delete",
    "auth",
    "function delete",
    "revision delete",
    "key generate",
    "key revoke",
    "user add",
    "worker stop",
    "environment delete",
]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function, as written."""

    name: str
    kind: Literal["positional", "positional_or_keyword", "var_positional", "keyword", "var_keyword"]
    required: bool
    annotation: str | None = None
    """As in the source; None when there is none."""
    default: str | None = None
    """`repr` of the default; None when there is none."""


@dataclass(frozen=True)
class BundleInfo:
    """What is said about a bundle beside its bytes. Part of the bundle (`bundle.json`)."""

    entrypoint: str
    """Name of the function in its file."""
    file_name: str
    """Name of the file without folders."""
    source: str
    """Text of the file."""
    options: dict[str, Any]
    """`Options.to_json()`."""
    parameters: tuple[Parameter, ...]
    doc: str
    """The function's docstring, or ''."""
    python_version: str
    """`major.minor` that loaded and pickled it, and that runs it."""
    from_source: bool = False
    """The worker imports the file instead of unpickling the function."""
    is_async: bool = False
    git_sha: str | None = None
    git_dirty: bool = False
    """Uncommitted changes to tracked files when it was served."""

    @property
    def for_callers(self) -> tuple[Parameter, ...]:
        """The parameters without the one that the setup function gives."""
        first = self.parameters[0].kind if self.parameters else "var_keyword"
        given = bool(self.options.get("setup_function")) and not first.startswith("var_")
        return self.parameters[1:] if given else self.parameters


@dataclass(frozen=True)
class Revision:
    """One serve of one function, immutable."""

    id: str
    """UUID4."""
    function: str
    """Name of the function it belongs to; its own id when anonymous."""
    anonymous: bool
    user: str
    created_at: datetime
    created_by: str
    """Nickname."""
    auth: AuthMode
    """Mode of its own endpoint, not of the aliases on it."""
    url: str
    path_url: str
    bundle: BundleInfo
    """`source` is '' in lists."""
    environment: str
    """Key of its environment."""
    message: str = ""
    aliases: tuple[str, ...] = ()
    """Aliases that point at it now."""


@dataclass(frozen=True)
class Alias:
    name: str
    function: str
    revision: str
    user: str
    auth: AuthMode
    url: str
    path_url: str
    created_at: datetime
    since: datetime
    """When it was pointed at its revision."""
    moves: int
    max_concurrency: int


@dataclass(frozen=True)
class Move:
    """One entry in an alias's history; only ever appended."""

    id: int
    alias: str
    from_revision: str | None
    """None: the alias was made."""
    to_revision: str
    at: datetime
    by: str
    """Nickname."""
    reason: MoveReason
    message: str = ""


@dataclass(frozen=True)
class AuditEntry:
    """One change of what callers get or who may call: who, what, from where and when."""

    id: int
    at: datetime
    by: str
    """Nickname; `backend` for what nobody asked for."""
    key: str
    """Id of the key that was shown; '' for none."""
    address: str
    """IP address the request came from; '' for none."""
    action: str
    """One of AuditAction, or what a newer backend calls it."""
    subject: str
    """Alias, endpoint label, function, revision, key id, nickname, worker or environment."""
    before: str = ""
    """Revision, auth mode or scope until then; '' for none."""
    after: str = ""
    """Revision, auth mode or scope from then on; '' for none."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls over the last minute."""

    requests: int = 0
    per_second: float = 0.0
    errors: int = 0
    """Answers with status 500 and up."""
    error_percent: float = 0.0
    p50_ms: float | None = None
    """None: no calls."""
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """The revisions registered under one name."""

    name: str
    anonymous: bool
    entrypoint: str
    user: str
    revisions: int
    latest: str
    """Its newest revision."""
    live: str | None
    """The revision its first alias points at; its only one when anonymous."""
    aliases: tuple[str, ...]
    auth: AuthMode
    """Mode of the endpoint people call: the first alias, else the revision."""
    url: str
    path_url: str
    served_at: datetime
    file_name: str = ""
    """Of its newest revision, without folders."""
    workers: dict[str, int] = field(default_factory=dict)
    """Worker state -> how many."""
    traffic: Traffic = Traffic()


@dataclass(frozen=True)
class FunctionChanges:
    """What is not as in a list of functions that is known already."""

    version: str
    """Of the list with the changes; to be sent as `since` next time."""
    whole: bool
    """`functions` are all there are, and take the place of those known."""
    functions: tuple[Function, ...]
    gone: tuple[str, ...] = ()
    """Names of functions that are no more."""


@dataclass(frozen=True)
class FunctionList:
    """Functions as they were at a moment, newest serve first."""

    version: str
    """The backend's name for that moment; '' when it has none."""
    functions: tuple[Function, ...]

    def changed(
        self, version: str, functions: Sequence[Function], gone: Sequence[str]
    ) -> FunctionList:
        """With what became of it, new ones in front; itself when that is nothing."""
        if not functions and not gone:
            return self
        known = {each.name: each for each in self.functions}
        fresh = [each for each in functions if each.name not in known]
        known.update((each.name, each) for each in functions if each.name in known)
        for name in gone:
            known.pop(name, None)
        return FunctionList(version, (*fresh, *known.values()))


@dataclass(frozen=True)
class Key:
    id: str
    scope: Scope
    user: str
    created_at: datetime
    alias: str = ""
    """A name for people; '' when none was given."""


@dataclass(frozen=True)
class NewKey:
    """A key just made: the only time its secret is seen."""

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True)
class User:
    id: str
    """Digits."""
    nickname: str
    created_at: datetime


@dataclass(frozen=True)
class ColdStart:
    """What the first call of a worker waited for, in seconds."""

    queue: float = 0.0
    environment: float = 0.0
    load: float = 0.0
    """Interpreter start and import of the function."""
    setup: float = 0.0


@dataclass(frozen=True)
class Worker:
    id: str
    function: str
    revision: str
    state: WorkerState
    pid: int | None
    address: str
    """`unix` for a served function, else host:port."""
    started_at: datetime
    requests: int = 0
    running: int = 0
    memory_bytes: int | None = None
    """None: this system does not tell."""
    cold_start: ColdStart = ColdStart()


@dataclass(frozen=True)
class Environment:
    """An interpreter with packages, shared by all revisions that ask for the same."""

    key: str
    python_version: str
    """`major.minor`, or more when that was asked for; '' when nothing tells."""
    requirements: tuple[str, ...]
    """As they were asked for."""
    size_bytes: int
    created_at: datetime
    last_used_at: datetime
    """When a serve or a start of the backend needed it, or its last revision left it."""
    shared_bytes: int = 0
    """Of its size, in files linked with uv's cache: they stay when it goes."""
    revisions: tuple[str, ...] = ()
    """Revisions of the one who asks that use it."""
    others: int = 0
    """Revisions of other users that use it."""
    complete: bool = True
    """False: it is being built, or its build was cut short."""

    @property
    def in_use(self) -> bool:
        return bool(self.revisions) or self.others > 0


@dataclass(frozen=True)
class Pruned:
    """What was removed because nobody uses it, or would be."""

    environments: tuple[Environment, ...]
    leftovers: int
    """Locks, overlays and half-removed folders that went along."""
    bytes_freed: int
    dry_run: bool = False
    """Nothing was removed."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    id: int
    """Grows by time of arrival; 0 before it is stored."""
    time: datetime
    level: Level
    source: Source
    message: str
    user: str
    function: str = ""
    alias: str = ""
    """The alias it was called under; '' for the revision's own endpoint or no call."""
    revision: str = ""
    worker: str = ""
    request_id: str = ""


@dataclass(frozen=True)
class Status:
    """The backend itself."""

    version: str
    pid: int
    url: str
    domain: str
    started_at: datetime
    state_dir: str
    user: User
    functions: int
    revisions: int
    aliases: int
    workers: int
    traffic: Traffic
    python_version: str
    isolation: str
    """How functions that want the same port are kept apart, and why."""
    gateways: int = 1
    """Processes that take calls."""
    templates: int = 0
    """Processes from which workers are forked."""
    template_bytes: int = 0
    """Memory of those."""


@dataclass(frozen=True)
class Series:
    """What happened step by step, oldest first; all lists are of one length."""

    requests: tuple[float, ...] = ()
    """Per second."""
    errors: tuple[float, ...] = ()
    """Per second."""
    p50_ms: tuple[float | None, ...] = ()
    """None: no calls."""
    p99_ms: tuple[float | None, ...] = ()
    cold_starts: tuple[float, ...] = ()
    """Calls in the step that waited for a worker to start."""
    workers: tuple[float, ...] = ()
    waiting: tuple[float, ...] = ()
    """Most calls at once that waited for a place."""


@dataclass(frozen=True)
class FunctionPulse:
    """One function's part in it."""

    name: str
    traffic: Traffic
    """Over the last minute."""
    calls: int
    """In all of the time asked for."""
    errors: int
    cold_starts: int
    workers: int
    """Now."""
    waiting: int
    """Calls without a place now."""
    requests: tuple[float, ...] = ()
    """Per second, over the time asked for, in a few parts."""
    failed: tuple[float, ...] = ()
    """Of those, errors per second."""


@dataclass(frozen=True)
class Pulse:
    """How a backend fares: figures of the past, as far as it remembers."""

    seconds: int
    """How far back was asked for; the lists are shorter when the backend has not run so long."""
    step: int
    """Seconds between two entries of a list."""
    function: str
    """Whose the series is; '' for all functions."""
    series: Series
    functions: tuple[FunctionPulse, ...] = ()
    """Those that were called or have workers."""
    traffic: Traffic = Traffic()
    """Over the last minute, of what the series is of."""


@dataclass(frozen=True)
class Served:
    """What came of a serve."""

    revision: Revision
    alias: Alias | None
    url: str
    path_url: str
    seconds: float


Phase = Literal["bundle", "upload", "environment", "worker", "publish"]
PHASES: tuple[Phase, ...] = ("bundle", "upload", "environment", "worker", "publish")


@dataclass(frozen=True)
class ServeEvent:
    """One step on the way of a serve: a phase begins, a line is logged, or it is done."""

    kind: Literal["phase", "log", "done"]
    phase: Phase | None = None
    message: str = ""
    entry: LogEntry | None = None
    served: Served | None = None


@dataclass(frozen=True)
class CallEvent:
    """One step of a call from Python: a line is logged, or the function has come to something."""

    kind: Literal["log", "part", "returned", "raised", "yielded", "exhausted"]
    """`part` is followed by more of the same content; the next other kind says what it is."""
    entry: LogEntry | None = None
    content: bytes = b""
    """A pickle; of `raised`, a failure (see the worker's `pickled.py`). Base64 on the wire."""


ChangeKind = Literal["function", "revision", "alias", "key", "worker", "traffic", "resync"]


@dataclass(frozen=True)
class Change:
    """Something in the backend is not as it was; readers fetch what they show."""

    kind: ChangeKind
    """`resync`: changes may have been missed, fetch everything."""
    name: str = ""


@dataclass(frozen=True)
class Answer:
    """What a called endpoint said."""

    status: int
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes
    seconds: float
    request_id: str


def to_json(value: Any) -> Any:
    """Plain JSON values (dict, list, str, …) of a model or of a list of models."""
    return msgspec.to_builtins(value)


def from_json(cls: type[T], value: Any) -> T:
    """The model again; BadAnswer, naming the field, when it does not fit."""
    try:
        return msgspec.convert(value, cls, strict=False)
    except msgspec.ValidationError as exc:
        raise BadAnswer(f"not a {getattr(cls, '__name__', cls)}: {exc}") from exc


@dataclass(frozen=True)
class LogQuery:
    """Which log entries; every given field narrows."""

    label: str = ""
    """An alias (every revision it served) or a revision's id; '' for all endpoints."""
    lines: int = 100
    """The newest so many; for a tail: how many of the past come first."""
    since: datetime | None = None
    until: datetime | None = None
    level: Level | None = None
    """This level and above, by LEVEL_RANK."""
    sources: tuple[Source, ...] = ()
    search: str = ""
    """Regular expression, searched in the message."""
    revision: str = ""
    worker: str = ""
    request_id: str = ""
    after: int | None = None
    """Only entries with a larger id: where a tail resumes. `lines` does not cut then."""
