"""Does a value fit an annotation, and what does it become? One check per parameter, made once.

pydantic checks what mentions it, msgspec the rest; a union that msgspec cannot tell apart is tried
member by member; what nobody knows is left unchecked.
"""

from __future__ import annotations

import re
from typing import Any, List, Union

from . import hints, pydantics
from .codec import Codec


class Misfit(Exception):
    """The value does not fit. `errors` say where, as `loc` and `msg`."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(str(error["msg"]) for error in errors))
        self.errors = errors


class Anything:
    """No check."""

    def __call__(self, value: Any, is_text: bool) -> Any:
        """The value as the function gets it; `is_text`: it was no JSON. Raises Misfit."""
        return value


class Plain:
    """By msgspec."""

    def __init__(self, wanted: Any, codec: Codec) -> None:
        self.wanted = wanted
        self._codec = codec

    def __call__(self, value: Any, is_text: bool) -> Any:
        try:
            return self._codec.convert(value, self.wanted, lax=is_text)
        except (self._codec.ValidationError, ValueError) as exc:
            raise Misfit([_placed(str(exc))]) from None


class OneOf:
    """A union: the first member that fits."""

    def __init__(self, members: List[Check], optional: bool) -> None:
        self.members = members
        self.optional = optional

    def __call__(self, value: Any, is_text: bool) -> Any:
        if value is None and self.optional:
            return None
        said = []
        for member in self.members:
            try:
                return member(value, is_text)
            except Misfit as exc:
                said += [error for error in exc.errors if error not in said]
        raise Misfit(said)


class ByPydantic:
    def __init__(self, wanted: Any, codec: Codec) -> None:
        self.adapter = pydantics.Adapter(wanted)
        self._codec = codec

    def __call__(self, value: Any, is_text: bool) -> Any:
        try:
            return self.adapter.validate(value, None if is_text else self._json(value))
        except ValueError as exc:
            raise Misfit(pydantics.errors_of(exc) or [_placed(str(exc))]) from None

    def _json(self, value: Any) -> Any:
        return None if isinstance(value, hints.BYTES) else self._codec.encode(value)


Check = Union[Anything, Plain, OneOf, ByPydantic]


def check_of(wanted: Any, codec: Codec) -> Check:
    """The check for one annotation."""
    if wanted is Any:
        return Anything()
    if pydantics.mentions(wanted) and pydantics.is_loaded():
        found = _by_pydantic(wanted, codec)
        if found is not None:
            return found
    if codec.can_check(wanted):
        return Plain(wanted, codec)
    members = hints.alternatives(wanted)
    if members:
        checks = [check_of(member, codec) for member in members]
        return OneOf(checks, optional=hints.is_optional(wanted))
    # A dataclass, say, that holds what only pydantic tells apart.
    found = _by_pydantic(wanted, codec) if pydantics.is_loaded() else None
    return found or Anything()


def _by_pydantic(wanted: Any, codec: Codec) -> ByPydantic | None:
    try:
        return ByPydantic(wanted, codec)
    except Exception:
        # Its errors for a type it does not know are of no common kind.
        return None


def _placed(text: str) -> dict[str, Any]:
    """msgspec's "Expected `int`, got `str` - at `$.a[0]`" as message and place."""
    said, _, path = text.partition(" - at `$")
    parts = re.findall(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]", path)
    return {"loc": [name or _index(index) for name, index in parts], "msg": said}


def _index(text: str) -> Any:
    return int(text) if text.isdigit() else text
