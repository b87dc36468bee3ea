"""The calls that were made, kept for the next time, per backend and function.

A call that seems to carry a secret is remembered until fal-tui ends, and never written down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from fal_serverless.config import write_whole
from fal_tui.screens.call import Call, History

LONGEST = 20_000
"""Characters of a body that are written down; longer ones are remembered for this session only."""
FUNCTIONS = 200
"""Functions of one backend whose calls are kept, the ones called last."""

_NAMES = "secret|passwords?|passwd|passphrase|pwd|pin|otp|token|jwt|authorization|cookie"
_NAMES += "|credentials?|api_?key|access_?key|private_?key|fal_key(_id|_secret)?"
_NAME = re.compile(rf"(^|_)({_NAMES})($|_)")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_VALUE = re.compile(
    r"\b(sk|pk|rk|ghp|gho|ghs|glpat|xox[abps]|hf|pypi)[-_][\w-]{12,}|\bAKIA[0-9A-Z]{12,}"
    r"|\beyJ[\w-]{10,}\.|-----BEGIN|\b(Bearer|Basic|Key)\s+\S{12,}"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:\S"
)
_PAIR = re.compile(r"([\w-]+)[\"']?\s*[=:]\s*[\"']?\S")


def carries_secret(call: Call) -> bool:
    """Whether a name or a value in it looks like one; rather too often than too seldom."""
    query = parse_qsl(urlsplit(call.path).query, keep_blank_values=True)
    if any(_telling(name) for name, value in query if value):
        return True
    if _VALUE.search(call.path) or _VALUE.search(call.body):
        return True
    try:
        names = _named(json.loads(call.body))
    except (ValueError, RecursionError):
        names = (found[1] for found in _PAIR.finditer(call.body))
    return any(_telling(name) for name in names)


def _telling(name: str) -> bool:
    """`apiKey`, `api-key` and `x_api_key` are one name; `max_tokens` is none."""
    return _NAME.search(_WORDS.sub("_", name).lower()) is not None


def _named(value: Any) -> Iterator[str]:
    """Names in a JSON value that hold text."""
    if isinstance(value, dict):
        for name, held in value.items():
            if isinstance(held, str) and held:
                yield name
            else:
                yield from _named(held)
    elif isinstance(value, list):
        for held in value:
            yield from _named(held)


class Remembered(History):
    """Of one context, in a file that all contexts share. Its file may be lost at any time."""

    def __init__(self, path: Path, context: str) -> None:
        super().__init__()
        self._path = path
        self._context = context
        self._loaded = False

    def of(self, function: str) -> list[Call]:
        if not self._loaded:
            self._loaded = True
            for name, calls in _read(self._path).get(self._context, {}).items():
                self.calls.setdefault(name, calls)
        return super().of(function)

    def add(self, function: str, call: Call) -> None:
        super().add(function, call)
        if len(call.body) > LONGEST or carries_secret(call):
            return
        known = _read(self._path)  # again: another fal-tui may have written meanwhile
        here = known.setdefault(self._context, {})
        others = [each for each in here.pop(function, []) if each != call]
        here[function] = [*others, call][-self.kept :]
        known[self._context] = dict(list(here.items())[-FUNCTIONS:])
        written = {
            context: {name: [asdict(each) for each in calls] for name, calls in functions.items()}
            for context, functions in known.items()
        }
        with suppress(OSError):
            write_whole(self._path, json.dumps(written), 0o600)


def _read(path: Path) -> dict[str, dict[str, list[Call]]]:
    """What can be read of it; anything else is as good as none."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        context: {name: _calls(calls) for name, calls in functions.items()}
        for context, functions in found.items()
        if isinstance(functions, dict)
    }


def _calls(found: Any) -> list[Call]:
    fields = ("method", "path", "body")
    return [
        Call(*(each[field] for field in fields))
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict) and all(isinstance(each.get(field), str) for field in fields)
    ]
