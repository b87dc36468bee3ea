"""A JSON body that fits a function's parameters, to start typing from. Pure.

What types mean is read from the function's file without running it: its enums, and the fields of
its dataclasses, TypedDicts and pydantic models. A type from elsewhere is taken for text.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fal_serverless.models import BundleInfo, Parameter, Revision

TEXT = "text"
DEEPEST = 4
"""Levels of classes in classes; one that holds itself has no end."""

_VALUES: dict[str, Any] = {
    "str": TEXT,
    "int": 1,
    "float": 1.5,
    "bool": True,
    "bytes": "",
    "None": None,
    "date": "2024-05-06",
    "datetime": "2024-05-06T07:08:09Z",
    "time": "07:08:09",
    "UUID": "12345678-1234-4234-8234-123456789abc",
    "Decimal": 1.5,
}
_NAMED = ("positional_or_keyword", "keyword")
_MANY = {"list", "set", "frozenset", "tuple", "sequence", "iterable", "collection"}
_PAIRS = {"dict", "mapping", "mutablemapping"}
_WRAPS = {"Optional", "Union", "Annotated", "Required", "NotRequired", "Final", "ReadOnly"}
_FIELD = {"field", "Field"}
"""Calls that stand where a default does."""

_Classes = Mapping[str, ast.ClassDef]


class _Missing(Exception):
    """No value can be read from the source."""


def body(bundle: BundleInfo) -> dict[str, Any]:
    """A value for each named parameter: its default, else one of its type.

    A single parameter that is an object takes the whole body.
    """
    named = [each for each in bundle.for_callers if each.kind in _NAMED]
    classes = _classes(bundle.source)
    if len(bundle.for_callers) == len(named) == 1:
        given, kind = _value(named[0], classes), _typical(named[0], classes)
        if isinstance(kind, dict):
            return given if isinstance(given, dict) else kind
    return {each.name: _value(each, classes) for each in named}


def body_text(revision: Revision) -> str | None:
    """The body as JSON in one line; None where the function answers for itself."""
    if revision.bundle.options.get("exposed_port"):
        return None
    return json.dumps(body(revision.bundle))


def _classes(source: str) -> _Classes:
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    return {each.name: each for each in module.body if isinstance(each, ast.ClassDef)}


def _value(parameter: Parameter, classes: _Classes) -> Any:
    if parameter.default is not None:
        try:
            return _literal(_parsed(parameter.default), classes)
        except _Missing:
            pass
    return _typical(parameter, classes)


def _typical(parameter: Parameter, classes: _Classes) -> Any:
    """A value of its type, whatever its default."""
    try:
        return _of_type(_parsed(parameter.annotation or "str"), classes, 0)
    except _Missing:
        return TEXT


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        raise _Missing from None


def _literal(node: ast.expr, classes: _Classes) -> Any:
    """What JSON can say of a default, also of a member of an enum."""
    if isinstance(node, ast.Attribute):
        members = dict(_assigned(classes.get(_name(node.value))))
        if node.attr not in members:
            raise _Missing
        return _literal(members[node.attr], {})
    try:
        value = ast.literal_eval(node)
        json.dumps(value)
    except (TypeError, ValueError, SyntaxError, RecursionError):
        raise _Missing from None
    return value


def _of_type(node: ast.expr, classes: _Classes, depth: int) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _of_type(_parsed(node.value), classes, depth)  # a class that comes later
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.BinOp):
        return _of_type(node.left, classes, depth)
    if isinstance(node, ast.Subscript):
        return _of_generic(_name(node.value), _inner(node), classes, depth)
    name = _name(node)
    if name in classes:
        return _of_class(classes[name], classes, depth)
    return _of_name(name)


def _of_name(name: str) -> Any:
    if name.lower() in _MANY:
        return []
    return {} if name.lower() in _PAIRS else _VALUES.get(name, TEXT)


def _of_generic(name: str, inner: list[ast.expr], classes: _Classes, depth: int) -> Any:
    """`inner` is never empty."""
    if name == "Literal":
        return _literal(inner[0], classes)
    if name in _WRAPS:
        return _of_type(inner[0], classes, depth)
    if name.lower() in _MANY and _name(inner[0]) in classes:
        return [_of_type(inner[0], classes, depth)]
    return _of_name(name)


def _of_class(found: ast.ClassDef, classes: _Classes, depth: int) -> Any:
    if any(_name(base).endswith(("Enum", "Flag")) for base in found.bases):
        return next((_member(name, value) for name, value in _assigned(found)), TEXT)
    return dict(_fields(found, classes, depth))


def _member(name: str, value: ast.expr) -> Any:
    try:
        return _literal(value, {})
    except _Missing:
        return name.lower()  # auto() of a StrEnum; of another enum nothing better is known


def _fields(found: ast.ClassDef, classes: _Classes, depth: int) -> Iterator[tuple[str, Any]]:
    """Those that must be given, and those with a default that JSON can say."""
    if depth > DEEPEST:
        return
    for base in found.bases:
        if _name(base) in classes:
            yield from _fields(classes[_name(base)], classes, depth + 1)
    for line in found.body:
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
            continue
        if _name(_outer(line.annotation)) == "ClassVar":
            continue
        default, needed = _default(line.value)
        try:
            if default is not None:
                yield line.target.id, _literal(default, classes)
            elif needed:
                yield line.target.id, _of_type(line.annotation, classes, depth + 1)
        except _Missing:
            continue


def _default(value: ast.expr | None) -> tuple[ast.expr | None, bool]:
    """What stands as a default, and whether the field must be given."""
    if not (isinstance(value, ast.Call) and _name(value.func) in _FIELD):
        return value, value is None
    given = {each.arg: each.value for each in value.keywords}
    default = value.args[0] if value.args else given.get("default")
    if isinstance(default, ast.Constant) and default.value is Ellipsis:
        return None, True
    return default, default is None and "default_factory" not in given


def _assigned(found: ast.ClassDef | None) -> Iterator[tuple[str, ast.expr]]:
    """The members of an enum."""
    for line in found.body if found else ():
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            yield line.targets[0].id, line.value


def _outer(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _inner(node: ast.Subscript) -> list[ast.expr]:
    inside = node.slice
    return inside.elts or [inside] if isinstance(inside, ast.Tuple) else [inside]


def _name(node: ast.expr) -> str:
    """`Size` of `Size` and of `shapes.Size`; '' of what is no name."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
