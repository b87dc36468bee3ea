"""What a worker is told and given when it starts, and how it says that it will not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fal_serverless.backend.engine import frames, templates
from fal_serverless.backend.engine.isolation import Isolation
from fal_serverless.backend.engine.journal import Sink
from fal_serverless.backend.engine.limits import Limits
from fal_serverless.backend.engine.ports import Ports
from fal_serverless.backend.engine.spec import Spec
from fal_serverless.backend.engine.templates import Kind, Templates
from fal_serverless.config import function_environ
from fal_serverless.models import Worker


@dataclass(frozen=True)
class Surroundings:
    """What a worker uses of the engine."""

    run_dir: Path
    environ: Mapping[str, str]
    """The backend's own; workers get the part that config allows."""
    ports: Ports
    isolation: Callable[[], Isolation]
    """What workers can have of their own; it may have to wait until that is known."""
    limits: Limits
    templates: Templates
    startup_timeout: float
    request_timeout: float
    log_overflow: str
    """What becomes of lines that come faster than they are kept: `wait` or `drop`."""
    log: Sink
    changed: Callable[[Worker], object]


def first_frame(spec: Spec, log_overflow: str) -> bytes:
    """The payload of INIT: what to load, and from where."""
    # The worker's working directory is not ours.
    folder = spec.folder.absolute()
    content = {
        "folder": str(folder),
        "sources": str(folder / "sources"),
        "overlay": [str(folder) for folder in spec.environment.overlay],
        "entrypoint": spec.entrypoint,
        "from_source": spec.from_source,
        "is_async": spec.is_async,
        "pickled": spec.pickled,
        "exposed_port": spec.exposed_port,
        "max_multiplexing": spec.max_multiplexing,
        "log_overflow": log_overflow,
    }
    return json.dumps(content).encode()


def kind_of(spec: Spec) -> Kind:
    """The template that a worker of it may be forked from."""
    # A server's libraries may want to come before what asyncio reads, as gevent does.
    is_async = spec.is_async and spec.exposed_port is None
    return templates.kind_of(spec.environment.python, spec.environment.overlay, is_async)


def child_environ(environ: Mapping[str, str], python: Path) -> dict[str, str]:
    """What a function sees, with the programs of its own environment first."""
    made = function_environ(environ)
    made["PATH"] = f"{python.parent}:{made.get('PATH', '/usr/bin:/bin')}"
    made["VIRTUAL_ENV"] = str(python.parent.parent)
    made["PYTHONUNBUFFERED"] = "1"
    return made


def why_over(spec: Spec, kind: int, payload: bytes, was_ready: bool) -> str:
    """The reason in a FAILED or RETURNED frame."""
    name, port = spec.entrypoint, spec.exposed_port
    if kind == frames.RETURNED:
        if was_ready:
            return f"{name} returned, and does not listen on port {port} any more"
        return f"{name} returned without listening on port {port}"
    failure = json.loads(payload)
    if failure["stage"] == "load":
        return f"{name} cannot be loaded: {failure['error']}"
    what = f"the setup function of {name}" if failure["stage"] == "setup" else name
    return f"{what} raised {failure['error']}"
