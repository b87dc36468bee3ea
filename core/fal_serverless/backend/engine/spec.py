"""What goes into the engine and what comes out: a revision to run, calls, replies, leases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fal_serverless.backend.environment import Environment
from fal_serverless.models import ColdStart, Parameter


@dataclass(frozen=True)
class Spec:
    """All an engine needs to run one revision."""

    revision: str
    function: str
    """Name it is registered under; in log lines."""
    user: str
    entrypoint: str
    """Name of the function in its file; in messages."""
    options: dict[str, Any]
    """`Options.to_json()`."""
    parameters: tuple[Parameter, ...]
    folder: Path
    """The unpacked bundle: bundle.json, function.pickle (not when from_source), sources.zip."""
    environment: Environment
    from_source: bool = False
    is_async: bool = False
    pickled: bool = False
    """Arguments come and results go as pickles, not by the rules of HTTP."""

    @property
    def exposed_port(self) -> int | None:
        port = self.options.get("exposed_port")
        return None if port is None else int(port)

    @property
    def max_concurrency(self) -> int:
        return int(self.options.get("max_concurrency", 2))

    @property
    def max_multiplexing(self) -> int:
        return int(self.options.get("max_multiplexing", 1))

    @property
    def keep_alive(self) -> float:
        """Seconds."""
        return float(self.options.get("keep_alive", 10))

    @property
    def machine_type(self) -> str:
        return str(self.options.get("machine_type", "S"))

    def seconds(self, option: str, limit: float) -> float:
        """A time limit of the function, `limit` when it names none."""
        value = self.options.get(option)
        return limit if value is None else float(value)


@dataclass(frozen=True, slots=True)
class Load:
    """What is there of a revision at a moment."""

    spec: Spec
    workers: Mapping[str, int]
    """State -> how many; not empty, or calls wait."""
    waiting: int
    """Calls without a place."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a served function."""

    request_id: str
    query: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Lower-case names."""
    body: bytes = b""
    describe: bool = False
    """Asks what the function takes and returns, as JSON; it is not run."""

    @property
    def accept(self) -> str:
        return next((value for name, value in self.headers if name == "accept"), "")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the function answered."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | AsyncIterator[bytes]
    """An iterator of a stream has `aclose`, which cancels the call; leave none unread."""
    worker: str
    """Id of the worker that ran it."""
    cold: ColdStart | None = None
    """Set for the call that a worker was started for."""
    queued: float = 0.0
    """Seconds it waited for a worker with a free place."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A place in a worker with an exposed port, for one request."""

    address: tuple[str, int]
    worker: str
    cold: ColdStart | None = None
    queued: float = 0.0
    """Seconds it waited for a worker with a free place."""
