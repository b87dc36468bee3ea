"""What a served function takes and returns, as its worker told it; schemas are JSON schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

Schema = dict[str, Any]


@dataclass(frozen=True)
class Taken:
    """One parameter that callers may give."""

    name: str
    required: bool
    many: bool
    """A list: a query may name it several times."""
    structured: bool
    """A list or an object."""
    raw: bool
    """Bytes, or a list of them."""
    schema: Schema
    """With its default, where that is JSON."""


@dataclass(frozen=True)
class Returned:
    content: tuple[str, ...]
    """The content types that an answer may have."""
    schema: Schema | None
    """Of the value, or of one item of a stream; None: bytes."""


@dataclass(frozen=True)
class Description:
    parameters: tuple[Taken, ...]
    whole: str | None
    """Name of the parameter that takes the whole body."""
    raw: str | None
    """Name of the parameter that takes a body of bytes."""
    more: Schema | None
    """Of the values of other names; None: there may be none."""
    returns: Returned
    schemas: dict[str, Schema]
    """Those that others refer to, as `#/components/schemas/<name>`."""


def parse(content: bytes) -> Description:
    """Raises msgspec.DecodeError, which is a ValueError."""
    return msgspec.json.decode(content, type=Description)
