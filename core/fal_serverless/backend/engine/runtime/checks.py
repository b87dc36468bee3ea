"""Does a value fit an annotation, and what does it become? One check per parameter, made once.

pydantic checks what mentions it, msgspec the rest; a union that msgspec cannot tell apart is tried
member by member; what nobody knows is left unchecked.
"""

from __future__ import annotations

import enum
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
            error = _placed(str(exc))
            choices = hints.allowed(self.wanted)
            if choices and not error["loc"]:
                error["msg"] += _may_be(choices)
            raise Misfit([error]) from None


class Member:
    """An enum whose values are not all text or all whole numbers: the member with that value."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    def __call__(self, value: Any, is_text: bool) -> Any:
        value = tuple(value) if isinstance(value, list) else value
        for member in self.kind:
            if member.value == value or (is_text and str(member.value) == value):
                return member
        said = f"Invalid enum value {value!r}" + _may_be(hints.allowed(self.kind))
        raise Misfit([{"loc": [], "msg": said}])


def _may_be(choices: tuple[Any, ...]) -> str:
    return f"; it may be {', '.join(map(repr, choices))}"


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


Check = Union[Anything, Plain, Member, OneOf, ByPydantic]


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
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return Member(wanted)
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
