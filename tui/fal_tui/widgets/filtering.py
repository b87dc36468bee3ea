"""Does a line match what somebody typed after `/`? Pure; knows no widget."""

from __future__ import annotations

import re
from collections.abc import Callable

Matcher = Callable[[str], bool]


def matcher(text: str) -> Matcher:
    """Whether a line matches: `text` is a regular expression, case ignored while it is lower case.

    `!text` is the inverse, `-f text` takes the letters in their order with anything between.
    What is no valid expression is looked for as it stands.
    """
    wanted = text.strip()
    if wanted.startswith("!") and len(wanted) > 1:
        found = matcher(wanted[1:])
        return lambda line: not found(line)
    if wanted.startswith("-f"):
        return _fuzzy(wanted[2:].strip())
    return _searched(pattern(wanted)) if wanted else _everything


def pattern(text: str) -> re.Pattern[str]:
    """The expression, or the text as it stands; lower case finds upper case too."""
    flags = re.IGNORECASE if text == text.lower() else re.NOFLAG
    try:
        return re.compile(text, flags)
    except (re.error, RecursionError, OverflowError):
        return re.compile(re.escape(text), flags)


def _everything(line: str) -> bool:
    return True


def _searched(expression: re.Pattern[str]) -> Matcher:
    return lambda line: expression.search(line) is not None


def _fuzzy(letters: str) -> Matcher:
    wanted = letters.casefold().replace(" ", "")

    def found(line: str) -> bool:
        rest = iter(line.casefold())
        return all(letter in rest for letter in wanted)

    return found
