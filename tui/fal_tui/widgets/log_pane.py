"""The logs of one thing, live: a title that says what is seen, the lines, and a line to type in.

It gets its entries from a client, which it is given by a callable because it may change, and goes
on by itself when the connection comes back. What is shown, and where, is the screen's matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from fal_serverless import errors
from fal_serverless.client import Client
from fal_serverless.models import Level, LogQuery
from fal_tui import naming
from fal_tui.bound import Bound
from fal_tui.logs import span
from fal_tui.logs.buffer import LIMIT, Gap, reconnected
from fal_tui.logs.filters import Filter, replaced, without
from fal_tui.logs.resume import DELAYS, Resume, delay
from fal_tui.logs.span import ALL, FORMS, HEAD, MINUTES, MOST, TAIL, Span
from fal_tui.naming import Names
from fal_tui.screens.ask import AskScreen
from fal_tui.screens.pick import Choice, PickScreen
from fal_tui.widgets import bindings
from fal_tui.widgets.log_lines import Held, LogLines
from fal_tui.widgets.log_sheet import NOTHING
from fal_tui.widgets.log_title import LogTitle
from fal_tui.widgets.log_view import LogView

Asking = Literal["search", "keep", "hide"]

LEVELS: tuple[Level | None, ...] = (None, "INFO", "WARNING", "ERROR")
"""What the least level goes through."""

FETCHING = "Fetching the lines that were written…"
NONE_THEN = "No lines from that time[: {log.span} shows others]"
"""Said while there is no line."""

BREATH = 40
"""Entries after which others get their turn when they come without a pause."""

_PROMPTS: dict[Asking, str] = {"search": "/", "keep": "&", "hide": "!"}
_HINTS: dict[Asking, str] = {
    "search": "search: text or regular expression[, {log.next_hit} and {log.previous_hit} go on]",
    "keep": "keep only lines with … (!x: without, -f x: fuzzy)",
    "hide": "hide lines with …",
}
_SPANS = {
    "tail": ("t", "tail", "the newest lines, and what comes", TAIL),
    **{
        span.last(minutes).chip: ("", span.last(minutes).chip, "and what comes", span.last(minutes))
        for minutes in MINUTES
    },
    "head": ("h", "head", "from the first line that is stored", HEAD),
    "all": ("a", "all", "as much as is kept here, and what comes", ALL),
}
"""Key, name, meaning of each part of a log that is offered."""
_FROM_TO = "from-to"
_FINAL = (errors.NotFound, errors.NotAllowed, errors.NotAuthenticated, errors.BadInput)
"""Trying again would not help."""


@dataclass(frozen=True)
class Course:
    """What is shown, and how far its tail has come."""

    query: LogQuery
    title: str
    span: Span
    resume: Resume
    held: Held | None = None
    """The lines, while something else is shown."""


class LogPane(Vertical):
    """`client` gives the client in use, or None while there is none; `keys` are those in force."""

    DEFAULT_CSS = """
    LogPane {
        height: 1fr;
        & LogTitle { height: 1; }
        & LogView { height: 1fr; }
        & Input { display: none; }
        & Input.asking { display: block; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings.LOG_PANE

    def __init__(
        self,
        client: Callable[[], Client | None],
        *,
        limit: int = LIMIT,
        folder: Path | None = None,
        delays: Sequence[float] = DELAYS,
        keys: Bound | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._client = client
        self._delays = delays
        self._asking: Asking = "search"
        self._sought_before = ""
        self._course: Course | None = None
        self._before: Course | None = None
        """Where one was when all of a request was asked for, to come back to."""
        self._said: Gap | None = None
        """That it was reconnected, as it was said last, …"""
        self._times = 0
        """… and how often without a line in between."""
        self._keys = keys or Bound.of(widgets=[bindings.LOG])
        self.view = LogView(limit, folder=folder, keys=self._keys)
        self.view.asks = True
        self._title = LogTitle(self.view)

    def compose(self) -> ComposeResult:
        yield self._title
        yield self.view
        yield Input(compact=True, id="ask")

    # What is shown

    def show(self, query: LogQuery, title: str) -> None:
        """Tail this from now on, in place of what was shown."""
        self._before = None
        self.view.labels = _is_wide(query)
        self._start(query, title or named(query, self.view.names), TAIL)

    def _start(self, query: LogQuery, title: str, part: Span) -> None:
        limit = self.view.buffer.limit
        resume = Resume(span.within(query, part, datetime.now(UTC), limit))
        self.view.clear()
        self.view.follow = self.view.counts_new = not part.from_top
        self._run(Course(query, title, part, resume))

    def _run(self, course: Course) -> None:
        """Go on where its tail has come to."""
        self._course = course
        self._said = None
        self.view.title = course.title
        self.view.empty = FETCHING
        back = self._keys.say("[{log.undo} ]back to ") + self._before.title if self._before else ""
        self._title.say(course.title, *filter(None, (course.span.chip, back)))
        self._title.connection("◐ connecting")
        self.run_worker(self._tail(course), group="tail", exclusive=True, exit_on_error=False)

    @on(LogView.Asked)
    def _show_asked(self, event: LogView.Asked) -> None:
        """All entries of a request (or the like) that the backend has; `escape` comes back."""
        event.stop()
        if self._course is None:
            return
        query = replace(event.query, lines=MOST)
        held = self.view.set_aside()
        if self._before is None:
            self._before = replace(self._course, held=held)
        self.view.labels = _is_wide(query)
        self._start(query, named(query, self.view.names), TAIL)

    def _come_back(self, before: Course) -> None:
        self._before = None
        self.view.labels = _is_wide(before.query)
        if before.held is not None:
            self.view.put_back(before.held)
        self._run(replace(before, held=None))

    def stop(self) -> None:
        """Close the connection; the lines stay."""
        self.workers.cancel_group(self, "tail")
        self.view.empty = ""
        self._title.connection("○ stopped")

    async def _tail(self, course: Course) -> None:
        attempt = 0
        lost: float | None = None
        while True:
            client: Client | None = None
            try:
                client = await self._reach()
                if lost is not None:
                    self._tell_reconnected(monotonic() - lost)
                    lost, attempt = None, 0
                ended = course.span.ended(datetime.now(UTC))
                self._title.connection("○ past" if ended else "", lost=False)
                if await self._read(client, course):
                    return
            except _FINAL as exc:
                self._end(exc)
                return
            except errors.FalError as exc:
                if client is not None and client is not self._client():
                    # not lost: it was replaced, and closed for that
                    continue
                self.view.empty = f"Not fetched: {exc.message}. Trying again…"
                lost = monotonic() if lost is None else lost
                await self._wait(delay(attempt, self._delays), exc)
                attempt += 1

    def _tell_reconnected(self, seconds: float) -> None:
        """One line, however often it happened."""
        gap = reconnected(seconds, self._times + 1)
        if self._said is not None and self.view.say_again(gap, self._said):
            self._times += 1
        else:
            gap, self._times = reconnected(seconds), 1
            self.view.write([gap])
        self._said = gap

    async def _reach(self) -> Client:
        """The client, when its backend answers."""
        client = self._client()
        if client is None:
            raise errors.Unreachable("no backend yet")
        await _answers(client)
        return client

    async def _read(self, client: Client, course: Course) -> bool:
        """Until no more is wanted (True). Raises Unreachable when the stream ends."""
        resume = course.resume
        # room is left for the line that says so, and for one about what was dropped
        limit = max(self.view.buffer.limit - 2, 1)
        count, past = 0, self._past(resume)
        self.view.empty = FETCHING

        def reached(place: int) -> None:
            resume.reached(place)
            self.view.empty = self._keys.say(NONE_THEN) if course.span.until else NOTHING

        async with aclosing(client.tail(resume.query(), reached=reached)) as entries:
            async for entry in entries:
                if resume.is_new(entry):
                    self.view.write([entry])
                count += 1
                if count == past:
                    more = self._keys.say("[: {log.span} goes further back]")
                    self.view.say_before(f"— the newest {past:,} lines{more} —")
                if course.span.head and resume.count >= limit:
                    self._fill_up(limit)
                    return True
                if count % BREATH == 0:
                    await client.breathe()
        raise errors.Unreachable("the log stream ended")

    def _past(self, resume: Resume) -> int:
        """Lines of the past that are asked for; 0: all from some entry on."""
        query = resume.query_first
        return 0 if query.after is not None or resume.count else query.lines

    def _fill_up(self, limit: int) -> None:
        more = self._keys.say("[: {log.span} shows others]")
        self.view.write([Gap(f"— the first {limit:,} lines{more} —")])
        self._title.connection("○ full", lost=False)

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
        line.placeholder = f"{_PROMPTS[asking]}  {self._keys.say(_HINTS[asking])}"
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
        """Another part of the same log, asked of the backend; what is filtered stays so."""
        if self._course is None:
            return
        choices = [Choice(id, name, means, key) for id, (key, name, means, _) in _SPANS.items()]
        choices.append(Choice(_FROM_TO, "from – to", "as 14:00 – 14:30, or 2h – 1h", "f"))
        chip = self._course.span.chip
        chosen = chip if chip in _SPANS else _FROM_TO if chip else "tail"
        self.app.push_screen(PickScreen("Time range", choices, chosen=chosen), self._span_chosen)

    def _span_chosen(self, id: str | None) -> None:
        if id == _FROM_TO:
            question = AskScreen("From – to", FORMS, check=_wrong_range)
            self.app.push_screen(question, self._range_typed)
        elif id is not None:
            self._show_part(_SPANS[id][3])

    def _range_typed(self, text: str | None) -> None:
        if text:
            self._show_part(span.parse(text, datetime.now(UTC)))

    def _show_part(self, part: Span) -> None:
        if self._course is not None:
            self._start(self._course.query, self._course.title, part)

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
        elif self.view.filters:
            self.view.set_filters(self.view.filters[:-1])
        elif self._before is not None:
            self._come_back(self._before)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """`escape` goes on to the screen when there is nothing to take back here."""
        if action != "undo" or not self.is_mounted:
            return True
        asking = self.query_one(Input).has_class("asking")
        narrowed = self.view.hits is not None or bool(self.view.filters)
        return asking or narrowed or self._before is not None

    @on(LogLines.Changed)
    def _view_changed(self, event: LogLines.Changed) -> None:
        self._title.refresh()
        self.refresh_bindings()


def _is_wide(query: LogQuery) -> bool:
    """Whether its lines may be of several endpoints, so that each says whose it is."""
    return not (query.label or query.revision)


def _wrong_range(text: str) -> str:
    try:
        span.parse(text, datetime.now(UTC))
    except errors.BadInput as exc:
        return exc.message
    return ""


def named(query: LogQuery, names: Names) -> str:
    """What a query shows, in a few words."""
    if query.request_id:
        return f"request {query.request_id[:13]}"
    if query.worker:
        return f"worker {query.worker}"
    return naming.title(query.label or query.revision, names) or "all endpoints"


async def _answers(client: Client) -> None:
    """Raises Unreachable while nobody answers; any other answer is one."""
    try:
        await client.status()
    except errors.Unreachable:
        raise
    except errors.FalError:
        return
