"""Which columns each list has. Pure, and light: the first paint needs it before anything else."""

from __future__ import annotations

from fal_tui.places import Kind
from fal_tui.widgets.columns import Column

SHORT = 8
"""Characters of an id that are shown."""

COLUMNS: dict[Kind, tuple[Column, ...]] = {
    "functions": (
        Column("name", "NAME", priority=100),
        Column("aliases", "ALIASES", priority=82),
        Column("live", "LIVE", width=SHORT, priority=85),
        Column("auth", "AUTH", width=7, priority=90),
        Column("workers", "WORKERS", priority=70),
        Column("rate", "REQ/S", width=6, align="right", priority=50),
        Column("errors", "ERR", width=5, align="right", priority=45),
        Column("p50", "P50", width=7, align="right", priority=40),
        Column("served", "SERVED", width=6, align="right", priority=80),
    ),
    "revisions": (
        Column("id", "REVISION", width=SHORT, priority=100),
        Column("aliases", "LIVE ON", priority=95),
        Column("age", "AGE", width=6, align="right", priority=90),
        Column("by", "BY", priority=60),
        Column("message", "MESSAGE", priority=80),
        Column("git", "GIT", width=8, priority=50),
        Column("environment", "ENV", width=SHORT, priority=45),
        Column("python", "PYTHON", width=6, priority=30),
        Column("auth", "AUTH", width=7, priority=40),
    ),
    "aliases": (
        Column("alias", "ALIAS", priority=100),
        Column("function", "FUNCTION", priority=70),
        Column("revision", "REVISION", width=SHORT, priority=90),
        Column("auth", "AUTH", width=7, priority=85),
        Column("since", "SINCE", width=6, align="right", priority=80),
        Column("moves", "MOVES", width=5, align="right", priority=50),
        Column("url", "URL", priority=60),
    ),
    "moves": (
        Column("at", "WHEN", width=19, priority=90),
        Column("from", "FROM", width=SHORT, priority=95),
        Column("to", "TO", width=SHORT, priority=100),
        Column("by", "BY", priority=70),
        Column("why", "WHY", priority=80),
    ),
    "keys": (
        Column("id", "KEY ID", priority=100),
        Column("scope", "SCOPE", width=5, priority=90),
        Column("alias", "LABEL", priority=80),
        Column("created", "CREATED", width=7, align="right", priority=70),
    ),
    "workers": (
        Column("id", "WORKER", width=SHORT + 2, priority=100),
        Column("function", "FUNCTION", priority=95),
        Column("revision", "REVISION", width=SHORT, priority=80),
        Column("state", "STATE", width=8, priority=90),
        Column("running", "RUNNING", width=7, align="right", priority=60),
        Column("requests", "REQUESTS", width=8, align="right", priority=70),
        Column("memory", "MEMORY", width=7, align="right", priority=65),
        Column("pid", "PID", width=7, align="right", priority=40),
        Column("age", "AGE", width=6, align="right", priority=75),
        Column("cold", "COLD START", width=10, align="right", priority=50),
        Column("address", "ADDRESS", priority=30),
    ),
    "pulse": (
        Column("name", "NAME", priority=100),
        Column("trend", "CALLS OVER TIME", width=40, priority=95),
        Column("rate", "REQ/S", width=6, align="right", priority=90),
        Column("percent", "ERR", width=5, align="right", priority=85),
        Column("p50", "P50", width=7, align="right", priority=80),
        Column("p99", "P99", width=7, align="right", priority=75),
        Column("calls", "CALLS", width=9, align="right", priority=60),
        Column("errors", "ERRORS", width=7, align="right", priority=50),
        Column("cold", "COLD", width=5, align="right", priority=55),
        Column("workers", "WORKERS", width=7, align="right", priority=70),
        Column("waiting", "WAITING", width=7, align="right", priority=45),
    ),
    "audit": (
        Column("at", "WHEN", width=19, priority=90),
        Column("by", "BY", priority=85),
        Column("address", "FROM", priority=60),
        Column("action", "WHAT", priority=100),
        Column("subject", "ON", priority=95),
        Column("change", "CHANGE", priority=80),
        Column("message", "MESSAGE", priority=50),
    ),
    "activity": (
        Column("at", "WHEN", width=8, priority=100),
        Column("what", "WHAT", priority=95),
        Column("result", "RESULT", width=8, priority=90),
        Column("command", "COMMAND LINE", priority=80),
    ),
}
