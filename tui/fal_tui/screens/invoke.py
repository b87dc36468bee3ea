"""Call a function and read the answer, without leaving the terminal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static, TextArea
from textual.worker import Worker, WorkerState

from fal_serverless.client import Client
from fal_serverless.errors import FalError
from fal_serverless.models import Answer, LogQuery, Revision
from fal_tui import naming
from fal_tui.logs.printable import printable
from fal_tui.screens.answer import AnswerView
from fal_tui.screens.call import (
    METHODS,
    Call,
    History,
    Made,
    Problem,
    Recall,
    Told,
    address,
    as_curl,
    as_python,
    failure,
    first,
    fits,
    problem,
    signature,
    suffix,
    summary,
    timing,
)
from fal_tui.widgets.choice import Choice, Option
from fal_tui.widgets.clipboard import copy

ROOMY = 100
"""Columns from which on all keys are named."""
PATIENCE = 5.0
"""Seconds that the log line of a request is waited for."""


class InvokeScreen(ModalScreen[str | None]):
    """Calls `label`, an endpoint of `revision`; dismissed with a request id to show the logs of."""

    DEFAULT_CSS = """
    InvokeScreen {
        align: center middle;
        background: $background 60%;
        & > #box {
            width: 110; max-width: 94%; height: 92%;
            background: $surface; border: round $primary; border-title-color: $text-primary;
            border-title-style: bold; border-subtitle-color: $text-muted; padding: 0 1;
        }
        & #request { height: 1; }
        & #method { width: 14; }
        & #path { width: 1fr; }
        & #target, #status { text-wrap: nowrap; text-overflow: ellipsis; }
        & #target { width: 1fr; height: 1; color: $text-muted; }
        & TextArea {
            height: auto; min-height: 3; max-height: 45%; border: none; padding: 0;
            margin: 1 0 0 0; background: $panel; scrollbar-size: 1 1;
            &:focus { border: none; }
        }
        & #status { height: 1; margin-top: 1; color: $text-muted; }
        & #status.good { color: $text-success; }
        & #status.bad { color: $text-error; }
        & #timing {
            height: auto; min-height: 1; max-height: 2; margin-bottom: 1; color: $text-muted;
        }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", show=False),
        Binding("ctrl+j", "send", "Send", show=False, priority=True),
        Binding("ctrl+up", "recall(-1)", "Earlier call", show=False, priority=True),
        Binding("ctrl+down", "recall(1)", "Later call", show=False, priority=True),
        Binding("ctrl+s", "save", "Save the answer", show=False, priority=True),
        Binding("c", "copy_curl", "Copy as curl", show=False),
        Binding("C", "copy_python", "Copy as Python", show=False),
        Binding("y", "copy_answer", "Copy the answer", show=False),
        Binding("l", "logs", "Logs of this request", show=False),
        Binding("e,i", "edit", "Edit", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
        Binding("ctrl+d", "page(1)", show=False),
        Binding("ctrl+u", "page(-1)", show=False),
        Binding("g", "first_line", show=False),
        Binding("G", "last_line", show=False),
    ]

    def __init__(
        self,
        client: Client,
        label: str,
        revision: Revision,
        history: History | None = None,
        *,
        folder: Path | None = None,
        ready: Callable[[], Awaitable[Client]] | None = None,
        public: bool = False,
        ca: str = "",
        told: Told = lambda _: None,
    ) -> None:
        """`public`: it is called without a key. `told` hears of each call that was made.

        `ca`: file that vouches for the backend's certificate.
        """
        super().__init__()
        self._public = public
        self._ca = ca
        self._told = told
        self._client = client
        self._ready = ready
        """Gives the client of the moment, where it may have to be replaced."""
        self._label = label
        self._revision = revision
        self._history = history or History()
        self._folder = folder
        self._recall = Recall()
        self._view = AnswerView(id="answer")
        self._wrong = False
        """The status says what is wrong with what is written."""
        self._worker: Worker[None] | None = None
        self._since = 0.0

    def compose(self) -> ComposeResult:
        with Vertical(id="box") as box:
            called = naming.title(self._label, naming.names_in([self._revision]))
            box.border_title = Text(f"Invoke {printable(called)}")
            with Horizontal(id="request"):
                if self._exposed:
                    yield Choice([Option(name, name) for name in METHODS], id="method")
                    yield Input("/", placeholder="/path?query", compact=True, id="path")
                else:
                    target = f"POST {address(self._revision.url, self._revision, self._label)}"
                    yield Static(target, markup=False, id="target")
            yield TextArea(
                id="editor",
                tab_behavior="focus",
                show_line_numbers=False,
                highlight_cursor_line=False,
                placeholder="no body",
            )
            yield Static("", markup=False, id="status")
            yield Static("", markup=False, id="timing")
            yield self._view

    def on_mount(self) -> None:
        self.set_interval(0.1, self._tick)
        known = self._history.of(self._revision.function)
        last = known[-1] if known and fits(known[-1], self._revision) else None
        self._write(last or first(self._revision))
        self.query_one("#path" if self._exposed else "#editor").focus()
        self._say(signature(self._revision), "")
        self._tell_keys()

    @property
    def _exposed(self) -> bool:
        return self._revision.bundle.options.get("exposed_port") is not None

    @property
    def running(self) -> bool:
        return self._worker is not None and self._worker.is_running

    # The call

    def call(self) -> Call:
        """What is written."""
        body = self._editor.text.strip()
        if not self._exposed:
            return Call(body=body)
        path = self.query_one("#path", Input).value.strip()
        return Call(self._method.value, "/" + path.lstrip("/"), body)

    @property
    def _editor(self) -> TextArea:
        return self.query_one(TextArea)

    @property
    def _method(self) -> Choice[str]:
        return self.query_one("#method", Choice)

    def _write(self, call: Call) -> None:
        self._editor.text = call.body
        if self._exposed:
            self._method.choose(call.method)
            self.query_one("#path", Input).value = call.path

    def action_send(self) -> None:
        if self.running:
            return
        call = self.call()
        wrong = None if self._exposed or not call.body else problem(self._editor.text)
        if wrong is not None:
            self._point_at(wrong)
            return
        self._wrong = False
        self._history.add(self._revision.function, call)
        self._recall.forget()
        self._view.begin()
        self._since = monotonic()
        self.query_one("#timing", Static).update("")
        self._worker = self.run_worker(
            self._send(call), group="invoke", exclusive=True, exit_on_error=False
        )
        self._tick()
        self._tell_keys()

    def _point_at(self, wrong: Problem) -> None:
        """Say it, and put the cursor there."""
        self._say(f"✗ {wrong.says}", "bad")
        self._wrong = True
        self._editor.focus()
        self._editor.move_cursor((wrong.line, wrong.column))

    @on(TextArea.Changed)
    def _written(self) -> None:
        """What was wrong may be right now."""
        if self._wrong:
            self._wrong = False
            self._say(signature(self._revision), "")

    async def _send(self, call: Call) -> None:
        try:
            client = self._client if self._ready is None else await self._ready()
            asked = client.answering(
                self._label,
                call.body.encode(),
                method=call.method,
                path=call.path,
                headers=call.headers,
            )
            async with aclosing(asked) as parts:
                async for part in parts:
                    self._view.take(part)  # drawn with the next tick
        except FalError as exc:
            self._tell(call, exc.message)
            self._say(f"✗ {exc.message}{self._came()}", "bad")
            return
        except asyncio.CancelledError:
            self._tell(call, "cancelled")
            raise
        self._tell(call)
        self._show()
        request = self._request
        if request:
            self.run_worker(
                self._tell_timing(client, request),
                group="timing",
                exclusive=True,
                exit_on_error=False,
            )

    def _tell(self, call: Call, error: str = "") -> None:
        url = address(self._revision.path_url, self._revision, self._label)
        answer, seconds = self.answer, monotonic() - self._since
        status = answer.status if answer else None
        said = error or (failure(answer) if answer else "")
        self._told(Made(self._label, call, url, seconds, status, said))

    def _came(self) -> str:
        """What there is of an answer that broke off."""
        last = self._view.last
        if last is None:
            self._view.draw_none()
            return ""
        self._view.draw_live()
        return f" · {last.status}, {self._view.count:,} bytes came before"

    async def _tell_timing(self, client: Client, request: str) -> None:
        """How long it took in the backend, and the parts of a cold start: from the request's line.

        The log is written behind the answer, so it is waited for, though not for long.
        """
        query = LogQuery(request_id=request, sources=("request",), lines=1)
        with suppress(FalError, TimeoutError):
            async with asyncio.timeout(PATIENCE), aclosing(client.tail(query)) as lines:
                async for entry in lines:
                    if self._request == request:
                        self.query_one("#timing", Static).update(Text(timing(entry.message)))
                    return

    @property
    def answer(self) -> Answer | None:
        """All that has come."""
        return self._view.answer

    @property
    def _request(self) -> str:
        """The id of the one that is answered; '' before anything came."""
        return self._view.last.request_id if self._view.last else ""

    def _show(self) -> None:
        answer = self.answer
        if answer is None:
            return
        self._say(summary(answer), "good" if answer.status < 400 else "bad")
        self._view.draw(answer)
        self._view.focus()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker is not self._worker:
            return
        if event.state is WorkerState.ERROR:
            self._say(f"✗ the call broke off: {event.worker.error!r}{self._came()}", "bad")
        elif event.state is WorkerState.CANCELLED:
            self._say(f"✗ cancelled after {monotonic() - self._since:.1f} s{self._came()}", "bad")
        self._tell_keys()

    def _tick(self) -> None:
        if not self.running:
            return
        took = f"{monotonic() - self._since:.1f} s"
        last = self._view.last
        if last is None:
            self._say(f"◐ waiting for the answer {took}", "")
        else:
            size = f"{self._view.count:,} bytes so far"
            self._say(f"◐ {last.status} · {size} · {took}", "")
            self._view.draw_live()

    def _say(self, text: str, state: str) -> None:
        line = self.query_one("#status", Static)
        line.set_classes(state)
        line.update(Text(printable(text)))

    def on_descendant_focus(self) -> None:
        self._tell_keys()

    def _tell_keys(self) -> None:
        keys = "ctrl+j send · ctrl+↑ earlier · tab other field · esc close"
        if self.running:
            keys = "esc cancel"
        elif self.focused is self._view:
            save = " · ctrl+s save" if self.size.width >= ROOMY else ""
            keys = f"ctrl+j send · e edit · c curl · C Python · y copy{save} · l logs · esc"
        self.query_one("#box").border_subtitle = Text(keys)

    # Keys

    def action_leave(self) -> None:
        if self.running and self._worker is not None:
            self._worker.cancel()
        else:
            self.dismiss(None)

    def action_recall(self, steps: int) -> None:
        """Through the calls that were made; below the last one is what was being written."""
        known = self._history.of(self._revision.function)
        found = self._recall.step(steps, known, self.call())
        if found is not None:
            self._write(found)

    def action_edit(self) -> None:
        self._editor.focus()

    def action_scroll(self, steps: int) -> None:
        self._view.scroll_relative(y=steps, animate=False)

    def action_page(self, steps: int) -> None:
        self._view.scroll_half(steps)

    def action_first_line(self) -> None:
        self._view.scroll_home(animate=False)

    def action_last_line(self) -> None:
        self._view.scroll_end(animate=False)

    def action_copy_curl(self) -> None:
        text = self._as(as_curl)
        self._copy(text, "as curl")

    def action_copy_python(self) -> None:
        text = self._as(as_python)
        self._copy(text, "as Python")

    def _as(self, write: Callable[..., str]) -> str:
        """The call for another program."""
        return write(self.call(), self._revision, self._label, public=self._public, ca=self._ca)

    def action_copy_answer(self) -> None:
        answer = self.answer
        if answer is None:
            return
        try:
            text = answer.body.decode()
        except UnicodeDecodeError:
            self.notify("The answer is no text: ctrl+s saves it", severity="warning")
            return
        self._copy(text, "the answer")

    def _copy(self, text: str, what: str) -> None:
        self.notify(f"{copy(self.app, text)}: {what}", timeout=3, markup=False)

    def action_save(self) -> None:
        """The answer's body as it came, to a new file."""
        answer = self.answer
        if answer is None:
            return
        name = f"{self._label}-{datetime.now():%Y%m%d-%H%M%S}{suffix(answer)}"
        path = (self._folder or Path.cwd()) / name
        try:
            path.write_bytes(answer.body)
        except OSError as exc:
            self.notify(f"Cannot write {path}: {exc.strerror}", severity="error", markup=False)
            return
        self.notify(f"Saved {len(answer.body):,} bytes to {path}", markup=False)

    def action_logs(self) -> None:
        if self._request:
            self.dismiss(self._request)

    @on(Input.Submitted)
    @on(Choice.Accepted)
    def _accepted(self) -> None:
        self.action_send()
