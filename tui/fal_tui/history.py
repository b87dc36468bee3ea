"""The commands typed after `:`, kept for the next time. What cannot be read is as good as none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

KEPT = 100
"""Lines that are remembered."""


class History:
    """Lines in a file, the last one first; each only once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: tuple[str, ...] | None = None

    @property
    def lines(self) -> Sequence[str]:
        if self._lines is None:
            self._lines = _read(self._path)
        return self._lines

    def add(self, line: str) -> None:
        """Remember it, in the file too where that can be written."""
        from fal_serverless.config import write_whole

        others = [each for each in self.lines if each != line]
        self._lines = (line, *others)[:KEPT]
        with suppress(OSError):
            write_whole(self._path, json.dumps(self._lines), 0o600)


def _read(path: Path) -> tuple[str, ...]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return ()
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()
