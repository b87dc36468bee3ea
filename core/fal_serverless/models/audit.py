"""Who changed what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

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
