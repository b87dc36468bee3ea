"""A file and the name of a function -> the bundle that is registered.

A bundle is a zip of `bundle.json` (models.BundleInfo), `function.pickle` (absent when the worker is
to import the file itself) and `sources.zip` (stored; the worker's first place on sys.path).
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fal_serverless.config import Config
from fal_serverless.errors import InvalidOption, LoadFailed, PythonMismatch
from fal_serverless.isolated import OPTION_NAMES, make_options
from fal_serverless.models import BundleInfo, to_json
from fal_serverless.overlay import pure_overlay
from fal_serverless.source import files, interpreter, loading, syntax
from fal_serverless.source.commit import Commit, commit_of
from fal_serverless.source.interpreter import Interpreter
from fal_serverless.source.loading import Loaded
from fal_serverless.source.syntax import Found

INFO, PICKLE, SOURCES = "bundle.json", "function.pickle", "sources.zip"
OUR_MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


async def bundle(
    path: Path,
    name: str,
    *,
    python: Path | None = None,
    from_source: bool = False,
    config: Config,
    log: Callable[[str], None] | None = None,
) -> bytes:
    """The function `name` of the file, ready to be sent.

    The file is imported in a child process by its project's interpreter, unless `from_source`:
    then everything is read from the syntax tree and the worker imports it. `log` gets what the
    file prints at import; without it, that goes to stderr. Raises SourceError in all its kinds,
    PythonMismatch, InvalidOption, TooLarge.
    """
    path = path.absolute()
    syntax.read(path)
    chosen = await interpreter.choose(path, python, config.environ)
    read = _look(path, name, certain=from_source or chosen.version == OUR_MINOR)
    asking = asyncio.ensure_future(commit_of(path.parent, config.environ))
    try:
        if from_source:
            written = _written(read)
            return _pack(_written_info(written, read, chosen, await asking), path, None)
        overlay = await asyncio.to_thread(pure_overlay, config.paths.cache)
        request = loading.Request(path, name, overlay, config.environ)
        loaded = await loading.load(request, chosen, log or loading.to_stderr)
        _check_python(loaded.options, chosen)
        return _pack(_loaded_info(loaded, read, chosen, await asking), path, loaded)
    finally:
        asking.cancel()


@dataclass(frozen=True)
class _Read:
    """What the syntax tree told."""

    path: Path
    name: str
    text: str
    functions: tuple[Found, ...] = ()
    found: Found | None = None

    @property
    def isolated(self) -> list[str]:
        return [item.name for item in self.functions if item.isolated]


def _look(path: Path, name: str, *, certain: bool) -> _Read:
    """Reads the file before anything is run, and refuses what is sure to be wrong.

    A file that another Python is to load may be in a newer syntax than ours: not `certain`.
    """
    try:
        tree = syntax.parse(path)
    except LoadFailed:
        if certain:
            raise
        return _Read(path, name, syntax.decode(syntax.read(path)))
    functions = tuple(syntax.functions(tree))
    found = next((item for item in functions if item.name == name), None)
    read = _Read(path, name, tree.text, functions, found)
    assigned = syntax.assigned_names(tree)
    if assigned is None or name in assigned:
        return read
    if found is None:
        raise loading.missing(name, read.isolated)
    if found.isolated and not found.computed and not _may_be_meant(found.options):
        raise loading.not_servable({item.name: item.options for item in functions if item.isolated})
    return read


def _may_be_meant(options: dict[str, Any]) -> bool:
    """Whether a way to be served is given, or something wrong in its place: running it tells."""
    mistyped = not set(options) <= set(OPTION_NAMES)
    return mistyped or any(
        options.get(way) not in (None, False) for way in ("serve", "exposed_port")
    )


def _written(read: _Read) -> Found:
    """The function from the syntax tree, which from-source must do with."""
    found = read.found
    if found is None:
        raise loading.missing(read.name, read.isolated)
    if not found.isolated:
        raise loading.not_isolated(read.name, read.isolated)
    computed = [text for text in found.computed if not text.startswith("setup_function=")]
    if computed:
        raise InvalidOption(
            f"{read.path.name}:{found.line}: --from-source reads options without running the "
            f"file, so they must be literals; {', '.join(computed)} is not",
            options=computed,
        )
    return found


def _check_python(options: dict[str, Any], chosen: Interpreter) -> None:
    """A pickle of one Python minor does not fail in another: it crashes it."""
    wanted = options.get("python_version") or chosen.version
    if _minor(wanted) == chosen.version:
        return
    raise PythonMismatch(
        f"the function asks for Python {wanted}, but {chosen.path} ({chosen.why}) is Python "
        f"{chosen.version}, and pickled functions do not survive another version; load the file "
        f"with --python python{_minor(wanted)}, or use --from-source",
        wanted=wanted,
        loaded_by=chosen.version,
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _loaded_info(loaded: Loaded, read: _Read, chosen: Interpreter, commit: Commit) -> BundleInfo:
    found = read.found
    written = found.parameters if found else ()
    same = [p.name for p in written] == [p.name for p in loaded.parameters]
    return BundleInfo(
        entrypoint=read.name,
        file_name=read.path.name,
        source=read.text,
        options=loaded.options,
        parameters=written if same else loaded.parameters,
        doc=loaded.doc,
        python_version=loaded.options.get("python_version") or chosen.version,
        is_async=loaded.is_async,
        git_sha=commit.sha,
        git_dirty=commit.dirty,
    )


def _written_info(found: Found, read: _Read, chosen: Interpreter, commit: Commit) -> BundleInfo:
    values = make_options(found.options).to_json()
    for text in found.computed:
        values["setup_function"] = text.partition("=")[2]
    return BundleInfo(
        entrypoint=read.name,
        file_name=read.path.name,
        source=read.text,
        options=values,
        parameters=found.parameters,
        doc=found.doc,
        python_version=values["python_version"] or chosen.version,
        from_source=True,
        is_async=found.is_async,
        git_sha=commit.sha,
        git_dirty=commit.dirty,
    )


def _pack(info: BundleInfo, path: Path, loaded: Loaded | None) -> bytes:
    local = files.reached(path, loaded.modules if loaded else None)
    sources = {name: place.read_bytes() for name, place in local.items()}
    members = {
        INFO: json.dumps(to_json(info), ensure_ascii=False, sort_keys=True).encode(),
        SOURCES: files.archive(sources),
    }
    if loaded:
        members[PICKLE] = loaded.pickle
    return files.archive(members, compress=True)
