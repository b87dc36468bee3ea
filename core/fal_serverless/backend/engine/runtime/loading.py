"""How does a function get into a worker? By its pickle, or by importing its file.

What a worker needs beside the user's packages comes from overlay folders and is loaded under the
user's eyes only where the user has no copy: neither side's version wins over the other's.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import linecache
import os
import pickle
import sys
from types import CodeType, ModuleType
from typing import Any, NamedTuple


class Loaded(NamedTuple):
    func: Any
    setup: Any
    """None: there is none."""


_kept: dict[str, dict[str, ModuleType]] = {}
"""Our copies that were read before the user's code could be seen."""
_early: set[str] = set()
"""Other modules that were."""


def keep(names: list[str], folders: list[str], early: set[str]) -> None:
    """Read our copies of packages ahead, for workers to come: nobody finds them until `reveal`.

    `early`: modules that a worker would have at this time had it read none ahead.
    """
    for name in names:
        _kept[name] = _imported(name, folders)
        _hide(_kept[name])
    _early.update(
        key for key in sys.modules if key not in early and not _belongs(key, "_fal_worker")
    )


def reveal(folders: list[str]) -> None:
    """Let the user's code find what was read ahead, where it has no copy of its own."""
    for name, ours in _kept.items():
        if not _is_users(name, folders):
            sys.modules.update(ours)


def make_way(folder: str) -> None:
    """The user's files go before modules that were only read ahead, as they do otherwise."""
    if not _early:
        return
    names = {name.partition(".")[0] for name in os.listdir(folder)}
    for key in _early:
        if key.partition(".")[0] in names:
            sys.modules.pop(key, None)


def private(name: str, folders: list[str]) -> dict[str, ModuleType]:
    """Our copy of a package, with its submodules; put away when the user has one of his own."""
    if name in _kept:
        return _kept[name]
    if not _is_users(name, folders):
        return _imported(name, folders)
    users = {key: module for key, module in sys.modules.items() if _belongs(key, name)}
    _hide(users)
    ours = _imported(name, folders)
    _hide(ours)
    sys.modules.update(users)
    return ours


def _is_users(name: str, folders: list[str]) -> bool:
    users = [path for path in sys.path if path not in folders]
    return importlib.machinery.PathFinder.find_spec(name, users) is not None


def _imported(name: str, folders: list[str]) -> dict[str, ModuleType]:
    before = sys.path[:]
    sys.path[:0] = folders
    try:
        importlib.import_module(name)
    finally:
        sys.path[:] = before
    return {key: module for key, module in sys.modules.items() if _belongs(key, name)}


def _hide(modules: dict[str, ModuleType]) -> None:
    for key in modules:
        del sys.modules[key]


def _belongs(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


_CLASS_ID = {"_make_skeleton_class": 4, "_make_skeleton_enum": 5}
"""Where cloudpickle's makers of classes take the number that tells a class made before."""

_cloudpickle: dict[str, ModuleType] = {}


def our_cloudpickle(folders: list[str]) -> dict[str, ModuleType]:
    """The one copy of this worker: it knows which classes came before."""
    if not _cloudpickle:
        _cloudpickle.update(private("cloudpickle", folders))
    return _cloudpickle


class Unpickler(pickle.Unpickler):
    """Takes cloudpickle from our copy, and leaves a class that came before as it is.

    cloudpickle finds such a class again, but then sets all its attributes to what they were when it
    was sent, over what the function has made of them since.
    """

    def __init__(self, file: Any, ours: dict[str, ModuleType]) -> None:
        super().__init__(file)
        self._ours = ours
        self._known: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        if module not in self._ours:
            return super().find_class(module, name)
        found = getattr(self._ours[module], name)
        if name in _CLASS_ID:
            return self._noting(found, self._ours[module], _CLASS_ID[name])
        return self._sparing(found) if name == "_class_setstate" else found

    def _noting(self, make: Any, cloudpickle: Any, place: int) -> Any:
        def made(*args: Any) -> Any:
            came_before = args[place] in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
            cls = make(*args)
            if came_before:
                self._known.append(cls)
            return cls

        return made

    def _sparing(self, set_state: Any) -> Any:
        def set_new(cls: Any, state: Any) -> Any:
            return cls if any(cls is known for known in self._known) else set_state(cls, state)

        return set_new


def from_pickle(path: str, folders: list[str]) -> Loaded:
    """The function and setup function of a bundle's pickle."""
    with open(path, "rb") as file:
        content = Unpickler(file, our_cloudpickle(folders)).load()
    return Loaded(_plain(content["func"]), _plain(content.get("setup_function")))


def from_file(folder: str, file_name: str, entrypoint: str) -> Loaded:
    """The same by running the user's file, whose decorator says what the setup function is."""
    module = _run_file(os.path.join(folder, file_name))
    found = getattr(module, entrypoint, None)
    if found is None:
        raise AttributeError(f"{file_name} holds no function '{entrypoint}'")
    options = getattr(found, "options", None)
    return Loaded(_plain(found), _plain(getattr(options, "setup_function", None)))


def _run_file(path: str) -> ModuleType:
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules or name in sys.builtin_module_names:
        # A file called like a module that is in use must not take its place.
        name = f"_fal_user_{name}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{os.path.basename(path)} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _plain(func: Any) -> Any:
    """Without @isolated: what a call in the worker runs."""
    is_isolated = type(func).__name__ == "IsolatedFunction"
    return func.func if is_isolated and hasattr(func, "func") else func


def show_source(func: Any, file_name: str, source: str) -> None:
    """Tracebacks quote the served text, whatever lies under that name on this machine."""
    code = getattr(func, "__code__", None)
    if isinstance(code, CodeType) and os.path.basename(code.co_filename) == file_name:
        lines = source.splitlines(keepends=True)
        linecache.cache[code.co_filename] = (len(source), None, lines, code.co_filename)
