"""The backend itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fal_serverless.models.access import User
from fal_serverless.models.figures import Traffic


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
