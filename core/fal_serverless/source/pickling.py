"""How does a function become bytes that hold all it needs? Part of the loader child.

By value with cloudpickle, after string annotations were replaced by what they name, because a
function that was pickled by value has lost its module's names. Loaded by path by `loader.py`;
standard library only, Python 3.8.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import inspect
import io
import os
import sys
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any


class Unpicklable(Exception):
    """Names the function, what it uses that cannot be pickled, and where it uses it."""


def pickle_function(
    cloudpickle: Any,
    name: str,
    content: dict[str, Any],
    modules: list[types.ModuleType],
    is_local: Callable[[Any], bool],
) -> bytes:
    """The bytes of `content`, a dict of functions, with all of `modules` by value.

    Raises Unpicklable.
    """
    resolve_annotations(modules)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    pickler = make_pickler(cloudpickle, is_local)
    try:
        return dump(pickler, content)
    except Exception as exc:
        raise Unpicklable(explain(pickler, content, name, exc)) from exc


def dump(pickler: Any, value: Any) -> bytes:
    out = io.BytesIO()
    pickler(out).dump(value)
    return out.getvalue()


def make_pickler(cloudpickle: Any, is_local: Callable[[Any], bool]) -> Any:
    """cloudpickle, and what it does not know how to send.

    Functions under `functools.lru_cache` it knows only by name. Of `dataclasses.MISSING` it makes
    another, with which every field of a dataclass seems to have a default. A `TypedDict("Name", …)`
    it sends as a dict, of which no such type can be made again. The fields of pydantic 1 hold
    functions that were compiled inside others, and are made anew. Since 3.1.3 it takes the name of
    the file from all code, and tracebacks could not say where they come from.
    """

    def cached(func: Any, maxsize: int | None, typed: bool) -> Any:
        return functools.lru_cache(maxsize, typed)(func)

    def old_field(kind: Any, parts: dict[str, Any]) -> Any:
        parts["type_"] = parts.pop("annotation")
        return kind(**parts)

    def typed_dict(name: str, fields: dict[str, Any], total: bool) -> Any:
        make: Any = typing.TypedDict
        return make(name, fields, total=total)

    def reduce_cached(value: Any) -> Any:
        # Python 3.8 does not tell the settings of a cache
        settings = value.cache_parameters() if hasattr(value, "cache_parameters") else {}
        sizes = (settings.get("maxsize", 128), settings.get("typed", False))
        return cached, (value.__wrapped__, *sizes)

    def reducer_override(self: Any, value: Any) -> Any:
        if isinstance(value, types.FunctionType) or has_late_annotations(value):
            settle(value)  # of a class, cloudpickle sends only those that were read already
        if isinstance(value, types.CodeType):
            return with_file_name(self.dispatch_table[types.CodeType](value), value.co_filename)
        if isinstance(value, functools._lru_cache_wrapper) and is_local(value.__wrapped__):
            return reduce_cached(value)
        if is_old_pydantic_field(value):
            return old_field, (type(value), {name: getattr(value, name) for name in FIELD_PARTS})
        if value is dataclasses.MISSING:
            return "MISSING"
        if is_bare_typed_dict(value) and is_local(value):
            return typed_dict, (value.__name__, dict(value.__annotations__), value.__total__)
        reduced = cloudpickle.Pickler.reducer_override(self, value)
        if isinstance(reduced, tuple) and is_model_with_slots(value):
            # Where pydantic 1 keeps private attributes; what has none of them gives them away.
            reduced[1][3]["__slots__"] = value.__slots__
        return reduced

    return type("Pickler", (cloudpickle.Pickler,), {"reducer_override": reducer_override})


NO_FILE = "<dynamic-code>"
"""What cloudpickle since 3.1.3 calls the file of any code."""


def with_file_name(reduced: Any, name: str) -> Any:
    """How a code object is made again, as cloudpickle says it, with the name of its file."""
    kind, args = reduced
    return kind, tuple(name if isinstance(arg, str) and arg == NO_FILE else arg for arg in args)


FIELD_PARTS = (
    "name", "annotation", "class_validators", "model_config", "default", "default_factory",
    "required", "final", "alias", "field_info",
)  # fmt: skip
"""What `ModelField` of pydantic 1 is made of."""


def is_old_pydantic_field(value: Any) -> bool:
    kind = type(value)
    return kind.__name__ == "ModelField" and kind.__module__ in (
        "pydantic.fields", "pydantic.v1.fields",
    )  # fmt: skip


def is_model_with_slots(value: Any) -> bool:
    own = vars(value) if isinstance(value, type) else {}
    return bool(own.get("__private_attributes__")) and bool(own.get("__slots__"))


def is_bare_typed_dict(value: Any) -> bool:
    """Made by a call, not by a class statement, which since Python 3.13 leaves its line."""
    kind = getattr(typing, "_TypedDictMeta", ())
    mark = "__orig_bases__" if sys.version_info < (3, 13) else "__firstlineno__"
    return isinstance(value, kind) and mark not in vars(value)


# Annotations

OLD = sys.version_info < (3, 14)
"""Annotations are evaluated where they stand, and a class without any shows those of its parent."""


def resolve_annotations(modules: list[types.ModuleType]) -> None:
    """Put the objects where `from __future__ import annotations` left strings."""
    for module in modules:
        for value in list(vars(module).values()):
            plain = inspect.unwrap(value) if callable(value) else value
            if getattr(plain, "__module__", None) != module.__name__:
                continue
            for owner in owners(plain):
                resolve(owner, vars(module))


def owners(value: Any) -> Iterator[Any]:
    """What has annotations of its own: a function, or a class with its methods."""
    if isinstance(value, types.FunctionType):
        yield value
    elif isinstance(value, type):
        yield value
        yield from (item for item in vars(value).values() if isinstance(item, types.FunctionType))


def resolve(owner: Any, names: dict[str, Any]) -> None:
    if OLD and isinstance(owner, type) and "__annotations__" not in vars(owner):
        return  # the attribute would be a parent's
    settle(owner)
    notes = owner.__annotations__
    fields = vars(owner).get("__fields__", {})
    for key, note in list(notes.items()):
        notes[key] = evaluate(note, names)
        if is_old_pydantic_field(fields.get(key)) and "ForwardRef" in repr(fields[key].annotation):
            fields[key].annotation = notes[key]


def has_late_annotations(value: Any) -> bool:
    """A class of Python 3.14 whose annotations are evaluated when they are read."""
    return isinstance(value, type) and "__annotate_func__" in vars(value)


def settle(owner: Any) -> None:
    """Have annotations that can be read, also where a name in them exists for checkers only.

    Since Python 3.14 they are evaluated when they are read (PEP 649), and such a name raises. Those
    become strings, as `from __future__ import annotations` makes them of all.
    """
    try:
        owner.__annotations__  # noqa: B018 - reading is the trial
    except Exception:
        lib = importlib.import_module("annotationlib")
        notes = lib.get_annotations(owner, format=lib.Format.STRING)
        with contextlib.suppress(Exception):
            read = lib.get_annotations(owner, format=lib.Format.FORWARDREF)
            known = {name: note for name, note in read.items() if "ForwardRef(" not in repr(note)}
            notes.update(known)
        owner.__annotations__ = notes


def evaluate(note: Any, names: dict[str, Any]) -> Any:
    """The annotation without strings in it, at any depth.

    Left as it is when a name in it exists for checkers only.
    """
    holder = types.SimpleNamespace(__annotations__={"it": note})
    more: Any = {"include_extras": True} if "Annotated" in vars(typing) else {}
    try:
        return typing.get_type_hints(holder, names, **more)["it"]
    except Exception:
        return note


# What is to blame


def explain(pickler: Any, content: dict[str, Any], name: str, exc: Exception) -> str:
    said = " ".join(str(exc).split())
    for func in content.values():
        for where, value in culprits(pickler, func, {id(func)}):
            kind = type(value).__name__
            return f"{name} cannot be sent to a worker: {where} ({kind}): {said}"
    return f"{name} cannot be sent to a worker: {said}"


def culprits(pickler: Any, func: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """What the function uses that cannot be pickled by itself, deepest first."""
    for where, value in used(inspect.unwrap(func) if callable(func) else func):
        if id(value) in seen:
            continue
        seen.add(id(value))
        try:
            dump(pickler, value)
        except Exception:
            yield from culprits(pickler, value, seen)
            yield where, value


def used(func: Any) -> Iterator[tuple[str, Any]]:
    """Globals, closure variables and defaults of a function, with words for where they are."""
    code = getattr(func, "__code__", None)
    if code is None:
        return
    file = os.path.basename(code.co_filename)
    place = f"{func.__name__}() at {file}:{code.co_firstlineno}"
    for name in sorted(global_names(code) & set(func.__globals__)):
        yield f"global '{name}' used in {place}", func.__globals__[name]
    for name, cell in zip(code.co_freevars, func.__closure__ or ()):
        for value in contents(cell):
            yield f"variable '{name}' around {place}", value
    for value in func.__defaults__ or ():
        yield f"a default of {place}", value


def contents(cell: Any) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:  # still empty
        return []


def global_names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            names |= global_names(const)
    return names


def module_file(value: Any) -> str:
    """The file of the module that a function was defined in, or ''."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    return getattr(module, "__file__", None) or ""
