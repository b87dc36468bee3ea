"""What does a function take and return? As JSON schema, for whoever writes its documentation.

Knows nothing of addresses and keys. What cannot be described has an empty schema: anything.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
from collections import abc
from typing import Any

from . import hints, pydantics
from .answers import BYTES, EVENTS, JSON, LINES, TEXT
from .binding import Parameter, Plan
from .checks import ByPydantic, Check, Member, OneOf, Plain, check_of
from .codec import Codec, is_from_text, is_struct

PLACE = "#/components/schemas/"
"""Where shared schemas are expected to stand."""


def description(func: Any, plan: Plan, codec: Codec) -> dict[str, Any]:
    """`parameters`, `whole` and `raw` (names of those that take the body), `more`, `returns`, and
    the `schemas` that others refer to."""
    schemas = Schemas(codec)
    return {
        "parameters": [_parameter(item, schemas, codec) for item in plan.parameters.values()],
        "whole": plan.whole.name if plan.whole is not None else None,
        "raw": plan.raw.name if plan.raw is not None else None,
        "more": None if plan.more is None else schemas.of(plan.more),
        "returns": _returns(func, schemas, codec),
        "schemas": schemas.shared,
    }


def _parameter(item: Parameter, schemas: Schemas, codec: Codec) -> dict[str, Any]:
    schema = schemas.of(item.check)
    if item.default is not inspect.Parameter.empty:
        with contextlib.suppress(TypeError, ValueError, NotImplementedError, RecursionError):
            schema = {**schema, "default": json.loads(codec.encode(item.default))}
    return {
        "name": item.name,
        "required": item.required,
        "many": item.many,
        "structured": item.structured,
        "raw": item.raw,
        "schema": schema,
    }


def _returns(func: Any, schemas: Schemas, codec: Codec) -> dict[str, Any]:
    """`content`: the content types it may have; `schema`: of the value, or of a stream's items."""
    wanted = hints.of(func).get("return", Any)
    kind = hints.head(wanted)
    if isinstance(kind, type) and issubclass(kind, abc.Awaitable):
        wanted = hints.last(wanted)
        kind = hints.head(wanted)
    if _is_stream(func, kind):
        items = hints.items(wanted)
        schema = schemas.of(check_of(items, codec), answers=True)
        return {"content": [*_stream_kinds(hints.head(items)), EVENTS], "schema": schema}
    own = getattr(kind, "content_type", None)
    if isinstance(own, str):
        return {"content": [own], "schema": None}
    if kind in hints.BYTES:
        return {"content": [BYTES], "schema": None}
    return {"content": [JSON], "schema": schemas.of(check_of(wanted, codec), answers=True)}


def _is_stream(func: Any, kind: Any) -> bool:
    plain = inspect.unwrap(func)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        return True
    return isinstance(kind, type) and issubclass(kind, (abc.Iterator, abc.AsyncIterable))


def _stream_kinds(item: Any) -> list[str]:
    if item is str:
        return [TEXT]
    if item in hints.BYTES:
        return [BYTES]
    return [LINES] if item is not None else [TEXT, BYTES, LINES]


class Schemas:
    """Makes schemas, and keeps those with a name, each under a name of its own."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.shared: dict[str, dict[str, Any]] = {}

    def of(self, check: Check, *, answers: bool = False) -> dict[str, Any]:
        """What a check lets through; `answers`: it describes what is written, not what is read."""
        try:
            return self._of(check, answers)
        except Exception:
            # The user's own types take part in this; a page with a gap is better than none.
            return {}

    def _of(self, check: Check, answers: bool) -> dict[str, Any]:
        if isinstance(check, OneOf):
            members = [self.of(member, answers=answers) for member in check.members]
            return {"anyOf": members + ([{"type": "null"}] if check.optional else [])}
        if isinstance(check, Member):
            return {"title": check.kind.__name__, "enum": list(hints.allowed(check.kind))}
        if isinstance(check, ByPydantic):
            made, shared = check.adapter.schema(PLACE + "{model}", answers=answers)
        elif isinstance(check, Plain):
            hook = _Hook(self, answers)
            made, shared = self._codec.schema(check.wanted, PLACE + "{name}", hook)
        else:
            return {}
        return self.keep(made, shared)

    def keep(self, made: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
        """The schema, with its references as they are here."""
        names = {name: self._free(name, schema) for name, schema in shared.items()}
        for name, schema in shared.items():
            self.shared[names[name]] = _renamed(schema, names)
        renamed: dict[str, Any] = _renamed(made, names)
        return renamed

    def _free(self, name: str, schema: dict[str, Any]) -> str:
        """The name, with a number when another type has it."""
        wanted, number = name, 1
        while self.shared.get(name, schema) != schema:
            number += 1
            name = f"{wanted}{number}"
        return name


class _Hook:
    """Asked by msgspec for types that are not its own."""

    def __init__(self, schemas: Schemas, answers: bool) -> None:
        self._schemas = schemas
        self._answers = answers

    def __call__(self, kind: Any) -> dict[str, Any]:
        if pydantics.mentions(kind):
            adapter = pydantics.Adapter(kind)
            return self._schemas.keep(*adapter.schema(PLACE + "{model}", answers=self._answers))
        if is_struct(kind):
            users = importlib.import_module("msgspec")
            (made,), shared = users.json.schema_components([kind], ref_template=PLACE + "{name}")
            return self._schemas.keep(made, shared)
        return {"type": "string"} if is_from_text(kind) else {}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        made = {key: _renamed(inner, names) for key, inner in value.items()}
        place = made.get("$ref")
        if isinstance(place, str) and place.startswith(PLACE):
            name = place[len(PLACE) :]
            made["$ref"] = PLACE + names.get(name, name)
        return made
    return [_renamed(inner, names) for inner in value] if isinstance(value, list) else value
