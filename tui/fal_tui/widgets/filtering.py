"""Does a line match what somebody typed after `/`? Pure; knows no widget."""

from __future__ import annotations

import re
from collections.abc import Callable

Matcher = Callable[[str], object]
"""Something true when a line matches."""


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
    return _searched(wanted) if wanted else _everything


def pattern(text: str) -> re.Pattern[str]:
    """The expression, or the text as it stands; lower case finds upper case too.

    `^` and `$` are the ends of each line of a text of several.
    """
    return _compiled(text, re.IGNORECASE if text == text.lower() else re.NOFLAG)


def _compiled(text: str, flags: re.RegexFlag) -> re.Pattern[str]:
    flags |= re.MULTILINE
    try:
        return re.compile(text, flags)
    except (re.error, RecursionError, OverflowError):
        return re.compile(re.escape(text), flags)


def _everything(line: str) -> bool:
    return True


def _searched(text: str) -> Matcher:
    search = _compiled(text, re.NOFLAG).search
    if text != text.lower():
        return search
    # Three times as fast as an expression that ignores case.
    return lambda line: search(line.lower())


def _fuzzy(letters: str) -> Matcher:
    wanted = letters.casefold().replace(" ", "")

    def found(line: str) -> bool:
        rest = iter(line.casefold())
        return all(letter in rest for letter in wanted)

    return found
