"""What things are. Frozen, typed, and the same on both sides of the wire.

`to_json` and `from_json` are the only way in and out. Others import from here, not from the files.
"""

from __future__ import annotations

from fal_serverless.models.access import AUTH_MODES, SCOPES, WHO, AuthMode, Key, NewKey, Scope, User
from fal_serverless.models.audit import AuditAction, AuditEntry
from fal_serverless.models.events import (
    PHASES,
    Answer,
    CallEvent,
    Change,
    ChangeKind,
    Phase,
    Served,
    ServeEvent,
)
from fal_serverless.models.figures import FunctionPulse, Pulse, Series, Traffic
from fal_serverless.models.functions import (
    Alias,
    BundleInfo,
    Function,
    FunctionChanges,
    FunctionList,
    Move,
    MoveReason,
    Parameter,
    Revision,
)
from fal_serverless.models.logs import (
    LEVEL_RANK,
    LEVELS,
    SOURCES,
    Level,
    LogEntry,
    LogQuery,
    Source,
    tells_of_missing,
)
from fal_serverless.models.status import Status
from fal_serverless.models.wire import from_json, to_json
from fal_serverless.models.workers import ColdStart, Environment, Pruned, Worker, WorkerState

__all__ = [
    "AUTH_MODES",
    "LEVELS",
    "LEVEL_RANK",
    "PHASES",
    "SCOPES",
    "SOURCES",
    "WHO",
    "Alias",
    "Answer",
    "AuditAction",
    "AuditEntry",
    "AuthMode",
    "BundleInfo",
    "CallEvent",
    "Change",
    "ChangeKind",
    "ColdStart",
    "Environment",
    "Function",
    "FunctionChanges",
    "FunctionList",
    "FunctionPulse",
    "Key",
    "Level",
    "LogEntry",
    "LogQuery",
    "Move",
    "MoveReason",
    "NewKey",
    "Parameter",
    "Phase",
    "Pruned",
    "Pulse",
    "Revision",
    "Scope",
    "Series",
    "ServeEvent",
    "Served",
    "Source",
    "Status",
    "Traffic",
    "User",
    "Worker",
    "WorkerState",
    "from_json",
    "tells_of_missing",
    "to_json",
]
