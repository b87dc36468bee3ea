"""From an action's id to what is done. One method per action: `do_<id>`."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from fal_serverless.config import save_setting
from fal_serverless.errors import FalError
from fal_serverless.models import LogQuery, Revision, Worker
from fal_tui import commands, copies, detail
from fal_tui.actions import Action, why_not
from fal_tui.flows import access, calls, contexts, leave, pointer, programs, remove, saved
from fal_tui.flows.host import Host
from fal_tui.history import History
from fal_tui.keymap import PREFIX
from fal_tui.places import Kind, Place
from fal_tui.render import Look
from fal_tui.screens.command import CommandScreen
from fal_tui.screens.help import HelpScreen, entries
from fal_tui.screens.main import MainScreen
from fal_tui.screens.page import PageScreen
from fal_tui.screens.paned import LOG_STEP
from fal_tui.screens.pick import Choice, PickScreen
from fal_tui.store import ALIASES, FUNCTIONS, Item, Store
from fal_tui.turns import FLOW
from fal_tui.web.possible import possible_widgets
from fal_tui.widgets.bindings import WIDGETS
from fal_tui.widgets.clipboard import copy

if TYPE_CHECKING:
    from fal_tui.app import FalTui

LOG_LINES = 1000
"""Lines of the past that a log pane begins with."""


def log_query(item: Item | None, store: Store) -> LogQuery | None:
    """Which lines are an item's logs."""
    if isinstance(item, Worker):
        return LogQuery(worker=item.id, lines=LOG_LINES)
    if isinstance(item, Revision):
        return LogQuery(revision=item.id, lines=LOG_LINES)
    label = detail.label_of(item, store)
    return LogQuery(label=label, lines=LOG_LINES) if label else None


class Dispatch:
    """Runs actions on one screen; what takes time or asks runs as a worker."""

    def __init__(self, app: FalTui, screen: MainScreen, host: Host) -> None:
        self.app = app
        self.screen = screen
        self.host = host
        self.actions = {action.id: action for action in screen.actions}
        self.history = History(host.config.paths.cache / "commands.json")
        own = {PREFIX + each.name: each for each in host.config.commands}
        self.own = {id: each for id, each in own.items() if id in self.actions}
        """Commands of the config file, as far as they can be run here."""

    def run(self, action_id: str) -> None:
        action = self.actions[action_id]
        reason = why_not(action, self.screen.situation)
        if reason:
            self.host.warn(f"{action.label}: {reason}.")
            return
        self._start(self._do(action), action_id)

    def _do(self, action: Action) -> Awaitable[Any] | None:
        if action.leads is not None:
            return self._go(action)
        if action.id in self.own:
            return programs.run(self.host, self.own[action.id], self.screen.item)
        done: Awaitable[Any] | None = getattr(self, f"do_{action.id}")()
        return done

    def _start(self, work: Awaitable[Any] | None, name: str) -> None:
        if work is not None:
            whole = self._to_its_end(work)
            self.app.run_worker(whole, name=name, group=FLOW, exit_on_error=False)

    async def _to_its_end(self, work: Awaitable[Any]) -> None:
        await work
        await self.host.catch_up()

    async def _go(self, action: Action) -> None:
        if action.leads is not None:
            await self.screen.go(self.screen.views.trail.within(action.leads))

    # Go

    async def do_back(self) -> None:
        await self.screen.back()

    async def do_previous(self) -> None:
        if self.screen.pane == "logs":
            self.do_shrink()
        else:
            await self.screen.previous()

    def do_swap(self) -> None:
        self.screen.swap(1)

    def do_swap_back(self) -> None:
        self.screen.swap(-1)

    async def do_next_tab(self) -> None:
        await self.screen.step_tab(1)

    async def do_previous_tab(self) -> None:
        await self.screen.step_tab(-1)

    # Look

    def do_filter(self) -> None:
        self.screen.views.start_filter()

    async def do_describe(self) -> None:
        item, store = self.screen.item, self.host.store
        look = replace(Look.at_once(self.host.palette), ca=self.host.context.ca)
        pages = [detail.page(item, tab, store, look) for tab in (detail.OVERVIEW, detail.OPTIONS)]
        kept = pages[:1] if detail.tabs_of(item) == (detail.OVERVIEW,) else pages
        text = Text("\n\n").join(each for each in kept if isinstance(each, Text))
        await self.host.ask(PageScreen(self._name(), text))

    async def do_json(self) -> None:
        item = self.screen.item
        if item is not None:
            code = detail.Code(copies.as_json(item, self.host.store), "json")
            await self.host.ask(PageScreen(self._name("JSON"), code))

    def _name(self, otherwise: str = "Describe") -> str:
        return detail.name_of(self.screen.item, self.host.store) or otherwise

    async def do_copy(self) -> None:
        item = self.screen.item
        if item is None:
            return
        cells, ca = self.screen.views.cells(), self.host.context.ca
        found = copies.copies(item, self.host.store, cells, ca)
        choices = [
            Choice(str(place), each.label, each.value.replace("\t", "  ")[:90], str(place + 1))
            for place, each in enumerate(found)
        ]
        chosen = await self.host.ask(PickScreen("Copy", choices))
        if chosen is not None:
            kept = found[int(chosen)]
            self.host.say(f"{copy(self.host.app, kept.value)}: {kept.label}")

    async def do_edit(self) -> None:
        await programs.edit(self.host, self.screen.item)

    def do_save(self) -> None:
        page = self.screen.detail.page if self.screen.detail else None
        listing = self.screen.views.listing
        if self.screen.pane == "detail" and page is not None:
            saved.save_page(self.host, self._name(), page)
        elif listing is not None:
            saved.save_list(self.host, listing)

    def do_wide(self) -> None:
        self.screen.broaden()

    # Change

    async def do_serve(self, path: Path | None = None) -> None:
        outcome = await calls.serve(self.host, path)
        if outcome.served is not None:
            await self.host.link.now(FUNCTIONS, ALIASES)
            await self.screen.reveal(outcome.served.revision.function)
        if outcome.logs is not None:
            self.screen.show_logs(outcome.logs, self.host.title(outcome.logs.label))

    async def do_rollback(self) -> None:
        await pointer.rollback(self.host, self.screen.item)

    async def do_auth(self) -> None:
        await access.change_auth(self.host, self.screen.item)

    async def do_invoke(self) -> None:
        request = await calls.invoke(self.host, self.screen.item)
        if request:
            self.screen.show_logs(LogQuery(request_id=request), f"request {request}")

    async def do_new(self) -> None:
        if self.screen.place.kind == "keys":
            await access.new_key(self.host)
        else:
            await pointer.new_alias(self.host, self.screen.item)

    async def do_delete(self) -> None:
        views = self.screen.views
        await remove.delete(self.host, views.marked, views.hidden)

    async def do_stop(self) -> None:
        views = self.screen.views
        await remove.stop(self.host, views.marked, views.hidden)

    async def do_undo(self) -> None:
        await pointer.undo(self.host)

    # Logs

    def do_logs(self) -> None:
        item = self.screen.item
        query = log_query(item, self.host.store)
        if query is not None:
            self.screen.show_logs(query, detail.name_of(item, self.host.store))

    def do_all_logs(self) -> None:
        self.screen.show_logs(LogQuery(lines=LOG_LINES), "all endpoints")

    def do_full(self) -> None:
        self.screen.full_logs()

    def do_grow(self) -> None:
        self.screen.resize_logs(LOG_STEP)

    def do_shrink(self) -> None:
        self.screen.resize_logs(-LOG_STEP)

    # Application

    async def do_command(self, text: str = "") -> None:
        screen = CommandScreen(self._words(), text, self.history.lines)
        command = await self.host.ask(screen)
        if command is not None:
            self.history.add(screen.line)
            await self._obey(command)

    def _words(self) -> commands.Words:
        store = self.host.store
        names = [each.name for each in store.functions]
        aliases = [each.name for each in store.aliases]
        labels = list(dict.fromkeys([*aliases, *names]))
        lone = [each for each in store.functions if each.anonymous]
        meanings = {each.name: f"{each.entrypoint}, anonymous" for each in lone}
        themes = sorted(self.app.available_themes)
        try:
            known = contexts.known(self.host)
        except FalError:
            known = self.host.config.contexts
        own = {each.name: self.actions[PREFIX + each.name].help for each in self.own.values()}
        used = self.host.context.name
        meanings |= {each.name: contexts.about(each, used) for each in known.values()}
        return commands.Words(
            names,
            aliases,
            labels,
            themes,
            sorted(known),
            own,
            meanings,
            called=store.names,
            keys=self.screen.keys,
        )

    async def _obey(self, command: commands.Command) -> None:
        name = command.argument
        if command.verb == "theme" and name:
            self.use_theme(name)
        elif command.verb == "theme":
            await self.do_theme()
        elif command.verb == "run":
            self.run(PREFIX + name)
        elif command.verb == "ctx":
            await self.do_context(name)
        elif command.verb in ("help", "q"):
            self.run("help" if command.verb == "help" else "quit")
        elif command.verb == "logs" and name:
            if not command.unless or await self._has_logs(name, command.unless):
                self._logs_of(name)
        elif command.verb == "rev":
            await self.screen.go(Place("revisions", name))
        elif command.verb == "history":
            await self.screen.go(Place("moves", name))
        else:
            await self.screen.go(Place(_KINDS[command.verb]))
            self.screen.views.select(name)

    async def _has_logs(self, name: str, unless: str) -> bool:
        """Whether there are lines of something that is gone; else it is said what is wrong."""
        one = LogQuery(label=name, lines=1)
        try:
            found = await self.host.current(lambda client: client.logs(one))
        except FalError as error:
            self.host.complain(str(error))
            return False
        if not found:
            self.host.warn(unless)
        return bool(found)

    def _logs_of(self, name: str) -> None:
        store = self.host.store
        item = store.alias(name) or store.function(name)
        query = log_query(item, store) or LogQuery(label=name, lines=LOG_LINES)
        self.screen.show_logs(query, self.host.title(name))

    def do_palette(self) -> None:
        self.app.action_command_palette()

    async def do_help(self) -> None:
        screen = self.screen
        widgets = possible_widgets(WIDGETS) if self.app.is_web else WIDGETS
        found = entries(screen.situation, screen.actions, widgets, screen.widget_bindings)
        chosen = await self.host.ask(HelpScreen(found, self.host.palette))
        if chosen in self.actions:
            self.run(chosen)
        elif chosen in screen.widget_bindings:
            await screen.run_binding(chosen)

    async def do_context(self, name: str = "") -> None:
        await contexts.change_context(self.app, self.host, name)

    async def do_theme(self) -> None:
        choices = [Choice(name, name) for name in sorted(self.app.available_themes)]
        before = self.app.theme
        screen = PickScreen("Theme", choices, chosen=before, looked=self._try_theme)
        chosen = await self.host.ask(screen)
        if chosen:
            self.use_theme(chosen)
        else:
            self._try_theme(before)

    def _try_theme(self, name: str) -> None:
        """What it looks like, for now."""
        self.app.theme = name

    def use_theme(self, name: str) -> None:
        self.app.theme = name
        try:
            save_setting(self.host.config.paths, "theme", name)
        except OSError as error:
            self.host.warn(f"The theme could not be saved: {error.strerror}")

    def do_refresh(self) -> None:
        live = self.host.link.state.live
        # who asks while it runs has not asked that it be started when somebody stops it later
        self.host.link.wake(start=not live)
        if live:
            self.host.say("Fetching everything again")
        elif self.host.context.embedded:
            self.host.say("Starting the backend…")
        else:
            self.host.say("Connecting…")

    async def do_quit(self) -> None:
        await leave.leave(self.host)


_KINDS: dict[str, Kind] = {
    "fn": "functions",
    "alias": "aliases",
    "worker": "workers",
    "logs": "logs",
    "key": "keys",
    "activity": "activity",
    "pulse": "pulse",
    "audit": "audit",
}
