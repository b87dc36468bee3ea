"""How are values of the user's own pydantic checked, written and described? By itself, 2 or 1.

pydantic is never imported from here: its types bring it along.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import typing
from typing import Any

PREFIXES = ("pydantic", "annotated_types")
"""Modules whose classes in an annotation make it pydantic's."""


def is_pydantic(kind: Any) -> bool:
    """Whether it is a model."""
    if not isinstance(kind, type):
        return False
    return hasattr(kind, "model_validate") or (
        hasattr(kind, "parse_obj") and hasattr(kind, "__fields__")
    )


def mentions(wanted: Any) -> bool:
    """Whether a type of pydantic, or a field's constraint, stands anywhere in an annotation."""
    if any(_is_its(type(item)) for item in getattr(wanted, "__metadata__", ())):
        return True
    if isinstance(wanted, type) and _is_its(wanted):
        return True
    return any(mentions(argument) for argument in typing.get_args(wanted))


def _is_its(kind: type) -> bool:
    return hasattr(kind, "__pydantic_validator__") or any(
        base.__module__.partition(".")[0] in PREFIXES for base in kind.__mro__
    )


def is_loaded() -> bool:
    return "pydantic" in sys.modules


class Adapter:
    """One annotation, seen by pydantic. Making one raises for what it does not know."""

    def __init__(self, wanted: Any) -> None:
        self._wanted = wanted
        self._old = _old_pydantic(wanted)
        self._new = None if self._old else sys.modules["pydantic"].TypeAdapter(wanted)

    def validate(self, value: Any, text: bytes | None) -> Any:
        """By its own rules; `text` is the value as JSON, which strict models treat otherwise.

        Raises ValueError.
        """
        if self._old is None and self._new is not None:
            if text is not None:
                return self._new.validate_json(text)
            return self._new.validate_python(value)
        if is_pydantic(self._wanted):
            return self._wanted.parse_obj(value)
        return self._old.parse_obj_as(self._wanted, value)

    def schema(self, template: str, *, answers: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """JSON schema, and those it refers to; of what is sent, or of what is answered."""
        if self._new is not None:
            mode = "serialization" if answers else "validation"
            made = self._new.json_schema(ref_template=template, mode=mode)
        elif is_pydantic(self._wanted):
            made = self._wanted.schema(ref_template=template)
        else:
            made = self._old.schema_of(self._wanted, ref_template=template)
            made.pop("title", None)
        shared = {**made.pop("$defs", {}), **made.pop("definitions", {})}
        if is_pydantic(self._wanted) and "$ref" not in made:
            name = re.sub(r"[^A-Za-z0-9._-]", "_", self._wanted.__name__)
            shared[name] = made
            made = {"$ref": template.replace("{model}", name)}
        return made, shared


def _old_pydantic(wanted: Any) -> Any:
    """Version 1 when the annotation is of it, by itself or within version 2; None: it is not."""
    for kind in _classes(wanted):
        for base in kind.__mro__:
            if base.__module__.startswith("pydantic.v1."):
                return importlib.import_module("pydantic.v1")
    module = sys.modules["pydantic"]
    return None if hasattr(module, "TypeAdapter") else module


def _classes(wanted: Any) -> list[type]:
    found = [wanted] if isinstance(wanted, type) else []
    for argument in typing.get_args(wanted):
        found += _classes(argument)
    return found


def errors_of(error: Exception) -> list[dict[str, Any]]:
    """`loc` and `msg` of each error; empty when it is not one of pydantic's."""
    listed = getattr(error, "errors", None)
    if not callable(listed):
        return []
    return [
        {"loc": [part for part in item["loc"] if part != "__root__"], "msg": str(item["msg"])}
        for item in listed()
    ]


def validated(value: Any, model: Any) -> Any:
    """A model inside a type that is not pydantic's. Raises ValueError in words."""
    try:
        new = hasattr(model, "model_validate")
        return model.model_validate(value) if new else model.parse_obj(value)
    except ValueError as exc:
        parts = [
            f"{'.'.join(map(str, item['loc'])) or model.__name__}: {item['msg']}"
            for item in errors_of(exc)
        ]
        raise ValueError("; ".join(parts) or str(exc)) from exc


def dumped(value: Any) -> Any:
    """A model as JSON values, under the names that a caller uses for its fields."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    return json.loads(value.json(by_alias=True))
