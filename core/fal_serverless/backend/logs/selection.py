"""Which entries are asked for: a query with its label resolved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from fal_serverless.errors import BadInput
from fal_serverless.models import LogQuery


@dataclass(frozen=True)
class Selection:
    """Whose entries, and of which revisions."""

    user: str
    query: LogQuery
    revisions: frozenset[str] | None = None
    """None: all."""


class Moves(Protocol):
    """What a tail asks for, which may become something else while it lasts."""

    def now(self) -> Selection:
        """Asked after every page; it must be cheap."""

    async def moved(self) -> None:
        """Returns when `now` may have another answer than when this was called."""


def check_search(text: str) -> None:
    """Raises BadInput when it is not a regular expression."""
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as exc:
        raise BadInput(f"search {text!r} is not a regular expression: {exc}") from exc
