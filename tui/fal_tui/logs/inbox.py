"""What has arrived and is not shown yet. Pure; bounded, and what it cannot keep is counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fal_tui.logs.buffer import Item, dropped


class Inbox:
    """At most `limit` items; the oldest go first."""

    def __init__(self, limit: int) -> None:
        # One place is kept for the line that says how many went.
        self._most = max(limit - 1, 1)
        self._items: deque[Item] = deque()
        self._dropped = 0

    @property
    def count(self) -> int:
        """Items that came, those that went included."""
        return len(self._items) + self._dropped

    def put(self, items: Iterable[Item]) -> None:
        self._items.extend(items)
        over = len(self._items) - self._most
        for _ in range(over):
            self._items.popleft()
        self._dropped += max(over, 0)

    def replace_last(self, old: Item, new: Item) -> bool:
        """Whether `old` came last; then `new` did."""
        if not self._items or self._items[-1] is not old:
            return False
        self._items[-1] = new
        return True

    def take(self) -> list[Item]:
        """All of them, behind a gap for what went."""
        items = [dropped(self._dropped), *self._items] if self._dropped else list(self._items)
        self._items.clear()
        self._dropped = 0
        return items
