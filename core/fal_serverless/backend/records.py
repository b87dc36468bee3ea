"""What the registry keeps: revisions, endpoints, registrations; and rows of its tables as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from fal_serverless.models import AuthMode, BundleInfo, Move, from_json

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Stored:
    """A revision as the registry keeps it."""

    id: str
    user: str
    function: str
    """Its own id when anonymous."""
    anonymous: bool
    created_at: datetime
    created_by: str
    message: str
    environment: str
    bundle: BundleInfo
    """Without source text."""


@dataclass(frozen=True)
class Endpoint:
    """One label of one user, and the revision it points at. What a call needs to know."""

    user: str
    label: str
    is_alias: bool
    function: str
    revision: str
    auth: AuthMode
    created_at: datetime
    since: datetime
    """When it was pointed at its revision."""


@dataclass(frozen=True)
class Registration:
    """A serve, before anybody knows whether it will work."""

    id: str
    user: str
    by: str
    alias: str | None
    environment: str
    bundle: BundleInfo
    message: str = ""


def stored_of(row: Row) -> Stored:
    """A row of `revisions`, without its source."""
    known = {name: row[name] for name in _STORED}
    bundle = from_json(BundleInfo, row["bundle"])
    return Stored(user=str(row["user_id"]), bundle=bundle, **known)


def endpoint_of(row: Row) -> Endpoint:
    """A row of `endpoints`."""
    return Endpoint(user=str(row["user_id"]), **{name: row[name] for name in _ENDPOINT})


def move_of(row: Row) -> Move:
    """A row of `moves`."""
    return Move(**{name: row[name] for name in _MOVE})


def _columns(record: type, *others: str) -> list[str]:
    """The fields of a record that are called like their columns."""
    return [item.name for item in fields(record) if item.name not in others]


_STORED = _columns(Stored, "user", "bundle")
_ENDPOINT = _columns(Endpoint, "user")
_MOVE = _columns(Move)
