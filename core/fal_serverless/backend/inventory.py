"""What lies in the folders of environments: which, how big, used when, and what nobody owns.

Reads and removes; it makes nothing but the note that goes with each environment, and does not know
what an environment is used for.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fal_serverless.config import write_whole
from fal_serverless.models import Environment

MARKER = ".complete"
"""Written last; its time is when the environment was asked for last."""
NOTE = ".environment.json"
"""Written first: what it is to become."""
GONE = ".gone-"
"""Begins the name of a folder that is being removed."""
IDLE_OVERLAY = 24 * 3600
"""Seconds after which an overlay of another version counts as nobody's: backends touch theirs."""


@dataclass(frozen=True)
class Size:
    """Bytes of the files in one folder."""

    total: int
    shared: int
    """Of these, in files that have a name outside, too (uv's cache): they would stay."""


def write_note(folder: Path, python_version: str, requirements: Iterable[str]) -> None:
    note = {
        "python": python_version,
        "requirements": list(requirements),
        "created_at": datetime.now(UTC).isoformat(),
    }
    write_whole(folder / NOTE, json.dumps(note) + "\n")


def touch(folder: Path) -> None:
    """It was asked for now."""
    with suppress(OSError):
        os.utime(folder)


def environments(root: Path) -> list[Environment]:
    """All below `root`, newest use first, whole or not; whose they are is not known here."""
    found = [read(folder) for folder in _folders(root) if not folder.name.startswith(".")]
    return sorted(found, key=lambda one: one.last_used_at, reverse=True)


def read(folder: Path) -> Environment:
    """One environment; what its note does not tell is told by the folder itself."""
    note = _note(folder)
    marker = folder / MARKER
    size = measure(folder)
    made = _time(folder / "pyvenv.cfg") or _time(folder) or datetime.now(UTC)
    created = note.get("created_at")
    return Environment(
        key=folder.name,
        python_version=str(note.get("python", "")),
        requirements=tuple(note.get("requirements", ())),
        size_bytes=size.total,
        shared_bytes=size.shared,
        created_at=datetime.fromisoformat(created) if created else made,
        last_used_at=_time(marker) or made,
        complete=marker.is_file(),
    )


def measure(folder: Path) -> Size:
    """Each file once, however many names it has."""
    seen: dict[tuple[int, int], tuple[int, int, int]] = {}
    for entry in _walk(folder):
        key = (entry.st_dev, entry.st_ino)
        names = seen[key][2] + 1 if key in seen else 1
        seen[key] = (entry.st_size, entry.st_nlink, names)
    total = sum(size for size, _, _ in seen.values())
    return Size(total, sum(size for size, links, names in seen.values() if links > names))


def set_aside(folder: Path) -> Path:
    """Rename it, at once, to what nobody takes for an environment; `wipe` that later."""
    aside = folder.with_name(f"{GONE}{folder.name}-{time.time_ns()}")
    folder.rename(aside)
    return aside


def wipe(path: Path) -> int:
    """Remove a file or folder; the bytes that are free now."""
    if path.is_dir():
        size = measure(path)
        shutil.rmtree(path, ignore_errors=True)
        return size.total - size.shared
    path.unlink(missing_ok=True)
    return 0


def abandoned(root: Path) -> list[Path]:
    """Half-removed environments below `root`, which nobody will ask for again."""
    return [folder for folder in _folders(root) if folder.name.startswith(GONE)]


def idle_overlays(cache: Path, current: Iterable[Path]) -> list[Path]:
    """Overlays of other versions that no backend has used for a day, and unfinished ones."""
    kept = set(current)
    before = time.time() - IDLE_OVERLAY
    return [
        folder
        for folder in _folders(cache / "overlay")
        if folder not in kept and folder.stat().st_mtime < before
    ]


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [path for path in sorted(root.iterdir()) if path.is_dir() and not path.is_symlink()]


def _walk(folder: Path) -> Iterator[os.stat_result]:
    """Everything in it but folders; what vanishes meanwhile does not count."""
    waiting = [str(folder)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    continue
                with suppress(OSError):
                    yield entry.stat(follow_symlinks=False)


def _note(folder: Path) -> dict[str, Any]:
    for name in (NOTE, MARKER):
        with suppress(OSError, ValueError):
            note = json.loads((folder / name).read_text())
            if isinstance(note, dict):
                return note
    return {}


def _time(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None
