"""One serve under the reader's eyes: its phases, its build log, and what came of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from time import monotonic

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, WorkerCancelled, WorkerFailed, WorkerState

from fal_serverless.client import Client
from fal_serverless.config import Config
from fal_serverless.errors import FalError
from fal_serverless.models import LogEntry, Served, ServeEvent
from fal_serverless.source import bundle
from fal_tui.bound import UNTOLD
from fal_tui.screens.serve_form import ServeOrder
from fal_tui.widgets.log_view import LogView
from fal_tui.widgets.phases import Phases, Progress

GROUP = "serve"
COMING = "The build log appears here"

Ready = Callable[[], Awaitable[Client]]
"""Gives a client whose backend answers; raises Unreachable when there is none."""


async def serving(
    ready: Ready, config: Config, order: ServeOrder, log: LogView
) -> AsyncGenerator[ServeEvent, None]:
    """Bundle the file, then serve the bundle; what the file prints goes to the log."""

    def printed(line: str) -> None:
        log.write([LogEntry(0, datetime.now(UTC), "STDOUT", "user", line, "")])

    yield ServeEvent("phase", "bundle", f"{order.name} of {order.path.name}")
    data = await bundle(
        order.path, order.name, from_source=order.from_source, config=config, log=printed
    )
    yield ServeEvent("phase", "upload", f"{len(data) / 1024:.1f} KiB")
    client = await ready()
    sent = client.serve(data, alias=order.alias, auth=order.auth, message=order.message)
    async with aclosing(sent) as events:
        async for event in events:
            yield event


class ServeRun(Vertical):
    """`start` runs an order; `cancel` ends it and leaves everything as it was.

    What is live under the order's alias from a run before is said of a run that fails.
    """

    DEFAULT_CSS = """
    ServeRun {
        height: auto;
        & LogView { height: 1fr; min-height: 3; margin: 1 0; }
        & #outcome { height: auto; max-height: 8; overflow-y: auto; }
        & #outcome.failed { color: $text-error; }
        & #outcome.done { color: $text-success; }
    }
    """

    class Ended(Message):
        """Done, failed or cancelled."""

        def __init__(self, served: Served | None, error: FalError | None) -> None:
            super().__init__()
            self.served = served
            self.error = error

    def __init__(self, ready: Ready, config: Config, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ready = ready
        self._config = config
        self._worker: Worker[None] | None = None
        self.order: ServeOrder | None = None
        """What runs or ran last."""
        self.served: Served | None = None
        """What came of it; None while it runs and when it failed."""
        self._live: Served | None = None
        """The last one that went well."""
        self._why = ""
        self.error: FalError | None = None

    def compose(self) -> ComposeResult:
        yield Phases()
        log = LogView(keys=UNTOLD)  # not a log pane: most of what that can do is not here
        log.empty = COMING
        log.wrap, log.clock = True, "off"
        yield log
        yield Static("", markup=False, id="outcome")

    @property
    def running(self) -> bool:
        return self._worker is not None and self._worker.is_running

    def start(self, order: ServeOrder, why: str = "") -> None:
        """Run it from the beginning; `why` is shown until there is an outcome."""
        self.order, self.served, self.error = order, None, None
        log = self.query_one(LogView)
        log.empty = COMING
        log.clear()
        log.title = f"build-{order.name}"
        log.focus()
        self._why = why
        self._say(why, "")
        self.query_one(Phases).show(Progress())
        self._worker = self.run_worker(
            self._run(order), group=GROUP, exclusive=True, exit_on_error=False
        )

    @property
    def publishing(self) -> bool:
        """From here on the backend does not turn back."""
        steps = self.query_one(Phases).progress.steps
        return bool(steps) and steps[-1].phase == "publish"

    async def cancel(self) -> None:
        """Closes the connection, by which the backend gives the serve up."""
        if self._worker is not None:
            self._worker.cancel()
            with suppress(WorkerCancelled, WorkerFailed):
                await self._worker.wait()

    def report(self) -> str:
        """The error, and below it the build log."""
        buffer = self.query_one(LogView).buffer
        items = [buffer.item(number) for number in buffer.shown]
        lines = [item.message for item in items if isinstance(item, LogEntry)]
        message = self.error.message if self.error else ""
        return "\n".join([message, *([""] if lines else []), *lines])

    async def _run(self, order: ServeOrder) -> None:
        log = self.query_one(LogView)
        try:
            async with aclosing(serving(self._ready, self._config, order, log)) as events:
                async for event in events:
                    self._take(event, log)
        except FalError as exc:
            self._fail(exc)
        else:
            self.post_message(self.Ended(self.served, None))

    def _take(self, event: ServeEvent, log: LogView) -> None:
        phases = self.query_one(Phases)
        if event.kind == "phase" and event.phase is not None:
            phases.show(phases.progress.enter(event.phase, event.message, monotonic()))
        elif event.kind == "log" and event.entry is not None:
            log.write([event.entry])
        elif event.kind == "done" and event.served is not None:
            self.served = self._live = event.served
            phases.show(phases.progress.end(monotonic()))
            self._say(_success(event.served, phases.progress, self._why), "done")

    def _fail(self, error: FalError) -> None:
        self.error = error
        log = self.query_one(LogView)
        log.empty = "It failed before anything was built"
        log.refresh()
        phases = self.query_one(Phases)
        phases.show(phases.progress.end(monotonic(), failed=True))
        trace = str(error.data.get("traceback", "")).rstrip()
        if trace:
            entry = LogEntry(0, datetime.now(UTC), "STDERR", "user", trace, "")
            log.write([entry])
        self._say(f"✗ {error.message.removeprefix('×').lstrip()}{self._stays()}", "failed")
        self.post_message(self.Ended(None, error))

    def _stays(self) -> str:
        """What callers of the alias go on getting."""
        alias = self._live.alias if self._live else None
        if alias is None or self._live is None or self.order is None:
            return ""
        if alias.name != self.order.alias:
            return ""
        return f"\n{alias.name} stays on revision {self._live.revision.id[:8]}"

    def _say(self, text: str, state: str) -> None:
        outcome = self.query_one("#outcome", Static)
        outcome.set_classes(state)
        outcome.update(Text(text))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.worker is self._worker and event.state is WorkerState.ERROR:
            self._fail(FalError(f"the serve broke off: {event.worker.error!r}"))


def _success(served: Served, progress: Progress, why: str) -> str:
    where = f"live on {served.alias.name}" if served.alias else "ready"
    took = progress.seconds(monotonic())
    parts = [f"✓ revision {served.revision.id[:8]} {where} in {took:.1f} s", *filter(None, [why])]
    return f"{' · '.join(parts)}\n{served.url}"
