"""From a file to a live revision: pick the file, the function, the alias; watch it being served.

Three pages in one box. `esc` goes one back, and cancels what runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.widgets import ContentSwitcher, Input
from textual.worker import Worker

from fal_serverless.client import Client
from fal_serverless.config import Config
from fal_serverless.errors import FalError, LoadFailed, NotPicklable, PythonMismatch
from fal_serverless.models import LogQuery, Served
from fal_serverless.source import Saves, scan
from fal_tui.screens.call import History, Made
from fal_tui.screens.dialog import Dialog
from fal_tui.screens.serve_form import ServeForm, ServeOrder
from fal_tui.screens.serve_run import Ready, ServeRun
from fal_tui.widgets.clipboard import copy
from fal_tui.widgets.file_picker import FilePicker

Page = Literal["pick", "form", "run"]

ROOMY = 23
"""Rows from which on each page has all of its height."""


@dataclass(frozen=True)
class Ended:
    """One serve, with what came of it: either of the last two."""

    order: ServeOrder
    served: Served | None
    error: FalError | None


class ServeScreen(Dialog[Served]):
    """Dismissed with what was served, or None.

    With `path` it starts at the functions of that file. Afterwards `path` is the file that was
    served, and `logs_wanted` says which logs the reader asked to see next. `ready` gives the
    client of the moment, for callers that may have to replace it.
    """

    DEFAULT_CSS = """
    ServeScreen {
        & > #box { max-height: 92%; }
        & ContentSwitcher { height: auto; }
        & > #box.run { height: 92%; }
        & > #box.run ContentSwitcher { height: 1fr; }
        & > #box.run ServeRun { height: 1fr; }
        & > #box.short {
            & FilePicker Grid { height: 6; }
            & ServeForm Grid { max-height: 4; }
            & ServeForm #about { display: none; }
            & ServeForm #said { margin-top: 0; }
            & ServeRun LogView { min-height: 1; margin: 0; }
            & ServeRun #outcome { max-height: 4; }
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False),
        Binding("enter", "accept", "Close", show=False, priority=True),
        Binding("r", "retry", "Retry", show=False),
        Binding("f", "from_source", "Retry from source", show=False),
        Binding("i", "invoke", "Invoke", show=False),
        Binding("l", "logs", "Logs", show=False),
        Binding("c", "copy_error", "Copy the error", show=False, priority=True),
        Binding("ctrl+c", "copy_problem", "Copy what is wrong", show=False, priority=True),
        Binding("w", "watch", "Serve on each save", show=False, priority=True),
    ]

    def __init__(
        self,
        client: Client,
        config: Config,
        path: Path | None = None,
        recents: Sequence[Path] = (),
        *,
        base: Path | None = None,
        ready: Ready | None = None,
        history: History | None = None,
        told: Callable[[Ended | Made], None] = lambda _: None,
    ) -> None:
        """`told` hears at once of each serve that ended and each call that was made."""
        super().__init__()
        self._told = told
        self.path = path
        self.logs_wanted: LogQuery | None = None
        """What to tail after it is closed; None: nothing was asked for."""
        self.ended: list[Ended] = []
        """All serves of this screen, those that failed too; one that was cancelled is none."""
        self._client = client
        self._ready = ready
        self._history = history or History()
        """Of calls, for `i`."""
        self._last: Served | None = None
        """The last serve of this screen that went well."""
        self._watching: Worker[None] | None = None
        self._config = config
        self._given = path
        self._recents = tuple(recents)
        self._base = base or Path.cwd()

    def compose(self) -> ComposeResult:
        with Vertical(id="box"), ContentSwitcher(initial="pick"):
            yield FilePicker(self._base, self._recents, id="pick")
            yield ServeForm(id="form")
            yield ServeRun(self._current, self._config, id="run")

    async def _current(self) -> Client:
        """The client; another one when the connection was lost meanwhile."""
        if self._ready is not None:
            self._client = await self._ready()
        return self._client

    def on_resize(self, event: Resize) -> None:
        self.query_one("#box").set_class(event.size.height < ROOMY, "short")

    def on_mount(self) -> None:
        self.run_worker(self._ask_backend(), group="known", exit_on_error=False)
        if self._given is None:
            self._turn_to("pick")
        else:
            self._open(self._given)

    async def _ask_backend(self) -> None:
        """What the form suggests from; without an answer it suggests less."""
        try:
            functions, aliases, status = await asyncio.gather(
                self._client.functions(), self._client.aliases(), self._client.status()
            )
        except FalError as exc:
            text = f"No suggestions: {exc.message}"
            self.notify(text, severity="warning", markup=False)
            self._form.know_nothing_more()
            return
        self._form.know(functions, aliases, status)

    # Pages

    @property
    def _picker(self) -> FilePicker:
        return self.query_one(FilePicker)

    @property
    def _form(self) -> ServeForm:
        return self.query_one(ServeForm)

    @property
    def _run(self) -> ServeRun:
        return self.query_one(ServeRun)

    @property
    def page(self) -> Page:
        """Which of the pages is shown."""
        shown = self.query_one(ContentSwitcher).current
        return "form" if shown == "form" else "run" if shown == "run" else "pick"

    def _turn_to(self, page: Page) -> None:
        self.query_one(ContentSwitcher).current = page
        self.query_one("#box").set_class(page == "run", "run")
        if page == "pick":
            self._picker.start()
        elif page == "form":
            self._form.start()
        self._title()

    def _title(self) -> None:
        box, name = self.query_one("#box"), self.path.name if self.path else ""
        order = self._run.order
        titles: dict[Page, str] = {
            "pick": "Serve: which file?",
            "form": f"Serve a function of {name}",
            "run": f"Serve {order.name if order else ''} of {name}{self._watched()}",
        }
        box.border_title = Text(titles[self.page])
        box.border_subtitle = Text(self._keys())

    def _keys(self) -> str:
        if self.page == "pick":
            more = " · ctrl+c copy" if self._picker.said else ""
            return f"↑↓ choose · tab complete · enter open{more} · esc close"
        if self.page == "form":
            esc = "another file" if self._given is None else "close"
            return f"{self._form.keys()} · esc {esc}"
        watch = "w stop watching" if self._watching else "w serve on each save"
        if self._run.running:
            return f"{watch} · esc cancel"
        if self._run.served is not None:
            return f"i invoke · l logs · {watch} · enter close"
        more = " · f from source" if self._may_read_source() else ""
        watch = "w stop watching" if self._watching else "w on each save"
        return f"r retry{more} · c copy · {watch} · esc change"

    def on_descendant_focus(self) -> None:
        """Keys mean other things in other fields."""
        if self.page == "form":
            self._title()

    def _watched(self) -> str:
        return " on each save" if self._watching else ""

    def _open(self, path: Path) -> None:
        """Look into a file; what is wrong with it is said where it was picked."""
        try:
            found = scan(path)
        except FalError as exc:
            self._turn_to("pick")
            self._picker.problem(exc.message, path)
            self._title()
            return
        self.path = path.absolute()
        self._picker.problem("")
        self._form.open(self.path, found)
        self._turn_to("form")

    @on(FilePicker.Picked)
    def _picked(self, event: FilePicker.Picked) -> None:
        event.stop()
        self._open(event.path)

    @on(FilePicker.Told)
    def _told_of_file(self, event: FilePicker.Told) -> None:
        event.stop()
        self._title()

    @on(ServeForm.Wanted)
    def _wanted(self, event: ServeForm.Wanted) -> None:
        event.stop()
        self._start(event.order)

    def _start(self, order: ServeOrder, why: str = "") -> None:
        self._turn_to("run")
        self._run.start(order, why)
        self._title()

    @on(ServeRun.Ended)
    def _ended(self, event: ServeRun.Ended) -> None:
        event.stop()
        self._last = event.served or self._last
        if self._run.order is not None:
            self.ended.append(Ended(self._run.order, event.served, event.error))
            self._told(self.ended[-1])
        self._title()
        self.refresh_bindings()

    # Keys

    def action_back(self) -> None:
        if self.page == "run" and self._run.served is not None:
            self.dismiss(self._last)
        elif self.page == "run":
            self._stop_watching()
            if self._run.running and self._run.publishing:
                self.notify("It is being published: too late to cancel", markup=False)
                return
            if self._run.running and self._run.order is not None:
                self.run_worker(self._cancel(self._run.order), group="cancel", exit_on_error=False)
            self._turn_to("form")
        elif self.page == "form" and self._given is None:
            self._turn_to("pick")
        else:
            self.dismiss(self._last)

    async def _cancel(self, order: ServeOrder) -> None:
        """Give the serve up, and say what the backend says of it: it may just have been done."""
        before = self._form.revision_of(order.alias)
        await self._run.cancel()
        try:
            now = {each.name: each.revision for each in await (await self._current()).aliases()}
        except FalError:
            now = {}
        after = now.get(order.alias or "", before)
        if after != before:
            said = f"It was published already: {order.alias} points at {(after or '')[:8]}"
            self.app.notify(said, severity="warning", markup=False)
        else:
            self.app.notify("Cancelled: nothing was changed", markup=False)

    def action_copy_error(self) -> None:
        """With the build log: what one would send to somebody who is to help."""
        self.notify(copy(self.app, self._run.report()), timeout=3, markup=False)

    def action_copy_problem(self) -> None:
        self.notify(copy(self.app, self._problem()), timeout=3, markup=False)

    def _problem(self) -> str:
        """What is wrong with the file, or with what is written in the form; '' for nothing."""
        if self.page == "pick":
            return self._picker.said
        return self._form.problem() if self.page == "form" else ""

    def action_accept(self) -> None:
        self.dismiss(self._last)

    def action_watch(self) -> None:
        """Serve again whenever the file, or a module it reaches, is saved; again stops it."""
        order = self._run.order
        if self._watching is not None:
            self._stop_watching()
        elif order is not None:
            self._watching = self.run_worker(
                self._watch(order), group="watch", exclusive=True, exit_on_error=False
            )
        self._title()

    def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    async def _watch(self, order: ServeOrder) -> None:
        saves = Saves(order.path)
        while True:
            changed = await saves.next()
            self._start(order, f"saved at {datetime.now():%H:%M:%S}: {', '.join(changed)}")

    def action_retry(self) -> None:
        if self._run.order is not None:
            self._start(self._run.order)

    def action_from_source(self) -> None:
        """For a file that cannot be imported here: the worker imports it."""
        if self._run.order is not None:
            self._start(self._run.order.read_from_source())

    def action_invoke(self) -> None:
        from fal_tui.screens.invoke import InvokeScreen

        served = self._run.served
        if served is not None:
            endpoint = served.alias or served.revision
            screen = InvokeScreen(
                self._client,
                served.alias.name if served.alias else served.revision.id,
                served.revision,
                self._history,
                ready=self._ready,
                public=endpoint.auth == "public",
                told=self._told,
            )
            self.app.push_screen(screen, self._request_wanted)

    def action_logs(self) -> None:
        served = self._run.served
        if served is not None:
            label = served.alias.name if served.alias else served.revision.id
            self.logs_wanted = LogQuery(label=label)
            self.dismiss(served)

    def _request_wanted(self, request_id: str | None) -> None:
        if request_id:
            self.logs_wanted = LogQuery(request_id=request_id)
            self.dismiss(self._last)

    def _may_read_source(self) -> bool:
        """Whether the file may load in a worker though it does not here."""
        order, error = self._run.order, self._run.error
        failed = isinstance(error, LoadFailed | NotPicklable | PythonMismatch)
        if not failed or order is None or order.from_source:
            return False
        return not (error and error.data.get("syntax"))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that mean something only when a serve has ended."""
        if action in ("accept", "invoke", "logs"):
            return self.is_mounted and self._run.served is not None and self.page == "run"
        if action == "retry":
            return self.is_mounted and self.page == "run" and self._run.error is not None
        if action == "copy_error":
            return self.is_mounted and self.page == "run" and self._run.error is not None
        if action == "copy_problem":
            written = self.focused.selected_text if isinstance(self.focused, Input) else ""
            return self.is_mounted and not written and bool(self._problem())
        if action == "watch":
            return self.is_mounted and self.page == "run"
        if action == "from_source":
            return self.is_mounted and self.page == "run" and self._may_read_source()
        return True
