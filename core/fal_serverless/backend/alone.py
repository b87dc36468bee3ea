"""One at a time: a state folder has one backend, and nobody puts back a backup meanwhile."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fal_serverless.config import using_state
from fal_serverless.errors import Conflict

LOCK = "backend.lock"


@contextmanager
def only_one(state: Path) -> Iterator[IO[str]]:
    """Two backends on one state folder would each overwrite what the other knows.

    Raises Conflict, StateFailed.
    """
    with using_state(state):
        opened = (state / LOCK).open("a")
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Conflict(
                f"a backend runs on {state} already; stop it first: fal-serverless backend stop"
            ) from exc
        yield lock
