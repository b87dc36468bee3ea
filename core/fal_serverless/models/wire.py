"""Models to plain JSON values and back: the only way in and out.

Times are RFC 3339 in UTC, tuples are lists, unknown fields of a newer backend are ignored.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from fal_serverless.errors import BadAnswer

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Plain JSON values (dict, list, str, …) of a model or of a list of models."""
    return msgspec.to_builtins(value)


def from_json(cls: type[T], value: Any) -> T:
    """The model again; BadAnswer, naming the field, when it does not fit."""
    try:
        return msgspec.convert(value, cls, strict=False)
    except msgspec.ValidationError as exc:
        raise BadAnswer(f"not a {getattr(cls, '__name__', cls)}: {exc}") from exc
