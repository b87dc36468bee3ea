"""The child program that loads a user's file in the project's own interpreter and pickles it.

It is started by path with `-I`, imports nothing of the project but `pickling.py` beside it and the
overlay it is given, and must run on Python 3.8. Protocol:

1. The parent makes a folder, writes `request.json` into it and starts `python -I loader.py FOLDER`.
   Request: `file`, `name`, `overlay` (folder with cloudpickle and a stub of fal_serverless).
2. The file is imported as a module under its own stem, its folder first on sys.path. What it prints
   goes to this program's stdout and stderr; nothing of the protocol does.
3. The function, with its setup function, is pickled by value to `function.pickle`.
4. `answer.json` is written aside and renamed, as the last thing: its absence means that this
   program died. Either `{"loaded": …}` or `{"failed": kind, "message": …, …}`.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import json
import os
import signal
import site
import sys
import sysconfig
import traceback
import types
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

REQUEST, ANSWER, PICKLE = "request.json", "answer.json", "function.pickle"
PR_SET_PDEATHSIG = 1
NEVER_LOCAL = ("fal_serverless", "cloudpickle", "__main__")


class Failure(Exception):
    """What is answered instead of a function."""

    def __init__(self, kind: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.answer: dict[str, Any] = dict(data, failed=kind, message=message)


# What is the user's own


def library_folders() -> tuple[str, ...]:
    """Where modules lie that are not the user's own."""
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += getattr(site, "getsitepackages", list)()
    folders.append(site.getusersitepackages())
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


LIBRARIES = library_folders()


def is_local(path: str) -> bool:
    """Whether a file is the user's own: on disk, not of this program, not of a library."""
    parts = path.split(os.sep)
    if path == __file__ or "site-packages" in parts or "dist-packages" in parts:
        return False
    # Asked both ways: a library may be a link, and so may a file in it (Debian's sitecustomize).
    places = (os.path.abspath(path), os.path.realpath(path))
    return os.path.isfile(path) and not any(place.startswith(LIBRARIES) for place in places)


def local_modules(main: types.ModuleType) -> dict[str, types.ModuleType]:
    """The user's modules that were imported, by name, without the served file itself."""
    found = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if module is main or name.partition(".")[0] in NEVER_LOCAL or not isinstance(path, str):
            continue
        if is_local(path):
            found[name] = module
    return found


# Importing


class FreshLoader(importlib.machinery.SourceFileLoader):
    """Reads the source each time: cached bytecode is told apart by whole seconds and size only,
    so that a quick edit of the same length would be served in its old form."""

    def get_code(self, fullname: str) -> Any:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def fresh_finder(root: str) -> Callable[[str], Any]:
    """A path hook for the user's folders below `root`; nothing is written into them."""
    kinds = (
        (importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES),
        (FreshLoader, importlib.machinery.SOURCE_SUFFIXES),
    )

    def hook(path: str) -> Any:
        inside = os.path.join(path, "")
        if not inside.startswith(os.path.join(root, "")) or not os.path.isdir(path):
            raise ImportError(path)
        if os.path.realpath(path).startswith(LIBRARIES) or "site-packages" in path:
            raise ImportError(path)
        return importlib.machinery.FileFinder(path, *kinds)

    return hook


def import_cloudpickle(overlay: str) -> tuple[Any, dict[str, types.ModuleType]]:
    """Ours, set aside, so that the user's own import of it finds their own."""
    sys.path.insert(0, overlay)
    try:
        cloudpickle = importlib.import_module("cloudpickle")
    finally:
        sys.path.remove(overlay)
    names = [name for name in sys.modules if name.partition(".")[0] == "cloudpickle"]
    return cloudpickle, {name: sys.modules.pop(name) for name in names}


def import_beside(name: str) -> Any:
    path = os.path.join(os.path.dirname(__file__), name + ".py")
    spec = importlib.util.spec_from_file_location("__main__." + name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prepare_path(folder: str, overlay: str) -> None:
    """As `python file.py` would have it, which `-I` took away, and the overlay after all else."""
    user = site.getusersitepackages()
    if sys.prefix == sys.base_prefix and user not in sys.path and os.path.isdir(user):
        sys.path.append(user)
    extra = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [folder] + extra
    sys.path.append(overlay)
    sys.path_hooks.insert(0, fresh_finder(folder))
    sys.path_importer_cache.clear()


def import_file(path: str) -> types.ModuleType:
    """The module. Raises Failure with the line of the user's file that is to blame."""
    stem = os.path.splitext(os.path.basename(path))[0]
    name = stem + "_" if stem in sys.modules else stem
    loader = FreshLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.argv = [path]
    try:
        loader.exec_module(module)
    except BaseException as exc:
        raise import_failure(exc, path) from exc
    return module


def import_failure(exc: BaseException, path: str) -> Failure:
    """`app.py:3: ValueError: no`, by the deepest line that is the user's own."""
    place, line, message = blamed(exc, path)
    where = os.path.basename(place) + (f":{line}" if line else "")
    text = f"{where}: {type(exc).__name__}" + (": " + message if message else "")
    missing = exc.name if isinstance(exc, ModuleNotFoundError) else None
    trace, is_syntax = user_traceback(exc), isinstance(exc, SyntaxError)
    return Failure("import", text, line=line, traceback=trace, missing=missing, syntax=is_syntax)


def blamed(exc: BaseException, path: str) -> tuple[str, int, str]:
    """File, line (0: unknown) and what is wrong there."""
    if isinstance(exc, SyntaxError) and exc.filename:
        return exc.filename, exc.lineno or 0, exc.msg
    message = " ".join(str(exc).split())
    if message == "name 'isolated' is not defined":  # as in files of the original's documents
        message += "; the file lacks: from fal_serverless import isolated"
    for frame, line in reversed(list(traceback.walk_tb(exc.__traceback__))):
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        # Ours may be anywhere: a checkout of this project is no library to look at.
        if package not in NEVER_LOCAL and is_local(frame.f_code.co_filename):
            return frame.f_code.co_filename, line, message
    return path, 0, message


def user_traceback(exc: BaseException) -> str:
    """Without the frames of this program and of the import system."""
    trace = exc.__traceback__
    while trace is not None and not is_users(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(exc), exc, trace))


def is_users(filename: str) -> bool:
    return filename != __file__ and not filename.startswith("<frozen")


# The function


def isolated_functions(module: types.ModuleType) -> dict[str, Any]:
    kind = getattr(sys.modules.get("fal_serverless.isolated"), "IsolatedFunction", ())
    return {name: value for name, value in vars(module).items() if isinstance(value, kind)}


def find_function(module: types.ModuleType, name: str) -> Any:
    """The isolated function called `name`; Failure with what there is instead."""
    functions = isolated_functions(module)
    has = {key: value.options.to_json() for key, value in functions.items()}
    if name not in vars(module):
        raise Failure("missing", name, has=has)
    if name not in functions:
        raise Failure("not_isolated", name, has=has)
    options = has[name]
    if not options["serve"] and options["exposed_port"] is None:
        raise Failure("not_servable", name, has=has)
    return functions[name]


def describe(found: Any, own: dict[str, types.ModuleType]) -> dict[str, Any]:
    inner = inspect.unwrap(found.func)
    return {
        "options": found.options.to_json(),
        "parameters": [parameter(item) for item in signature(found.func)],
        "doc": inspect.getdoc(found.func) or "",
        "is_async": inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner),
        "modules": {name: module.__file__ for name, module in own.items()},
    }


def signature(func: Any) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return ()


KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional_or_keyword",
    inspect.Parameter.VAR_POSITIONAL: "var_positional",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "var_keyword",
}


def parameter(item: inspect.Parameter) -> dict[str, Any]:
    empty = inspect.Parameter.empty
    note, kind = item.annotation, KINDS[item.kind]
    if note is not empty and not isinstance(note, str):
        note = inspect.formatannotation(note)
    return {
        "name": item.name,
        "kind": kind,
        "required": item.default is empty and not kind.startswith("var_"),
        "annotation": None if note is empty else note,
        "default": None if item.default is empty else repr(item.default),
    }


# The program


def load(request: dict[str, str], folder: str) -> dict[str, Any]:
    overlay = request["overlay"]
    cloudpickle, ours = import_cloudpickle(overlay)
    pickling = import_beside("pickling")
    prepare_path(os.path.dirname(request["file"]), overlay)
    module = import_file(request["file"])
    found = find_function(module, request["name"])
    own = local_modules(module)
    pickling.settle(inspect.unwrap(found.func))
    answer = describe(found, own)
    sys.modules.update(ours)
    content = {"func": found.func, "setup_function": found.options.setup_function}
    modules: list[types.ModuleType] = [module, *own.values()]
    try:
        data = pickling.pickle_function(
            cloudpickle,
            request["name"],
            content,
            modules,
            lambda value: is_local(pickling.module_file(value)),
        )
    except pickling.Unpicklable as exc:
        raise Failure("pickle", str(exc), traceback=user_traceback(exc)) from exc
    with open(os.path.join(folder, PICKLE), "wb") as file:
        file.write(data)
    return {"loaded": answer}


def end_with_parent() -> None:
    """A file that loads for ever must not outlive who asked for it: Linux sees to that."""
    if sys.platform == "linux":
        with suppress(Exception):
            import ctypes

            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def main(folder: str) -> None:
    end_with_parent()
    with open(os.path.join(folder, REQUEST), encoding="utf-8") as file:
        request = json.load(file)
    try:
        answer = load(request, folder)
    except Failure as exc:
        answer = exc.answer
    aside = os.path.join(folder, ANSWER + ".part")
    with open(aside, "w", encoding="utf-8") as file:
        json.dump(answer, file)
    os.replace(aside, os.path.join(folder, ANSWER))
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(0)  # threads that the file started must not keep this program


if __name__ == "__main__":
    main(sys.argv[1])
