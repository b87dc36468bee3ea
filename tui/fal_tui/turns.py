"""One key after the other: each finds in place what the one before has done.

A key goes on a way: from the application to the widget that has the focus, from there upwards, and
only what nobody wants comes back to where the bindings are. A second one that sets out meanwhile
is on the way to a widget that the first is about to leave: typed fast, it reached the list behind
a dialog that was opening, or a dialog that was closing. So the next one is given out once

1. the one before has come back, and what it made widgets say to each other was heard,
2. the flow it started, or went on with, asks something or has ended, and
3. the screen that is on top now is there and has the focus where it wants it.

None of it may hang: what takes longer than its bound is waited for no more. A key that nothing
waits for is given out at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textual.app import App
    from textual.dom import DOMNode
    from textual.events import Key, Paste
    from textual.screen import Screen
    from textual.worker import Worker

BOUND = 1.0
"""Seconds that a key may hold up the ones behind it."""
START = 3.0
"""Seconds that keys wait for the application to have begun."""
URGENT = frozenset({"ctrl+q", "ctrl+c"})
"""Keys that do not wait for that, unless others are named."""
ROUNDS = 2
"""A widget answers a key by a message of its own, which comes after the key."""
FLOW = "flow"
"""Group of the workers that are waited for."""


class Turns:
    """`give` hands a key to Textual; all is called on the application's own task."""

    def __init__(self, app: App[Any], give: Callable[[Key | Paste], Awaitable[None]]) -> None:
        self._app = app
        self._give = give
        self._waiting: deque[Key | Paste] = deque()
        self._busy = True
        self._turn = 0
        """Number of the key that is out."""
        self._rounds = 0
        self._timer: asyncio.TimerHandle | None = None
        self._before: tuple[object, object] = (None, None)
        self._others: frozenset[Worker[Any]] = frozenset()
        """Flows that were under way before the key."""
        self.urgent = URGENT
        """Keys that do not wait for the beginning."""
        self._asked: dict[Worker[Any], Screen[Any]] = {}
        """Flow -> what it asked last."""

    def wait_for_begin(self) -> None:
        """Keys wait from now on, until `begin`."""
        self._set_bound(START)

    def begin(self) -> None:
        """The application can answer them."""
        self._app.call_later(self._end, 0)

    async def take(self, key: Key | Paste) -> None:
        """Give it out, now or in its turn."""
        if self._turn == 0 and getattr(key, "key", "") in self.urgent:
            await self._give(key)
            return
        self._waiting.append(key)
        if not self._busy:
            await self._next()

    def asks(self, flow: Worker[Any], screen: Screen[Any]) -> None:
        """The flow shows that screen and waits for its answer."""
        self._asked = {
            known: asked for known, asked in self._asked.items() if not known.is_finished
        }
        self._asked[flow] = screen
        self.look_again()

    def look_again(self) -> None:
        """A flow has asked or ended."""
        if self._busy and self._turn:
            self._app.call_later(self._come_round, self._turn)

    # One turn

    async def _next(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._busy = bool(self._waiting)
        if not self._busy:
            return
        key = self._waiting.popleft()
        self._turn += 1
        self._rounds = 0
        self._others = self._flows()
        self._before = self._place()
        self._set_bound(BOUND)
        way = self._way()
        await self._give(key)
        self._go_round(way, self._turn)

    def _set_bound(self, seconds: float) -> None:
        turn, loop = self._turn, asyncio.get_running_loop()
        # The timer's callback is no part of the application's task; the rest of a turn is.
        self._timer = loop.call_later(seconds, lambda: self._app.call_later(self._end, turn))

    async def _end(self, turn: int) -> None:
        if turn == self._turn and self._busy:
            await self._next()

    def _go_round(self, way: Sequence[DOMNode], turn: int) -> None:
        """The way of the key once more, behind it through every queue."""
        for place, node in enumerate(way):
            if node.call_later(self._go_round, way[place + 1 :], turn):
                return
        # None of them takes messages any more: what follows must not be run within another task.
        self._app.call_later(self._come_round, turn)

    async def _come_round(self, turn: int) -> None:
        if turn != self._turn or not self._busy or self._flows() - self._others:
            return
        before, self._before = self._before, self._place()
        self._rounds += 1
        if before[0] is not self._before[0]:
            # Another screen: it is asked after what it does on being mounted and shown.
            self._app.screen.call_after_refresh(self._go_round, self._way(), turn)
        elif before[1] is not self._before[1] or self._rounds < ROUNDS:
            self._go_round(self._way(), turn)
        else:
            await self._next()

    # Where things are

    def _place(self) -> tuple[object, object]:
        return self._app.screen, self._app.focused

    def _way(self) -> Sequence[DOMNode]:
        """Of a key, from the widget that it is given to up to the application."""
        return (self._app.focused or self._app.screen).ancestors_with_self

    def _flows(self) -> frozenset[Worker[Any]]:
        """Those that neither ask nor have ended."""
        stack = self._app.screen_stack
        return frozenset(
            each
            for each in self._app.workers
            if each.group == FLOW and not each.is_finished and self._asked.get(each) not in stack
        )
