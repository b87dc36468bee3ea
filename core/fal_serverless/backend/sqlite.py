"""What an error of SQLite's is about: the file, or the disk, or the question."""

from __future__ import annotations

import sqlite3

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def code_of(error: BaseException | None) -> int:
    """SQLite's primary result code; 0 for an error that is none of its."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF


def is_damage(error: BaseException | None) -> bool:
    """Whether it is the file's contents that is wrong."""
    return code_of(error) in _DAMAGE
