"""A function of this process -> what is sent so that a backend can call it.

For calls from Python: nothing is loaded again, so it works for closures, lambdas, and what was
typed into a prompt or a notebook. The function goes as it is now, by value, together with the local
files that its imports reach; its digest is the same as long as all of that is.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import linecache
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import cloudpickle

from fal_serverless.errors import InvalidOption, LoadFailed, NotPicklable, PythonMismatch
from fal_serverless.isolated import IsolatedFunction
from fal_serverless.models import BundleInfo, to_json
from fal_serverless.source import files, loader, pickling, syntax
from fal_serverless.source.packing import INFO, OUR_MINOR, PICKLE, SOURCES

_lock = threading.Lock()
"""What cloudpickle takes by value is one setting of the whole process."""


def _renew_lock() -> None:
    """In a fork: it may be held by a thread that did not come along."""
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class Sendable:
    """All that is sent of one function."""

    name: str
    digest: str
    """Of the members."""
    members: Mapping[str, bytes]

    def pack(self) -> bytes:
        """The bundle."""
        return files.archive(self.members, compress=True)


def sendable(function: IsolatedFunction) -> Sendable:
    """Raises NotPicklable, PythonMismatch, InvalidOption for a server, TooLarge."""
    func, name = function.func, name_of(function)
    _check(function, name)
    content = {"func": func, "setup_function": function.options.setup_function}
    members = {
        INFO: json.dumps(to_json(_info(function, name)), sort_keys=True).encode(),
        PICKLE: _pickled(name, content),
        SOURCES: _sources(func),
    }
    digest = hashlib.sha256()
    for member, data in sorted(members.items()):
        digest.update(f"{member}\0{len(data)}\0".encode())
        digest.update(data)
    return Sendable(name, digest.hexdigest(), members)


def arguments(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Their pickle. Raises NotPicklable, naming the argument."""
    with _by_value() as pickler:
        try:
            return pickling.dump(pickler, (args, kwargs))
        except Exception as exc:
            where = _unsendable(pickler, args, kwargs)
            said = " ".join(str(exc).split())
            raise NotPicklable(f"{where} of {name}() cannot be sent to a worker: {said}") from exc


def name_of(function: IsolatedFunction) -> str:
    return str(getattr(function.func, "__name__", type(function.func).__name__))


def _check(function: IsolatedFunction, name: str) -> None:
    options = function.options
    if options.exposed_port is not None:
        raise InvalidOption(
            f"{name} is a server on port {options.exposed_port}, which nobody could reach in a "
            "call: serve it with 'fal-serverless function serve'"
        )
    wanted = ".".join((options.python_version or OUR_MINOR).split(".")[:2])
    if wanted != OUR_MINOR:
        raise PythonMismatch(
            f"{name} asks for Python {wanted}, and this program runs Python {OUR_MINOR}: what one "
            f"pickles does not survive in the other. Run this program with Python {wanted}, or "
            f"call {name}.on(python_version=None)(…)",
            wanted=wanted,
            loaded_by=OUR_MINOR,
        )


def _info(function: IsolatedFunction, name: str) -> BundleInfo:
    func = inspect.unwrap(function.func)
    code = getattr(func, "__code__", None)
    place = code.co_filename if isinstance(code, CodeType) else ""
    return BundleInfo(
        entrypoint=name,
        file_name=os.path.basename(place),  # noqa: PTH119 - `<stdin>` is no path
        source="".join(linecache.getlines(place)),
        options=function.options.to_json(),
        parameters=(),
        doc="",
        python_version=function.options.python_version or OUR_MINOR,
        is_async=inspect.iscoroutinefunction(func) or inspect.isasyncgenfunction(func),
    )


# Pickling


def _pickled(name: str, content: dict[str, Any]) -> bytes:
    with _by_value() as pickler:
        try:
            return pickling.dump(pickler, content)
        except Exception as exc:
            raise NotPicklable(pickling.explain(pickler, content, name, exc)) from exc


def _unsendable(pickler: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    named = [(f"argument {number}", value) for number, value in enumerate(args, 1)]
    for where, value in [*named, *((f"argument '{key}'", kwargs[key]) for key in kwargs)]:
        try:
            pickling.dump(pickler, value)
        except Exception:
            return f"{where} ({type(value).__name__})"
    return "an argument"


@contextmanager
def _by_value() -> Iterator[Any]:
    """A pickler that takes what is the user's own by value: no worker could import it."""
    with _lock:
        before = set(cloudpickle.list_registry_pickle_by_value())
        mine = [m for m in _local_modules().values() if m.__name__ not in before]
        ours = [module for module in mine if sys.modules.get(module.__name__) is module]
        for module in ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield _steady(pickling.make_pickler(cloudpickle, _is_users))
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)


def _steady(base: Any) -> Any:
    """The pickler, for classes without what `copyreg` notes on one when an instance is pickled.

    Otherwise a function would be another one after its first call.
    """

    def reducer_override(self: Any, value: Any) -> Any:
        reduced = base.reducer_override(self, value)
        if isinstance(value, type) and isinstance(reduced, tuple) and len(reduced) > 2:
            attributes = reduced[2][0] if isinstance(reduced[2], tuple) else {}
            attributes.pop("__slotnames__", None)
        return reduced

    return type("SteadyPickler", (base,), {"reducer_override": reducer_override})


def _is_users(value: Any) -> bool:
    module = getattr(value, "__module__", None)
    return module == "__main__" or _is_local(pickling.module_file(value))


_is_local = lru_cache(maxsize=None)(loader.is_local)


def _local_modules() -> dict[str, ModuleType]:
    """The user's own modules in this process, but not the program itself, by name."""
    found = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if not isinstance(module, ModuleType) or not isinstance(path, str):
            continue
        if name.partition(".")[0] not in loader.NEVER_LOCAL and _is_local(path):
            found[name] = module
    return found


# Local files


def _sources(func: Any) -> bytes:
    """A zip of what the function may import when it runs. Read once: it belongs to this process."""
    code = getattr(inspect.unwrap(func), "__code__", None)
    place = code.co_filename if isinstance(code, CodeType) else ""
    module = sys.modules.get(getattr(func, "__module__", None) or "")
    own = getattr(module, "__file__", None) or ""
    if place and _is_local(place):
        return _sources_of_file(place, _modules_for(_imports_of(place), module))
    names = frozenset(_imported_by(code)) if isinstance(code, CodeType) else frozenset()
    folder = str(Path(own).absolute().parent if own and _is_local(own) else Path.cwd())
    return _sources_of_names(names, folder, _modules_for(names, module))


Modules = frozenset[tuple[str, str]]
"""Names of loaded modules, and their files."""


@lru_cache(maxsize=256)
def _sources_of_file(place: str, modules: Modules) -> bytes:
    return _archive(files.reached(Path(place), _places(modules)))


@lru_cache(maxsize=256)
def _sources_of_names(names: frozenset[str], folder: str, modules: Modules) -> bytes:
    return _archive(files.reached_by(sorted(names), Path(folder), _places(modules)))


@lru_cache(maxsize=256)
def _imports_of(place: str) -> frozenset[str]:
    try:
        return frozenset(syntax.imports(syntax.parse(Path(place))))
    except LoadFailed:
        return frozenset()


def _modules_for(names: frozenset[str], own: ModuleType | None) -> Modules:
    """Those loaded local modules that are imported under these names, and the function's own."""
    tops = {name.partition(".")[0] for name in names}
    package = getattr(own, "__package__", None)
    if package:
        tops.add(package.partition(".")[0])
    found = _local_modules()
    return frozenset(
        (name, str(module.__file__))
        for name, module in found.items()
        if name.partition(".")[0] in tops
    )


def _imported_by(code: CodeType) -> Iterator[str]:
    """Names that code without a file imports when it runs; more names than that do no harm."""
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _imported_by(const)


def _places(modules: Modules) -> dict[str, Path]:
    return {name: Path(place) for name, place in sorted(modules)}


def _archive(found: Mapping[str, Path]) -> bytes:
    return files.archive({name: path.read_bytes() for name, path in found.items()})
