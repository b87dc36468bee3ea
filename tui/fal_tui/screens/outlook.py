"""What the main screen is about, put into one value: for actions, and for what is fetched. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fal_tui import detail
from fal_tui.actions import Situation
from fal_tui.bound import Bound
from fal_tui.places import Pane, Place
from fal_tui.store import ALIASES, FUNCTIONS, STATUS, Item, Store, Topic

if TYPE_CHECKING:
    from fal_tui.flows.host import Host


def situation(
    store: Store,
    host: Host | None,
    *,
    place: Place,
    item: Item | None,
    pane: Pane,
    readonly: bool,
    keys: Bound,
) -> Situation:
    name = detail.function_of(item, store)
    known = store.function(name) if name else None
    step = host.undo.last if host else None
    return Situation(
        place=place,
        item=item,
        aliases=store.aliases_of(name) if name else (),
        revisions=known.revisions if known else None,
        pane=pane,
        readonly=readonly,
        undo=step.words if step else "",
        keys=keys,
    )


def wanted(
    store: Store, listed: frozenset[Topic], item: Item | None, tab: str | None
) -> frozenset[Topic]:
    """The list's topics and what the open tab shows; `tab` is None while there is no detail pane.

    A revision never changes: it is wanted until it was fetched once.
    """
    topics = {STATUS, FUNCTIONS, ALIASES, *listed}
    if tab is not None:
        shown = tab if tab in detail.tabs_of(item) else detail.OVERVIEW
        needed = detail.needs(item, shown, store)
        topics |= {each for each in needed if each.kind != "revision" or not store.has(each)}
    return frozenset(topics)
