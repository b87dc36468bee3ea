"""Which text must be in whatever a regular expression matches?

SQLite looks for it much faster than Python looks for the expression. '' is always a true answer.
"""

from __future__ import annotations

import re

_ONCE_OR_NEVER = "*?{"
_ARGUED = "xuUN0123456789"
"""Escapes that what follows belongs to."""
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")


_NOT_IN_LIKE = re.compile(r"[kKsSiI%_]|[^\x01-\x7f]")
"""Also the letters that other letters than ASCII's are the same as."""


def is_literal(pattern: str) -> bool:
    """Whether it matches exactly what contains it."""
    return _SPECIAL.search(pattern) is None


def condition_of(pattern: str) -> tuple[str, str] | None:
    """SQL that holds for every message that matches, and its value; None: nothing is known."""
    flags = re.compile(pattern).flags
    literal = "" if flags & re.VERBOSE else literal_of(pattern)
    if flags & re.IGNORECASE:
        # LIKE knows ASCII only, and its own two signs; it ends at a NUL.
        literal = max(_NOT_IN_LIKE.split(literal), key=len)
        sql = "(message LIKE '%' || ? || '%' OR instr(message, char(0)))"
    else:
        sql = "instr(message, ?)"
    return (sql, literal) if literal else None


def literal_of(pattern: str) -> str:
    """The longest run of characters outside groups and sets that cannot be left out.

    In any case, where the expression ignores it.
    """
    runs, run, depth, place = [], "", 0, 0
    while place < len(pattern):
        token = _token(pattern, place)
        place += len(token)
        if (token == "|" and not depth) or (token[0] == "\\" and token[1:] in [*_ARGUED]):
            return ""
        depth += (token == "(") - (token == ")")
        plain = _plain(token) if not depth and token != ")" else ""
        if plain and pattern[place : place + 1] not in (*_ONCE_OR_NEVER, "+"):
            run += plain
            continue
        if plain and pattern[place : place + 1] == "+":
            run += plain
        runs.append(run)
        run = ""
    return max([*runs, run], key=len)


def _token(pattern: str, place: int) -> str:
    """A character, an escape or a set."""
    first = pattern[place]
    if first == "\\":
        return pattern[place : place + 2]
    if first == "[":
        # A bracket that comes first is one of the set.
        end = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL).match(pattern, place)
        return end[0] if end else pattern[place:]
    if first == "{":
        end = re.compile(r"\{\d*,?\d*\}").match(pattern, place)
        return end[0] if end else first
    return first


def _plain(token: str) -> str:
    """The character that a token stands for; '' when it stands for something else."""
    if len(token) == 1:
        return "" if _SPECIAL.fullmatch(token) else token
    if token[0] == "\\" and len(token) == 2 and not token[1].isalnum():
        return token[1]
    return ""
