"""The ground that all flows stand on: asking, changing, reporting.

A change is timed, written into Activity with its command line, and answered by a toast; an error
becomes a toast too and goes no further.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from rich.text import Text

from fal_serverless.config import Config, Context
from fal_serverless.errors import FalError
from fal_tui import naming, render, safe
from fal_tui.bound import Bound
from fal_tui.link import Link
from fal_tui.messages import StoreChanged
from fal_tui.palette import Palette
from fal_tui.remembered import Remembered
from fal_tui.screens.confirm import ConfirmScreen
from fal_tui.store import Deed, Store, Topic
from fal_tui.undo import Undo

if TYPE_CHECKING:
    from textual.app import App
    from textual.screen import Screen
    from textual.widget import Widget

    from fal_serverless.client import Client

T = TypeVar("T")

NOTICED = 0.7
"""Seconds after which a wait is explained."""


class Host:
    """One application, its store and its way to the backend."""

    def __init__(
        self,
        app: App[Any],
        main: Widget,
        store: Store,
        link: Link,
        config: Config,
        context: Context,
        keys: Bound,
    ) -> None:
        self.app = app
        self.main = main
        """Where it is drawn; told when the store changes."""
        self.store = store
        self.link = link
        self.config = config
        self.context = context
        self.keys = keys
        """Those in force, for what is said."""
        self.undo = Undo()
        self.called = Remembered(config.paths.cache / "calls.json", context.name)
        self.palette = Palette()
        self.changed = False
        """Something, since `catch_up`."""
        self.throw_away = False
        """The backend ends with the application anyway."""

    def title(self, label: str) -> str:
        """How an endpoint is called, in a sentence."""
        return naming.title(label, self.store.names)

    async def ask(self, screen: Screen[T]) -> T | None:
        """Show a question and wait; only from within a worker."""
        return await self.app.push_screen_wait(screen)

    async def confirm(self, heading: str, body: Text, *, verb: str, command: str = "") -> bool:
        typed = self.context.name if self.context.protected else ""
        screen = ConfirmScreen(heading, body, verb=verb, command=command, typed=typed)
        answer: bool | None = await self.ask(screen)
        return bool(answer)

    async def allowed(self, heading: str, what: str, command: str) -> bool:
        """For changes that need no question of their own: asks in a protected context only."""
        if not self.context.protected:
            return True
        return await self.confirm(heading, Text(what), verb="Apply", command=command)

    async def change(
        self,
        what: str,
        command: str,
        act: Callable[[Client], Awaitable[T]],
        *,
        undoes: bool = False,
        waits: str = "",
        quiet: bool = False,
    ) -> tuple[T] | None:
        """Do it, say so; the answer in a tuple, or None when it failed.

        `waits` is said when it takes long: what is waited for. With `quiet` the caller shows it.
        """
        started = time.perf_counter()
        try:
            with self._patient(waits):
                answer = await self.current(act)
        except FalError as error:
            self.done(what, command, time.perf_counter() - started, str(error))
            self.complain(str(error), title=f"Failed: {what}")
            return None
        seconds = time.perf_counter() - started
        self.done(what, command, seconds)
        if not quiet:
            hint = self.keys.say("[\n{undo} undoes]") if undoes else ""
            self.say(f"{what} in {render.took(seconds)}{hint}")
        self.link.wake()
        self.changed = True
        return (answer,)

    async def catch_up(self) -> None:
        """After a change: what is shown is what there is now, before the next key comes to it."""
        if self.changed:
            self.changed = False
            await self.link.renewed()

    @contextmanager
    def _patient(self, waits: str) -> Iterator[None]:
        """Says what is waited for, once it is noticed that somebody waits."""
        telling = self.app.set_timer(NOTICED, lambda: self.say(waits)) if waits else None
        try:
            yield
        finally:
            if telling is not None:
                telling.stop()

    def done(self, what: str, command: str, seconds: float, error: str = "") -> None:
        """Write it into Activity."""
        name = f"deed-{len(self.store.deeds) + 1}"
        self.store.add(Deed(name, datetime.now(UTC), what, command, seconds, error))
        self.redraw()

    def redraw(self, *topics: Topic) -> None:
        """The store was changed from here."""
        self.main.post_message(StoreChanged(frozenset(topics)))

    def say(self, text: str) -> None:
        self.app.notify(safe.lines(text), markup=False)

    def complain(self, text: str, *, title: str = "") -> None:
        self.app.notify(
            safe.lines(text), title=safe.lines(title), severity="error", timeout=10, markup=False
        )

    def warn(self, text: str) -> None:
        self.app.notify(safe.lines(text), severity="warning", markup=False)

    async def current(self, ask: Callable[[Client], Awaitable[T]]) -> T:
        """Ask the backend as it is now. Raises FalError."""
        return await ask(await self.link.ready())

    async def fetch(self, topic: Topic, ask: Callable[[Client], Awaitable[T]]) -> T:
        """Ask now and keep the answer. Raises FalError."""
        answer = await self.current(ask)
        if self.store.put(topic, answer):
            self.redraw(topic)
        return answer
