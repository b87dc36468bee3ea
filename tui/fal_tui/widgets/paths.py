"""Which files and folders could somebody mean who has typed so much of a path?

It reads folders, and the files in them only to name the functions that could be served.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from fal_serverless.errors import FalError
from fal_serverless.source import scan

SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv"}
"""Folders that hold nothing of one's own; hidden ones are skipped unless a dot is typed."""
MOST = 300
"""Entries listed at once."""
READ = 40
"""Files looked into; in a folder with more the others are listed without their functions."""
LARGEST = 512 * 1024
"""Bytes of a file that is looked into."""

Kind = Literal["recent", "file", "folder", "up"]


@dataclass(frozen=True)
class Entry:
    path: Path
    kind: Kind
    functions: tuple[str, ...] = ()
    """Names of those that can be served."""


@dataclass(frozen=True)
class Choice:
    """What there is to choose from."""

    entries: tuple[Entry, ...]
    left_out: int = 0
    """Entries that are too many to be listed."""
    problem: str = ""
    """Why the folder could not be looked into; '' when it could."""


def choice(typed: str, base: Path, recents: Sequence[Path]) -> Choice:
    """What fits: recent files while nothing is typed, then other Python files, then folders."""
    folder, beginning = place(typed, base)
    found = [] if typed else [_looked_into(Entry(path, "recent")) for path in recents]
    try:
        files, folders = _listed(folder, beginning)
        problem = ""
    except OSError as exc:
        files, folders = [], []
        named = typed_for(folder, base, folder=True) or "./"
        problem = f"{exc.strerror}: {named}"
    files = [each for each in files if all(each.path != other.path for other in found)]
    looked = [_looked_into(entry) for entry in files[:READ]] + files[READ:]
    up = [Entry(folder.parent, "up")] if not beginning and folder.parent != folder else []
    fitting = found + looked + folders
    return Choice((*fitting[:MOST], *up), max(len(fitting) - MOST, 0), problem)


def place(typed: str, base: Path) -> tuple[Path, str]:
    """The folder that is typed, absolute, and the beginning of a name in it."""
    head, _, beginning = typed.rpartition("/")
    folder = base if "/" not in typed else base / _at_home(Path(head + "/"))
    return Path(os.path.normpath(folder)), beginning


def _at_home(path: Path) -> Path:
    """`~` written out; as it stands when there is no such home."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def typed_for(path: Path, base: Path, *, folder: bool = False) -> str:
    """How a path is written in the line: from `base` where it is below it."""
    text = str(path.relative_to(base)) if path.is_relative_to(base) else str(path)
    if text == ".":
        return ""
    return text.rstrip("/") + "/" if folder else text


def _listed(folder: Path, beginning: str) -> tuple[list[Entry], list[Entry]]:
    """Raises OSError."""
    files, folders = [], []
    for child in sorted(os.scandir(folder), key=lambda child: child.name.casefold()):
        if not _fits(child.name, beginning):
            continue
        if _is_folder(child):
            folders.append(Entry(Path(child.path), "folder"))
        elif child.name.endswith(".py"):
            files.append(Entry(Path(child.path), "file"))
    return files, folders


def _is_folder(child: os.DirEntry[str]) -> bool:
    try:
        return child.is_dir()
    except OSError:
        return False


def _fits(name: str, beginning: str) -> bool:
    if name in SKIPPED or (name.startswith(".") and not beginning.startswith(".")):
        return False
    return beginning.casefold() in name.casefold()


def _looked_into(entry: Entry) -> Entry:
    return Entry(entry.path, entry.kind, _functions(entry.path))


def _functions(path: Path) -> tuple[str, ...]:
    try:
        stat = path.stat()
    except OSError:
        return ()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _read(path: Path, saved: int, size: int) -> tuple[str, ...]:
    """Once for each save: a list is made anew with every key."""
    try:
        if size > LARGEST or b"isolated" not in path.read_bytes():
            return ()
        return tuple(found.name for found in scan(path) if found.servable)
    except (OSError, FalError):
        return ()
