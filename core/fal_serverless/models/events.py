"""What happens on the way: of a serve, of a call, and in the backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fal_serverless.models.functions import Alias, Revision
from fal_serverless.models.logs import LogEntry

Phase = Literal["bundle", "upload", "environment", "worker", "publish"]

PHASES: tuple[Phase, ...] = ("bundle", "upload", "environment", "worker", "publish")


@dataclass(frozen=True)
class Served:
    """What came of a serve."""

    revision: Revision
    alias: Alias | None
    url: str
    path_url: str
    seconds: float


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


@dataclass(frozen=True)
class Answer:
    """What a called endpoint said."""

    status: int
    headers: dict[str, str]
    """Lower-case names."""
    body: bytes
    seconds: float
    request_id: str


ChangeKind = Literal["function", "revision", "alias", "key", "worker", "traffic", "resync"]


@dataclass(frozen=True)
class Change:
    """Something in the backend is not as it was; readers fetch what they show."""

    kind: ChangeKind
    """`resync`: changes may have been missed, fetch everything."""
    name: str = ""
