"""The last list of functions, kept so that the next start can paint before it knows anything.

Two small JSON files per context: the rows as they were drawn, for the first paint, and the models
for what comes after it. What cannot be read is as good as nothing; no error leaves here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fal_serverless.models import Function
    from fal_tui.widgets.rows import Row

KEPT = 200
"""Functions that are kept: more than any screen shows."""


def place(folder: Path, context: str) -> Path:
    return folder / f"functions-{re.sub(r'[^A-Za-z0-9_-]', '_', context)}.json"


def read(path: Path) -> tuple[Function, ...]:
    from fal_serverless.errors import FalError
    from fal_serverless.models import Function, from_json

    try:
        return tuple(from_json(list[Function], json.loads(path.read_bytes())))
    except (OSError, ValueError, FalError):
        return ()


def read_rows(path: Path) -> list[Row]:
    """The rows as they were drawn last."""
    from rich.text import Text

    from fal_tui.widgets.rows import Row

    try:
        lines = json.loads(_rows(path).read_bytes())
        return [Row(id, tuple(Text(text, style) for text, style in cells)) for id, cells in lines]
    except (OSError, ValueError, TypeError):
        return []


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    lines = [[row.id, [_cell(cell) for cell in row.cells]] for row in rows[:KEPT]]
    _write(_rows(path), lines)


def _rows(path: Path) -> Path:
    return path.with_name(f"painted-{path.name}")


def _cell(cell: Any) -> tuple[str, str]:
    """Text and its one style; parts with styles of their own fall back to it."""
    return (cell, "") if isinstance(cell, str) else (cell.plain, str(cell.style))


def write(path: Path, functions: tuple[Function, ...]) -> None:
    from fal_serverless.models import to_json

    _write(path, to_json(functions[:KEPT]))


def _write(path: Path, value: Any) -> None:
    from fal_serverless.config import write_whole

    try:
        write_whole(path, json.dumps(value), 0o600)
    except OSError:
        return
