"""A JSON body that fits a function's parameters, to start typing from. Pure."""

from __future__ import annotations

import ast
import json
from typing import Any

from fal_serverless.models import Parameter, Revision

_VALUES: dict[str, Any] = {
    "str": "text",
    "int": 1,
    "float": 1.5,
    "bool": True,
    "list": [],
    "tuple": [],
    "set": [],
    "dict": {},
    "bytes": "",
    "None": None,
}


def body(parameters: tuple[Parameter, ...]) -> dict[str, Any]:
    """A value for each named parameter: its default, else one of its type."""
    named = ("positional_or_keyword", "keyword")
    return {each.name: _value(each) for each in parameters if each.kind in named}


def body_text(revision: Revision) -> str | None:
    """The body as JSON in one line; None where the function answers for itself."""
    if revision.bundle.options.get("exposed_port"):
        return None
    return json.dumps(body(revision.bundle.for_callers))


def _value(parameter: Parameter) -> Any:
    if parameter.default is not None:
        try:
            value = ast.literal_eval(parameter.default)
        except (ValueError, SyntaxError):
            value = None
        if _is_json(value):
            return value
    head = (parameter.annotation or "str").split("[")[0].split("|")[0].strip()
    return _VALUES.get(head.rpartition(".")[2].lower() if head != "None" else head, "text")


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
