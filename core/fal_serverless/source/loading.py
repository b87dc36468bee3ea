"""Runs the loader child for one file and function, and turns its answer into ours.

The only place that starts it. What the user's file prints on the way goes to a callable, line by
line; a child that dies is an error like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fal_serverless.errors import (
    FalError,
    FunctionMissing,
    LoadFailed,
    NotIsolated,
    NotPicklable,
    NotServable,
)
from fal_serverless.models import Parameter, from_json
from fal_serverless.source.interpreter import Interpreter

LOADER = Path(__file__).with_name("loader.py")
LAST_WORDS = 0.5
"""Seconds that output of a finished child is still read; a daemon of the file may hold the pipe."""


@dataclass(frozen=True)
class Loaded:
    """A function as its own interpreter sees it."""

    pickle: bytes
    """cloudpickle of `{"func", "setup_function"}`, by value."""
    options: dict[str, Any]
    """`Options.to_json()`."""
    parameters: tuple[Parameter, ...]
    doc: str
    is_async: bool
    modules: dict[str, Path]
    """The user's own modules that were imported, without the file itself."""


@dataclass(frozen=True)
class Request:
    file: Path
    name: str
    overlay: Path
    """Folder with cloudpickle and the stub of fal_serverless."""
    environ: Mapping[str, str]
    """The user's whole environment: their file is loaded as they would run it."""


async def load(request: Request, python: Interpreter, log: Callable[[str], None]) -> Loaded:
    """Import the file in `python` and pickle the function.

    Raises LoadFailed, FunctionMissing, NotIsolated, NotServable, NotPicklable.
    """
    with tempfile.TemporaryDirectory(prefix="fal-serverless-load-") as name:
        folder = Path(name)
        asked = {
            "file": str(request.file.absolute()),
            "name": request.name,
            "overlay": str(request.overlay),
        }
        (folder / "request.json").write_text(json.dumps(asked))
        last: list[str] = []
        code = await _run(request, python.path, folder, _keeping_last(log, last))
        return _answer(folder, request, python, code, last)


def _keeping_last(log: Callable[[str], None], last: list[str]) -> Callable[[str], None]:
    def keep(line: str) -> None:
        last[:] = [line] if line.strip() else last
        log(line)

    return keep


async def _run(request: Request, python: Path, folder: Path, log: Callable[[str], None]) -> int:
    child = await asyncio.create_subprocess_exec(
        str(python), "-I", "-u", str(LOADER), str(folder),
        env=dict(request.environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    reading = asyncio.ensure_future(_read_lines(child.stdout, log))
    try:
        code = await child.wait()
        await asyncio.wait([reading], timeout=LAST_WORDS)
        return code
    finally:
        reading.cancel()
        _kill_group(child.pid)
        await child.wait()


async def _read_lines(stream: asyncio.StreamReader, log: Callable[[str], None]) -> None:
    rest = b""
    while block := await stream.read(65536):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            log(line.decode("utf-8", "replace").rstrip("\r"))
    if rest:
        log(rest.decode("utf-8", "replace"))


def _kill_group(pid: int) -> None:
    """The child and whatever the file started: loading a file must leave nothing running."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _answer(
    folder: Path, request: Request, python: Interpreter, code: int, last: list[str]
) -> Loaded:
    try:
        answer = json.loads((folder / "answer.json").read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        raise _died(request, python, code, last) from None
    if "loaded" not in answer:
        raise _error(answer, request, python)
    said = answer["loaded"]
    return Loaded(
        pickle=(folder / "function.pickle").read_bytes(),
        options=said["options"],
        parameters=from_json(tuple[Parameter, ...], said["parameters"]),
        doc=said["doc"],
        is_async=said["is_async"],
        modules={name: Path(place) for name, place in said["modules"].items()},
    )


def _died(request: Request, python: Interpreter, code: int, last: list[str]) -> LoadFailed:
    how = f"exit code {code}"
    if code < 0:
        how = f"signal {signal.Signals(-code).name}"
    said = f"; its last line: {last[0].strip()}" if last else ""
    return LoadFailed(f"{request.file.name}: Python {python.version} ended with {how}{said}")


def _error(answer: dict[str, Any], request: Request, python: Interpreter) -> FalError:
    kind, message, has = answer["failed"], answer["message"], answer.get("has", {})
    data = {"traceback": answer["traceback"]} if answer.get("traceback") else {}
    if kind == "missing":
        return missing(message, list(has))
    if kind == "not_isolated":
        return not_isolated(message, list(has))
    if kind == "not_servable":
        return not_servable(has)
    if kind == "pickle":
        message += "; --from-source sends the file, and has the worker import it"
        return NotPicklable(message, **data)
    if answer.get("missing"):
        message += _remedy(answer["missing"], python)
    if answer.get("line"):
        data["line"] = answer["line"]
    if answer.get("syntax"):
        data["syntax"] = True
    return LoadFailed(message, **data)


def _remedy(module: str, python: Interpreter) -> str:
    return (
        f" (loaded by {python.path}, {python.why}); install '{module}' there, name another "
        "interpreter with --python, or use --from-source to have it imported by the worker only"
    )


def missing(name: str, has: list[str]) -> FunctionMissing:
    """The words of the original, and what there is instead."""
    return FunctionMissing(f"Function '{name}' not found in module; {_listed(has)}", has=has)


def not_isolated(name: str, has: list[str]) -> NotIsolated:
    return NotIsolated(
        f"'{name}' is not isolated: put @isolated(serve=True) or @isolated(exposed_port=8080) "
        f"on it; in the module, {_listed(has)}",
        has=has,
    )


def not_servable(has: Mapping[str, Mapping[str, Any]]) -> NotServable:
    """The words of the original, and what each isolated function asks for."""
    shown = [f"{name} ({_way(options)})" for name, options in has.items()]
    return NotServable(
        "One of `serve` or `exposed_port` options needs to be specified in the isolated "
        f"annotation to register a function; {_listed(shown)}",
        has=list(has),
    )


def _listed(names: list[str]) -> str:
    return f"it has: {', '.join(names)}" if names else "it has no isolated function"


def _way(options: Mapping[str, Any]) -> str:
    if options.get("serve"):
        return "serve"
    port = options.get("exposed_port")
    return "neither" if port is None else f"exposed_port {port}"


def to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
