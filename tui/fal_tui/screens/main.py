"""The one screen that is always there: header, lists, detail pane, log pane, footer.

It knows where one is and what is focused, and draws what the store has. What a key does to the
backend is decided in `dispatch` and `flows`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding, BindingsMap
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from fal_tui import detail, naming
from fal_tui.actions import Action, Situation
from fal_tui.bound import Bound
from fal_tui.chrome.footer import Footer
from fal_tui.chrome.header import Header, Heading
from fal_tui.messages import (
    ActionChosen,
    FilterChanged,
    LinkChanged,
    LookChanged,
    Navigate,
    StoreChanged,
    TabChosen,
)
from fal_tui.palette import Palette
from fal_tui.places import HOME, Place
from fal_tui.precedence import Precedence
from fal_tui.render import Look
from fal_tui.screens import outlook
from fal_tui.screens.paned import NARROW, PanedScreen
from fal_tui.screens.rest import Rest
from fal_tui.screens.views import Views
from fal_tui.store import Item, Store, Topic
from fal_tui.turns import FLOW
from fal_tui.widgets.grid import Grid

if TYPE_CHECKING:
    from fal_tui.flows.host import Host

SILENT = 1
"""Failed attempts that only the header tells of."""


class MainScreen(PanedScreen):
    """`run` does the action of that id; `heading` is what the header says beside place and link.

    `keys` are those that are in force, those of widgets included.
    """

    AUTO_FOCUS = None
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-tall")]  # noqa: RUF012

    CSS_PATH = "main.tcss"

    def __init__(
        self,
        store: Store,
        heading: Heading,
        actions: Sequence[Action],
        keys: Bound,
        precedence: Precedence,
    ) -> None:
        super().__init__()
        self._precedence = precedence
        self.actions = tuple(actions)
        self.keys = keys
        self._bind()
        self.store = store
        self.heading = heading
        self.palette = Palette()
        self.host: Host | None = None
        self.run_action_id: Callable[[str], None] = lambda _: None
        self.views = Views(self._make, keys)
        self._header = Header(heading)
        self._footer = Footer()
        self._tab = detail.OVERVIEW
        self._rest = Rest(self.set_timer, self._settled)
        self._stale = self._preparing = False
        self._collects = False
        self._told: set[str] = set()
        """Reasons for the lost connection that were shown already."""

    def _bind(self) -> None:
        """The keys that are in force here, in place of those that every screen has."""
        for key in ("tab", "shift+tab"):
            self._bindings.key_to_bindings.pop(key, None)
        wanted = [
            Binding(action.keys, f"run('{action.id}')", action.label, show=False)
            for action in self.actions
            if action.keys
        ]
        self._bindings.key_to_bindings.update(BindingsMap(wanted).key_to_bindings)

    # Layout

    def compose(self) -> ComposeResult:
        yield self._header
        with Horizontal(id="body"):
            yield self.views
        yield Static("Not enough space", id="tiny")
        yield self._footer

    def on_mount(self) -> None:
        self.draw()
        self.focus_pane("list")

    async def complete(self, host: Host) -> None:
        """Mount what the first paint leaves out."""
        from fal_tui.chrome.detail_pane import DetailPane
        from fal_tui.widgets.log_pane import LogPane

        self.host = host
        if host.throw_away:
            self.views.home.nothing = "The samples of the demo are being served…"
        self.detail = DetailPane()
        limit = host.config.settings.log_lines
        self.log_pane = LogPane(lambda: host.link.client, limit=limit, keys=self.keys, id="logs")
        await self.query_one("#body").mount(self.detail)
        await self.mount(self.log_pane, before="#tiny")
        self.set_interval(1.0, self._tick)
        self.draw()
        self._precedence.take_over_collecting()

    def _tick(self) -> None:
        """Ages and countdowns go on without news."""
        self._precedence.collect()
        self._draw_header()
        listing = self.views.listing
        if listing is None:
            return
        if listing.is_long(self.store):
            listing.grow_older()
        else:
            listing.show(self.store, self.palette, self.trouble)
        self._draw_detail()

    # Where one is

    @property
    def place(self) -> Place:
        return self.views.place

    @property
    def item(self) -> Item | None:
        """Under the cursor."""
        return self.views.item

    @property
    def trouble(self) -> str:
        """Why there is no connection; '' when there is one."""
        return self.host.link.state.why if self.host else ""

    @property
    def situation(self) -> Situation:
        return outlook.situation(
            self.store,
            self.host,
            place=self.place,
            item=self.item,
            pane=self.pane,
            readonly=self.heading.readonly,
            keys=self.keys,
        )

    def wanted(self) -> frozenset[Topic]:
        """What must be kept fresh for what is on the screen."""
        tab = self._tab if self.detail is not None else None
        return outlook.wanted(self.store, self.views.topics, self.item, tab)

    async def go(self, place: Place, *, back: bool = False) -> None:
        """Show a place; the one left can be come back to."""
        if await self.views.go(place, back=back):
            self._broaden()
            self.remove_class("-full")
        self.focus_pane("list")
        if not self._draw_soon():
            self._draw_around()
        if self.host is not None:
            self._fetch(self.host)

    def _fetch(self, host: Host) -> None:
        """What was never fetched, at once: the next key is for rows, not for an empty list."""
        missing = {each for each in self.views.topics if not self.store.has(each)}
        host.link.want(*(self.wanted() - missing))
        if missing:
            work = host.link.now(*missing)
            self.app.run_worker(work, name="list", group=FLOW, exit_on_error=False)

    def _make(self, place: Place) -> Widget:
        if place.kind == "logs":
            from fal_tui.logs.buffer import LIMIT
            from fal_tui.screens.logs import Logs

            limit = self.host.config.settings.log_lines if self.host else LIMIT
            client = lambda: self.host.link.client if self.host else None  # noqa: E731
            return Logs(place, client, limit, self.keys)
        from fal_tui.screens import lists

        return lists.KINDS[place.kind](place, self.keys)

    async def back(self) -> None:
        """One step: out of full screen, to the list, out of the filter, to the place before."""
        if self.has_class("-full"):
            self.remove_class("-full")
        elif self.pane != "list" or self.views.clear_filter():
            self.focus_pane("list")
        elif (place := self.views.trail.up()) is not None:
            await self.go(place, back=True)

    async def previous(self) -> None:
        """Where one was before; twice is here again."""
        if self.views.trail.before is not None:
            await self.go(self.views.trail.before)

    async def reveal(self, function: str) -> None:
        """Go to a function in the list, as soon as it is there."""
        await self.go(HOME)
        self.views.reveal(function)

    # Tabs

    def choose_tab(self, tab: str) -> None:
        self._tab = tab
        self._draw_detail()
        self._want()

    async def step_tab(self, step: int) -> None:
        """Beside a list the tabs of its screen, where it has some; else those of the detail."""
        from fal_tui.screens.activity import neighbour

        beside = neighbour(self.place, step)
        if self.views.listing is not None and self.views.listing.turn(step):
            self.draw()
            self._want()
        elif beside is not None:
            await self.go(beside, back=True)
        elif self.detail is not None:
            self.choose_tab(self.detail.tabs.neighbour(step))
            if self.pane == "list" and "detail" in self.panes() and self.narrow:
                self.focus_pane("detail")  # a tab that is turned unseen is no answer to a key

    # Drawing

    def draw(self) -> None:
        """All of it, from the store."""
        self.views.show(self.store, self.palette, self.trouble)
        if self.log_pane is not None:
            self.log_pane.view.call_by(self.store.names)
        self._draw_around()

    def _draw_around(self) -> None:
        """All but the list."""
        self._draw_header()
        self._draw_detail()
        self._draw_footer()

    def recolour(self, palette: Palette) -> None:
        """The theme has changed."""
        self.palette = palette
        if self.detail is not None:
            self.detail.forget()
        if self.is_mounted:
            self.draw()

    def _draw_header(self) -> None:
        link = self.host.link.state if self.host else self.heading.link
        title = naming.title(self.place.name, self.store.names)
        self.heading = replace(
            self.heading, place=self.place, title=title, link=link, status=self.store.status
        )
        self._header.show(self.heading, self.palette)

    def _draw_detail(self) -> None:
        if self.detail is None or self.has_class("-lone"):
            return
        item = self.item
        tabs = detail.tabs_of(item)
        tab = self._tab if self._tab in tabs else detail.OVERVIEW
        ca = self.host.context.ca if self.host else ""
        look = Look(datetime.now(UTC), self.palette, self.detail.room, ca=ca)
        page = detail.page(item, tab, self.store, look)
        self.detail.show(f"{self.place} {self.views.cursor_id}", tabs, tab, page)

    def _draw_footer(self) -> None:
        from fal_tui.screens.lists import hints

        in_log = self.pane == "logs" or self.place.kind == "logs"
        self._footer.show(
            hints(
                self.situation,
                self.app.size.width,
                in_log,
                self.actions,
                self.views.marks,
            ),
            self.palette,
        )

    def _want(self) -> None:
        if self.host is not None:
            self.host.link.want(*self.wanted())

    def _settled(self) -> None:
        self._draw_detail()
        self._draw_footer()
        self._want_missing()

    def _want_missing(self) -> None:
        """Moving through a list asks only for what was never fetched."""
        if self.host is not None:
            missing = [topic for topic in self.wanted() if not self.store.has(topic)]
            if missing:
                self.host.link.want(*missing)

    # What happens

    def on_grid_moved(self, event: Grid.Moved) -> None:
        self._rest.moved()

    def on_grid_marked(self, event: Grid.Marked) -> None:
        self._draw_footer()

    async def on_grid_opened(self, event: Grid.Opened) -> None:
        listing = self.views.listing
        if listing is None or listing.item is None:
            return
        place = listing.opens(listing.item)
        if place is None:
            if self.has_class("-broad"):
                self.broaden()
            self.focus_pane("detail")
        else:
            await self.go(place)

    def on_store_changed(self, event: StoreChanged) -> None:
        self._draw_soon()

    def _draw_soon(self) -> bool:
        """Whether it is drawn now.

        A long list is made ready in a task: frames are drawn here, and must not wait for it.
        """
        listing = self.views.listing
        if listing is None or listing.is_ready(self.store, self.palette):
            self.draw()
            return True
        self._stale = True
        if not self._preparing:
            self._preparing = True
            self.run_worker(self._prepare(), name="list", group="list", exit_on_error=False)
        return False

    async def _prepare(self) -> None:
        try:
            while self._stale:
                self._stale = False
                breathe = self._precedence.breathe
                if self.views.listing is not None:
                    await self.views.listing.prepare(self.store, self.palette, breathe)
                    await breathe()
                self.draw()
                if not self._collects:
                    self._collects = True
                    self._precedence.take_over_collecting()
                # the frame is drawn before the next turn
                await breathe()
        finally:
            self._preparing = False

    def on_link_changed(self, event: LinkChanged) -> None:
        if event.state.live:
            self._told.clear()
        elif self.host is not None and self.host.link.attempts > SILENT:
            self._tell(self.host, event.state.why)
        self.draw()

    def _tell(self, host: Host, why: str) -> None:
        """Each reason once."""
        if why and why not in self._told:
            self._told.add(why)
            host.warn(why)

    async def on_navigate(self, event: Navigate) -> None:
        await self.go(event.place)

    async def on_tab_chosen(self, event: TabChosen) -> None:
        from fal_tui.screens.activity import named

        place = named(event.tab)
        if place is not None:
            await self.go(place, back=True)
        else:
            self.choose_tab(event.tab)

    def on_filter_changed(self, event: FilterChanged) -> None:
        self._draw_soon()

    def on_look_changed(self, event: LookChanged) -> None:
        self.draw()
        self._want_missing()

    def on_action_chosen(self, event: ActionChosen) -> None:
        self.run_action_id(event.action_id)

    @property
    def widget_bindings(self) -> dict[str, tuple[Widget, str]]:
        """Binding id -> (widget, action), of those that the key presses reach now."""
        return {
            each.id: (node, each.action)
            for node in (self.focused.ancestors_with_self if self.focused else ())
            if isinstance(node, Widget)
            for each in node.BINDINGS
            if isinstance(each, Binding) and each.id
        }

    async def run_binding(self, id: str) -> None:
        """What the key of that binding would do."""
        node, action = self.widget_bindings[id]
        await self.app.run_action(action, node)

    def action_run(self, action_id: str) -> None:
        self.run_action_id(action_id)

    def on_resize(self) -> None:
        self._draw_footer()
        self.call_after_refresh(self._draw_detail)
        self.call_after_refresh(self._focus_again)

    def on_screen_resume(self) -> None:
        self._focus_again()

    def _focus_again(self) -> None:
        """A pane that had no room for a while has lost the keys."""
        if self.host is not None and self.focused is None:
            self.focus_pane(self.pane)
