"""Was a file, or a local module that it reaches, saved with another content?

Only Python files are looked at, and by content: what a serve writes on its way cannot start the
next one.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path

from fal_serverless.errors import FalError
from fal_serverless.source.files import reached
from fal_serverless.source.syntax import scan

POLL = 0.25
"""Seconds between two looks."""
QUIET = 0.15
"""Seconds without a further change until one counts as finished."""

Snapshot = Mapping[str, str]
"""Name of a file -> hash of its content; '' when it is not there."""


class Saves:
    """Of one file. What is there when it is made is the beginning."""

    def __init__(self, path: Path, poll: float = POLL) -> None:
        """`poll`: seconds between two looks."""
        self._path = path
        self._poll = poll
        self._known: dict[Path, tuple[tuple[int, int], str]] = {}
        """File -> (its size and time, its hash)."""
        self._last: dict[str, Path] = {}
        """Names and files of the last look that could be taken."""
        self._seen = self._look()

    @property
    def watched(self) -> list[str]:
        """Names of the files, sorted."""
        return sorted(self._seen)

    async def next(self) -> list[str]:
        """Waits until something else is there, and rests; the names of what changed, sorted."""
        while True:
            await asyncio.sleep(self._poll)
            now = await asyncio.to_thread(self._look)
            if now == self._seen:
                continue
            now = await self._rested(now)
            changed, self._seen = different(self._seen, now), now
            if changed:
                return changed

    async def _rested(self, now: Snapshot) -> Snapshot:
        while True:
            await asyncio.sleep(min(QUIET, self._poll))
            later = await asyncio.to_thread(self._look)
            if later == now:
                return now
            now = later

    def _look(self) -> Snapshot:
        return {name: self._hash(path) for name, path in self._files().items()}

    def _files(self) -> dict[str, Path]:
        """With a file that is gone or broken for a moment, those of before."""
        try:
            scan(self._path)
            found = reached(self._path)
        except (FalError, OSError):
            found = {self._path.name: self._path, **self._last}
        self._last = {name: path for name, path in found.items() if path.suffix == ".py"}
        return self._last

    def _hash(self, path: Path) -> str:
        """Read again only when its size or time has changed."""
        try:
            stat = path.stat()
            mark = (stat.st_size, stat.st_mtime_ns)
            known = self._known.get(path)
            if known is None or known[0] != mark:
                known = (mark, hashlib.sha256(path.read_bytes()).hexdigest())
                self._known[path] = known
            return known[1]
        except OSError:
            return ""


def different(before: Snapshot, after: Snapshot) -> list[str]:
    """Names of files whose content differs, or that only one of the two has."""
    names = sorted({*before, *after})
    return [name for name in names if before.get(name, "") != after.get(name, "")]
