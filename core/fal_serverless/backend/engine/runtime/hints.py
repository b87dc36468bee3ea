"""What do a function's annotations name? Types, as far as the names in them mean something here.

Knows nothing of values: whether one fits is for `checks`.
"""

from __future__ import annotations

import enum
import functools
import importlib
import inspect
import sys
import types
import typing
from collections import abc
from typing import Any

BYTES = (bytes, bytearray, memoryview)
OLD: bool = sys.version_info < (3, 14)
"""Annotations are evaluated where they stand."""


def signature(func: Any) -> inspect.Signature:
    """Raises TypeError, ValueError. Annotations may be no more than their text."""
    if OLD:
        return inspect.signature(func)
    # Evaluated, a name that exists for checkers only would raise.
    text: Any = {"annotation_format": importlib.import_module("annotationlib").Format.STRING}
    return inspect.signature(func, **text)


def of(func: Any) -> dict[str, Any]:
    """Parameter, or `return` -> its type. A name that exists for checkers only is left out."""
    owner = _owner(func)
    names = getattr(owner, "__globals__", {})
    found = {}
    for name, note in _notes(owner).items():
        # One by one: a single bad name must not cost all others their check.
        resolved = _resolved(note, names)
        if not isinstance(resolved, str):
            found[name] = resolved
    return found


def _owner(func: Any) -> Any:
    """What carries the annotations of a partial, a wrapper, or an object that can be called."""
    while isinstance(func, functools.partial):
        func = func.func
    plain = inspect.unwrap(func)
    if isinstance(plain, types.FunctionType) or hasattr(plain, "__annotations__"):
        return plain
    return vars(type(plain)).get("__call__", plain)


def _notes(owner: Any) -> abc.Mapping[str, Any]:
    """Its annotations; since Python 3.14 reading them raises where a name is for checkers only."""
    try:
        return getattr(owner, "__annotations__", None) or {}
    except Exception:
        lib = importlib.import_module("annotationlib")
        found: abc.Mapping[str, Any] = lib.get_annotations(owner, format=lib.Format.FORWARDREF)
        return found


def _resolved(note: Any, names: dict[str, Any]) -> Any:
    holder = types.SimpleNamespace(__annotations__={"it": note})
    more: Any = {"include_extras": True} if hasattr(typing, "Annotated") else {}
    try:
        return typing.get_type_hints(holder, names, **more)["it"]
    except Exception:
        return note if isinstance(note, type) else "unknown"


def head(wanted: Any) -> Any:
    """The class behind Annotated, Optional and generics; None when there is not one."""
    origin = typing.get_origin(wanted)
    if hasattr(wanted, "__metadata__"):
        return head(wanted.__origin__)
    if origin is None:
        return wanted if isinstance(wanted, type) and wanted is not Any else None
    if isinstance(origin, type) and not is_union(wanted):
        return origin
    inner = alternatives(wanted)
    return head(inner[0]) if len(inner) == 1 else None


def is_union(wanted: Any) -> bool:
    origin = typing.get_origin(wanted)
    return origin is typing.Union or getattr(origin, "__name__", "") == "UnionType"


def alternatives(wanted: Any) -> list[Any]:
    """The members of a union but None; empty for anything else."""
    if not is_union(wanted):
        return []
    return [arg for arg in typing.get_args(wanted) if arg is not type(None)]


def is_optional(wanted: Any) -> bool:
    return is_union(wanted) and type(None) in typing.get_args(wanted)


def items(wanted: Any) -> Any:
    """The type of a list's items; Any when it is not said."""
    if hasattr(wanted, "__metadata__"):
        return items(wanted.__origin__)
    inner = alternatives(wanted)
    if len(inner) == 1:
        return items(inner[0])
    arguments = typing.get_args(wanted)
    return arguments[0] if arguments and not isinstance(arguments[0], typing.TypeVar) else Any


def last(wanted: Any) -> Any:
    """The last argument of a generic: what an awaitable gives."""
    arguments = typing.get_args(wanted)
    return arguments[-1] if arguments else Any


def list_of(wanted: Any) -> Any:
    made: Any = typing.List
    return made[wanted]


def allowed(wanted: Any) -> tuple[Any, ...]:
    """The values of a Literal or an enum, as JSON has them; () for anything else."""
    if hasattr(wanted, "__metadata__"):
        return allowed(wanted.__origin__)
    inner = alternatives(wanted)
    if len(inner) == 1:
        return allowed(inner[0])
    if isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        return tuple(member.value for member in wanted)
    return typing.get_args(wanted) if typing.get_origin(wanted) is typing.Literal else ()


def is_many(kind: Any) -> bool:
    """A list, tuple or set: a query may name it several times."""
    if not isinstance(kind, type) or issubclass(kind, (str,) + BYTES):
        return False
    return kind is abc.Iterable or issubclass(kind, (abc.Sequence, abc.Set))


def is_object(kind: Any) -> bool:
    """A class whose values are objects in JSON, pydantic's aside."""
    if not isinstance(kind, type):
        return False
    marks = ("__dataclass_fields__", "__struct_fields__", "__attrs_attrs__", "__total__")
    return issubclass(kind, abc.Mapping) or any(hasattr(kind, mark) for mark in marks)


def is_raw(wanted: Any) -> bool:
    """Bytes as they are, or a list of such."""
    kind = head(wanted)
    return kind in BYTES or (is_many(kind) and head(items(wanted)) in BYTES)
