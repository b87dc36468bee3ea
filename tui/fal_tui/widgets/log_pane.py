"""The logs of one thing, live: a title that says what is seen, the lines, and a line to type in.

It gets its entries from a client, which it is given by a callable because it may change, and goes
on by itself when the connection comes back. What is shown, and where, is the screen's matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from fal_serverless import errors
from fal_serverless.client import Client
from fal_serverless.models import Level, LogQuery
from fal_tui.logs import span
from fal_tui.logs.buffer import LIMIT, Gap, reconnected
from fal_tui.logs.filters import Filter, replaced, without
from fal_tui.logs.resume import DELAYS, Resume, delay
from fal_tui.logs.span import SPANS
from fal_tui.widgets.log_lines import LogLines
from fal_tui.widgets.log_title import LogTitle
from fal_tui.widgets.log_view import LogView

Asking = Literal["search", "keep", "hide"]

LEVELS: tuple[Level | None, ...] = (None, "INFO", "WARNING", "ERROR")
"""What the least level goes through."""

BREATH = 200
"""Entries after which others get their turn when they come without a pause."""

_PROMPTS: dict[Asking, str] = {"search": "/", "keep": "&", "hide": "!"}
_HINTS: dict[Asking, str] = {
    "search": "search: text or regular expression, n and N go on",
    "keep": "keep only lines with … (!x: without, -f x: fuzzy)",
    "hide": "hide lines with …",
}
_FINAL = (errors.NotFound, errors.NotAllowed, errors.NotAuthenticated, errors.BadInput)
"""Trying again would not help."""


class LogPane(Vertical):
    """`client` gives the client in use, or None while there is none."""

    DEFAULT_CSS = """
    LogPane {
        height: 1fr;
        & LogTitle { height: 1; }
        & LogView { height: 1fr; }
        & Input { display: none; }
        & Input.asking { display: block; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("/", "ask('search')", "Search"),
        Binding("&", "ask('keep')", "Keep only"),
        Binding("!", "ask('hide')", "Hide"),
        Binding("v", "least_level", "Level"),
        Binding("a", "all_sources", "Sources", show=False),
        Binding("T", "span", "Time range", show=False),
        Binding("escape", "undo", "Take back", show=False),
    ]

    def __init__(
        self,
        client: Callable[[], Client | None],
        *,
        limit: int = LIMIT,
        folder: Path | None = None,
        delays: Sequence[float] = DELAYS,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._client = client
        self._delays = delays
        self._asking: Asking = "search"
        self._sought_before = ""
        self.query_shown: LogQuery | None = None
        """What `show` was given; None: nothing yet."""
        self._span = SPANS[0]
        self.view = LogView(limit, folder=folder)
        self._title = LogTitle(self.view)

    def compose(self) -> ComposeResult:
        yield self._title
        yield self.view
        yield Input(compact=True, id="ask")

    # What is shown

    def show(self, query: LogQuery, title: str) -> None:
        """Tail this from now on, in place of what was shown."""
        self.query_shown, self._span = query, SPANS[0]
        self.view.title = title or named(query)
        self.view.labels = not (query.label or query.revision or query.request_id)
        self._start(query)

    def _start(self, query: LogQuery) -> None:
        self.view.clear()
        self._title.say(self.view.title, self._span.chip)
        self._title.connection("◐ connecting")
        self.run_worker(self._tail(query), group="tail", exclusive=True, exit_on_error=False)

    def stop(self) -> None:
        """Close the connection; the lines stay."""
        self.workers.cancel_group(self, "tail")
        self._title.connection("○ stopped")

    async def _tail(self, query: LogQuery) -> None:
        resume, attempt = Resume(query), 0
        lost: float | None = None
        while True:
            try:
                client = await self._reach(lost)
                if lost is not None:
                    self.view.write([reconnected(monotonic() - lost)])
                    lost, attempt = None, 0
                self._title.connection("")
                await self._read(client, resume)
            except _FINAL as exc:
                self._end(exc)
                return
            except errors.FalError as exc:
                lost = monotonic() if lost is None else lost
                await self._wait(delay(attempt, self._delays), exc)
                attempt += 1

    async def _reach(self, lost: float | None) -> Client:
        """The client; after a loss only when its backend answers again."""
        client = self._client()
        if client is None:
            raise errors.Unreachable("no backend yet")
        if lost is not None:
            await _answers(client)
        return client

    async def _read(self, client: Client, resume: Resume) -> None:
        count = 0
        async with aclosing(client.tail(resume.query())) as entries:
            async for entry in entries:
                if resume.is_new(entry):
                    self.view.write([entry])
                count += 1
                if count % BREATH == 0:
                    await asyncio.sleep(0)
        raise errors.Unreachable("the log stream ended")

    async def _wait(self, seconds: float, why: errors.FalError) -> None:
        """Count down where the reader sees it."""
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0:
            self._title.connection(f"◐ retrying in {max(round(left), 1)} s")
            await asyncio.sleep(min(left, 1))
        self._title.connection("◐ retrying")

    def _end(self, why: errors.FalError) -> None:
        self.view.write([Gap(f"— {why.message} —")])
        self._title.connection("○ stopped")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker.group == "tail" and event.state is WorkerState.ERROR:
            self.view.write([Gap(f"— reading the logs failed: {event.worker.error!r} —")])
            self._title.connection("○ stopped")

    # What is asked for

    def action_ask(self, asking: Asking) -> None:
        self._asking, self._sought_before = asking, self.view.sought
        line = self.query_one(Input)
        line.placeholder = f"{_PROMPTS[asking]}  {_HINTS[asking]}"
        line.value = self.view.sought if asking == "search" else ""
        line.add_class("asking")
        line.focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._asking == "search" and event.input.has_class("asking"):
            self.view.highlight(event.value)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        value = event.value.strip()
        self._stop_asking()
        if self._asking == "search":
            self.view.search(value)
        elif value:
            self.view.set_filters(replaced(self.view.filters, Filter(self._asking, value)))

    def _stop_asking(self) -> None:
        line = self.query_one(Input)
        line.remove_class("asking")
        self.view.focus()

    def action_least_level(self) -> None:
        """Nothing hidden, then INFO, WARNING and ERROR and above."""
        now = next((one.value for one in self.view.filters if one.kind == "level"), None)
        place = next(i for i, level in enumerate(LEVELS) if level == now)
        level = LEVELS[(place + 1) % len(LEVELS)]
        self._set_single(None if level is None else Filter("level", level), "level")

    def action_all_sources(self) -> None:
        """Only what the function itself wrote, or everything."""
        some = any(one.kind == "sources" for one in self.view.filters)
        self._set_single(None if some else Filter("sources", "user"), "sources")

    def action_span(self) -> None:
        """How far back it goes: as at first, 1 to 60 minutes, all; what is filtered stays so."""
        if self.query_shown is not None:
            self._span = span.following(self._span)
            limit = self.view.buffer.limit
            self._start(span.within(self.query_shown, self._span, datetime.now(UTC), limit))

    def _set_single(self, new: Filter | None, kind: Literal["level", "sources"]) -> None:
        rest = without(self.view.filters, kind)
        self.view.set_filters(rest if new is None else replaced(rest, new))

    def action_undo(self) -> None:
        """Leave the line that is typed, end the search, or take the last filter away."""
        line = self.query_one(Input)
        if line.has_class("asking"):
            self._stop_asking()
            self.view.highlight(self._sought_before)
        elif self.view.hits is not None:
            self.view.search("")
        else:
            self.view.set_filters(self.view.filters[:-1])

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`escape` goes on to the screen when there is nothing to take back here."""
        if action != "undo" or not self.is_mounted:
            return True
        asking = self.query_one(Input).has_class("asking")
        return asking or self.view.hits is not None or bool(self.view.filters)

    @on(LogLines.Changed)
    def _view_changed(self, event: LogLines.Changed) -> None:
        self._title.refresh()
        self.refresh_bindings()


def named(query: LogQuery) -> str:
    """What a query shows, in a few words."""
    if query.request_id:
        return f"request {query.request_id[:13]}"
    if query.worker:
        return f"worker {query.worker}"
    return query.label or query.revision[:8] or "all endpoints"


async def _answers(client: Client) -> None:
    """Raises Unreachable while nobody answers; any other answer is one."""
    try:
        await client.status()
    except errors.Unreachable:
        raise
    except errors.FalError:
        return
