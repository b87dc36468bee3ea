"""Wires the application: configuration, store, link, the main screen and what keys do.

First paint: header, the last list from the cache, footer. All the rest is imported, mounted and
connected afterwards.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingsMap
from textual.events import Event, Key, Paste, Resize
from textual.geometry import Size
from textual.screen import Screen
from textual.worker import get_current_worker

from fal_serverless.config import Config, Context
from fal_tui import cache
from fal_tui.precedence import Precedence
from fal_tui.screens.first import FirstScreen
from fal_tui.turns import FLOW, Turns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.timer import Timer
    from textual.worker import Worker

    from fal_serverless.models import Function
    from fal_tui.bound import Bound
    from fal_tui.chrome.header import Heading
    from fal_tui.dispatch import Dispatch
    from fal_tui.flows.host import Host
    from fal_tui.keymap import Keymap
    from fal_tui.link import Connect, LinkState
    from fal_tui.screens.main import MainScreen
    from fal_tui.store import Topic


KEEP = 2.0
"""Seconds after a change until the list is written for the next start."""
SETTLED = 0.1
"""Seconds after another size until the terminal is asked for it again."""


@dataclass(frozen=True)
class Start:
    """How the application was asked to begin."""

    path: Path | None = None
    """A file to serve at once."""
    readonly: bool = False
    demo: bool = False
    """The backend is thrown away at the end."""


class FalTui(App[None]):
    """`connect` opens the way to the backend; None: through the launcher.

    `keymap` is what was read of the config file already; None: it is read after the first paint.
    """

    TITLE = "fal-tui"
    ENABLE_COMMAND_PALETTE = True
    NOTIFICATION_TIMEOUT = 6
    SUSPENDED_SCREEN_CLASS = "-behind"

    DEFAULT_CSS = """
    Screen Toast { max-width: 60; width: auto; min-width: 24; padding: 0 1; }
    /* A dialog makes room for them: they would lie over the hints at its bottom. */
    ModalScreen > ToastRack { layer: default; margin-bottom: 0; max-height: 40%; }
    .-behind Toast { visibility: hidden; }
    .-narrow Toast { margin-top: 0; }
    ModalScreen Toast { margin-top: 0; max-width: 100%; }
    CommandPalette SearchIcon { display: none; }
    ScrollableContainer, OptionList, TextArea, Grid {
        scrollbar-color: $panel-lighten-3; scrollbar-color-hover: $primary;
        scrollbar-color-active: $primary; scrollbar-background: $surface;
        scrollbar-background-hover: $surface; scrollbar-background-active: $surface;
        scrollbar-corner-color: $surface;
    }
    """

    def __init__(
        self,
        config: Config,
        context: Context,
        *,
        start: Start = Start(),
        connect: Connect | None = None,
        background: Callable[[FalTui], Any] | None = None,
        keymap: Keymap | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self._keys: Keymap | None = None
        self.start = start
        self.context = self._wanted(context)
        self.main: MainScreen | None = None
        self.host: Host | None = None
        self.dispatch: Dispatch | None = None
        self.loaded = False
        """Whether the backend was reached and the first lists are there."""
        self._connect = connect
        self._background = background
        self._cache = cache.place(config.paths.cache, context.name)
        self._kept: tuple[Function, ...] = ()
        self._leaving = False
        self._precedence = Precedence()
        self._keeping: Timer | None = None
        """Until the list is written for the next start."""
        self.turns = Turns(self, super().on_event)
        # Textual's own: it would open the palette over every dialog, whatever the keymap says.
        self._bindings.key_to_bindings.pop(self.COMMAND_PALETTE_BINDING, None)
        if keymap is not None:
            self._take_keys(keymap)

    # First paint

    def get_default_screen(self) -> Screen[Any]:
        rows = [] if self.start.demo else cache.read_rows(self._cache)
        help = self._keys.bound.key("help") if self._keys else "?"
        return FirstScreen(self._shown_context, rows, help)

    @property
    def _shown_context(self) -> str:
        return "demo" if self.start.demo else self.context.name

    def _wanted(self, context: Context) -> Context:
        """What was asked for at the start holds in every context."""
        return replace(context, readonly=context.readonly or self.start.readonly)

    def on_mount(self) -> None:
        wanted = self.config.settings.theme
        if wanted in self.available_themes:
            self.theme = wanted
        self.turns.wait_for_begin()
        self.call_after_refresh(self._after_first_paint)

    async def on_event(self, event: Event) -> None:
        if isinstance(event, Key):
            self._precedence.pressed()
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            await self.turns.take(event)
        else:
            await super().on_event(event)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(screen, renderable)
        self._precedence.drawn()

    def on_unmount(self) -> None:
        self._keep_now()
        self._precedence.give_back_collecting()

    def on_resize(self) -> None:
        self.set_timer(SETTLED, self._ask_size)

    def _ask_size(self) -> None:
        """The terminal's size, asked for once more.

        A signal that comes while the one before it is handled overtakes it: of sizes that follow
        each other fast, Textual may take an older one for the last.
        """
        if self.is_headless or self.is_web:
            return
        size = Size(*shutil.get_terminal_size())
        if size != self.size:
            self.post_message(Resize(size, size))

    # After it

    def _after_first_paint(self) -> None:
        self.run_worker(self._begin(), name="start", group="start", exit_on_error=False)

    async def _begin(self) -> None:
        try:
            dispatch = await self._open(self._connect)
        finally:
            gc.enable()  # see `__main__.run`
        self._start_extras(dispatch)
        self.theme_changed_signal.subscribe(self, lambda _: self._recolour())
        self.turns.begin()

    async def use_context(self, config: Config, name: str) -> None:
        """Everything anew with the context of that name, whether its backend answers or not.

        What this session did stays in Activity. Raises NotFound.
        """
        context = config.context(name)
        self._keep_now()
        self.context = self._wanted(context)
        self.config = replace(self.config, contexts=config.contexts)
        self._cache, self._kept = cache.place(config.paths.cache, name), ()
        self.loaded = False
        await self._open(None)

    async def _open(self, connect: Connect | None) -> Dispatch:
        """A main screen for the context in use, in place of the one there was."""
        from fal_tui.dispatch import Dispatch
        from fal_tui.flows.host import Host
        from fal_tui.link import Link
        from fal_tui.screens.main import MainScreen
        from fal_tui.store import FUNCTIONS, Store

        store = Store()
        if self.host is not None:
            store.deeds = self.host.store.deeds
        cached = () if self.start.demo else cache.read(self._cache)
        if cached:
            store.put(FUNCTIONS, cached)
        keymap = self._keys_in_force()
        main = MainScreen(store, self._heading(), keymap.actions, keymap.bound, self._precedence)
        link = Link(
            connect or partial(self._connect_by_launcher, self.config, self.context, keymap.bound),
            store,
            main.wanted,
            partial(self._on_link, main),
            partial(self._on_change, main),
        )
        before, self.main = self.main, main
        self.host = Host(self, main, store, link, self.config, self.context, main.keys)
        self.host.throw_away = self.start.demo
        await (self.push_screen(main) if before is None else self.switch_screen(main))
        self._recolour()
        await main.complete(self.host)
        self.dispatch = Dispatch(self, main, self.host)
        main.run_action_id = self.dispatch.run
        self._keep_linked()
        return self.dispatch

    def _keys_in_force(self) -> Keymap:
        """With the keys and commands of the config file."""
        from fal_tui.keymap import read
        from fal_tui.widgets.bindings import WIDGETS

        found = self._keys
        if found is None:
            found = read(self.config, WIDGETS)
            self._take_keys(found)
        if not self.is_web:
            return found
        from fal_tui.web.possible import in_browser

        return in_browser(found, self.config.commands)

    def _take_keys(self, keymap: Keymap) -> None:
        """Those of widgets, and the one that quits: it does so in every dialog, too."""
        self._keys = keymap
        self.set_keymap(keymap.for_textual)
        quits = next(each.keys for each in keymap.actions if each.id == "quit")
        known = self._bindings.key_to_bindings
        for key in [key for key, found in known.items() if found[0].action == "quit"]:
            del known[key]
        if quits:
            binding = Binding(quits, "quit", "Quit", show=False, priority=True)
            known.update(BindingsMap([binding]).key_to_bindings)
        self.turns.urgent = frozenset({*quits.split(","), "ctrl+c"})

    def action_help_quit(self) -> None:
        """Who presses ctrl+c out of habit is told how to quit."""
        way = self.main.keys.way("quit") if self.main else ""
        if way:
            self.notify(f"{way} quits", markup=False)

    def _heading(self) -> Heading:
        from fal_tui.chrome.header import Heading

        return Heading(
            self._shown_context, readonly=self.context.readonly, protected=self.context.protected
        )

    def _start_extras(self, dispatch: Dispatch) -> None:
        if self._background is not None:
            self.run_worker(self._background(self), group="background", exit_on_error=False)
        if self.start.path is not None:
            self.run_worker(dispatch.do_serve(self.start.path), group=FLOW, exit_on_error=False)

    def _recolour(self) -> None:
        from fal_tui import palette

        if self.main is None or self.host is None:
            return
        found = palette.from_theme(self.theme_variables, self.current_theme.dark)
        self.host.palette = found
        self.main.recolour(found)

    def _keep_linked(self) -> None:
        assert self.host is not None
        self.run_worker(
            self.host.link.run(), name="link", group="link", exclusive=True, exit_on_error=False
        )

    async def _connect_by_launcher(
        self, config: Config, context: Context, keys: Bound, start: bool
    ) -> tuple[Context, Any]:
        from fal_tui.connecting import connect

        found, client = await connect(config, context, start=start, keys=keys)
        client.breathe = self._precedence.breathe
        return found, client

    def _on_link(self, main: MainScreen, state: LinkState) -> None:
        from fal_tui.messages import LinkChanged

        if main is not self.main:
            return
        if state.live:
            self.loaded = True
        main.post_message(LinkChanged(state))

    def _on_change(self, main: MainScreen, topics: frozenset[Topic]) -> None:
        from fal_tui.messages import StoreChanged
        from fal_tui.store import FUNCTIONS

        if main is not self.main:
            return
        main.post_message(StoreChanged(topics))
        if FUNCTIONS in topics and not self.start.demo:
            self._keep_soon()

    def _keep_soon(self) -> None:
        """The first list at once: who looks in only for a moment has it, too."""
        if not self._kept:
            self._keep_list()
        elif self._keeping is None:
            self._keeping = self.set_timer(KEEP, self._keep_list)

    def _keep_now(self) -> None:
        if self._keeping is not None:
            self._keeping.stop()
            self._keep_list()

    def _keep_list(self) -> None:
        """Write the list for the next start, without what will not be true then."""
        self._keeping = None
        from fal_serverless.models import Traffic
        from fal_tui.render import lasting_row

        assert self.host is not None
        functions = self.host.store.functions[: cache.KEPT]
        now = tuple(replace(each, workers={}, traffic=Traffic()) for each in functions)
        if now != self._kept:
            self._kept = now
            cache.write(self._cache, now)
            cache.write_rows(self._cache, [lasting_row(each, self.host.palette) for each in now])

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A bug in a worker is said, and does not end the application."""
        from textual.worker import WorkerState

        if event.worker.is_finished:
            self.turns.look_again()
        if event.state is not WorkerState.ERROR:
            return
        self.log.error(event.worker.error)
        text = f"{event.worker.name or event.worker.group}: {event.worker.error!r}"
        self.notify(text, title="Unexpected error", severity="error", markup=False)
        if event.worker.group == "link":
            self.set_timer(1.0, self._keep_linked)

    async def push_screen_wait(self, screen: Screen[Any] | str, *, mode: str | None = None) -> Any:
        if isinstance(screen, Screen):
            self.turns.asks(get_current_worker(), screen)
        return await super().push_screen_wait(screen, mode=mode)

    async def action_quit(self) -> None:
        """Asks what becomes of the backend; a second time, and before it is up, leaves at once."""
        if self.dispatch is None or self._leaving:
            self.exit()
            return
        self._leaving = True
        self.run_worker(self._leave(self.dispatch), group=FLOW, exit_on_error=False)

    async def _leave(self, dispatch: Dispatch) -> None:
        try:
            await dispatch.do_quit()
        finally:
            self._leaving = False

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        """The screen as SVG; a secret that stands on it is covered."""
        covered = getattr(self.screen, "covered", nullcontext)
        with covered():
            return super().export_screenshot(title=title, simplify=simplify)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: the registry of actions, as far as they can be done now."""
        from fal_tui.actions import why_not

        if self.main is None or self.dispatch is None:
            return
        run, keys = self.dispatch.run, self.main.keys
        for action in self.main.actions:
            if not why_not(action, self.main.situation) and action.id != "palette":
                yield SystemCommand(
                    "  ".join((action.label, *keys.shown(action.id)[:1])),
                    action.help,
                    lambda action_id=action.id: run(action_id),
                )
