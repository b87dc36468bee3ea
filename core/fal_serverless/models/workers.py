"""What runs functions: workers, and the environments they run in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

WorkerState = Literal["starting", "ready", "busy", "draining", "stopped", "failed"]


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
