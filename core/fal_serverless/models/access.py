"""Who may do what: users, their keys, and who may call an endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

AuthMode = Literal["private", "shared", "public"]
"""Who may call an endpoint: keys of its owner, any valid key, anybody."""

WHO: dict[AuthMode, str] = {
    "private": "keys of its owner",
    "shared": "any valid key",
    "public": "anybody, without a key",
}
"""In words."""

AUTH_MODES: tuple[AuthMode, ...] = ("private", "shared", "public")

Scope = Literal["ADMIN", "API"]
"""What a key opens: control API and endpoints, or endpoints only."""

SCOPES: tuple[Scope, ...] = ("ADMIN", "API")


@dataclass(frozen=True)
class User:
    id: str
    """Digits."""
    nickname: str
    created_at: datetime


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
