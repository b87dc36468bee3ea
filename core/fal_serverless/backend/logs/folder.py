"""What if the file cannot be opened, or is found to be damaged? Then there is another one.

A damaged file is set aside and a new one begun, as for one that somebody removed; where nothing
can be written, entries are kept in memory. In any case whoever runs the store is told in one line,
and everything goes on.
"""

from __future__ import annotations

import fcntl
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from fal_serverless.backend import sqlite
from fal_serverless.backend.logs.file import LogFile, OtherForm, unused

MEMORY_BYTES = 64 << 20
"""Of entries kept in memory."""
_BESIDE = ("", "-wal", "-shm")
"""Files that SQLite has for one database."""


class LogFolder:
    """Opened by one process, which is waited for: a killed backend's store writes to its end."""

    def __init__(
        self, path: Path, max_bytes: int, max_days: float, tell: Callable[[str], object]
    ) -> None:
        """`tell` is called with a line when something is not as it should be."""
        self._path = path
        self._bounds = (max_bytes, max_days)
        self._tell = tell
        self._lock: IO[str] | None = None

    def open(self, begin: int = 0) -> LogFile:
        """The file; one in memory when there is no other way. A new one's ids are above `begin`."""
        try:
            self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self._path / "logs.lock"
            was_here = lock.exists()
            self._lock = self._lock or lock.open("a")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            # Readers know ids of the file that was here, if somebody removed it.
            return self._opened(max(begin, unused()) if was_here or begin else 0)
        except (OSError, sqlite3.Error) as exc:
            return self._in_memory(exc)

    def replace(self, file: LogFile, why: sqlite3.Error) -> LogFile:
        """Another file in place of a damaged one, whose readers are closed."""
        file.close()
        if file.path is None:
            return self._in_memory(why)
        try:
            return self._begun_anew(why, file.last)
        except (OSError, sqlite3.Error) as exc:
            return self._in_memory(exc)

    def reopen(self, gone: LogFile) -> LogFile:
        """The file that is there now, or a new one, in place of one that was removed."""
        gone.close()
        self._tell(f"the log file was removed from {self._path}; a new one begins")
        # Another backend's store may have begun one by the same name.
        self.close()
        self._lock = None
        return self.open(gone.last)

    def close(self) -> None:
        if self._lock is not None:
            self._lock.close()

    @property
    def _file(self) -> Path:
        return self._path / "entries.db"

    def _opened(self, begin: int) -> LogFile:
        try:
            return LogFile(self._file, *self._bounds, begin=begin)
        except sqlite3.DatabaseError as exc:
            if not is_damage(exc):
                raise
            return self._begun_anew(exc, 0)

    def _begun_anew(self, why: sqlite3.Error, last: int) -> LogFile:
        now = time.strftime("%Y%m%d-%H%M%S")
        aside = next(
            path
            for number in range(1, 1000)
            if not (path := self._path / f"entries.db.unreadable-{now}-{number}").exists()
        )
        for suffix in _BESIDE:
            found = Path(f"{self._file}{suffix}")
            if found.exists():
                found.rename(f"{aside}{suffix}")
        made = LogFile(self._file, *self._bounds, begin=max(last, unused()))
        self._tell(
            f"the log file cannot be read ({why}); it is kept as {aside}, and a new one begins"
        )
        return made

    def _in_memory(self, why: Exception) -> LogFile:
        self._tell(
            f"no logs can be written in {self._path} ({why}): the last {MEMORY_BYTES >> 20} MB of"
            " them are kept in memory, until the backend is started again"
        )
        max_bytes, max_days = self._bounds
        return LogFile(None, min(max_bytes, MEMORY_BYTES), max_days, begin=unused())


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it is the file's contents that is wrong, not the disk or the question."""
    return isinstance(error, OtherForm) or sqlite.is_damage(error)
