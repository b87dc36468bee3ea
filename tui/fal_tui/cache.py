"""The last list of functions, kept so that the next start can paint before it knows anything.

One small JSON file per context. What cannot be read is as good as nothing; no error leaves here.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from fal_serverless.errors import FalError
from fal_serverless.models import Function, from_json, to_json

KEPT = 200
"""Functions that are kept: more than any screen shows."""


def place(folder: Path, context: str) -> Path:
    return folder / f"functions-{re.sub(r'[^A-Za-z0-9_-]', '_', context)}.json"


def read(path: Path) -> tuple[Function, ...]:
    try:
        return tuple(from_json(list[Function], json.loads(path.read_bytes())))
    except (OSError, ValueError, FalError):
        return ()


def write(path: Path, functions: tuple[Function, ...]) -> None:
    from fal_serverless.config import write_whole

    try:
        write_whole(path, json.dumps(to_json(functions[:KEPT])), 0o600)
    except OSError:
        return
