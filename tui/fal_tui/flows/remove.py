"""Taking away: functions, revisions, aliases, workers. Everything is asked for by name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text

from fal_serverless.models import Alias, Function, Key, Revision, Worker
from fal_tui import equivalents, naming, render
from fal_tui.flows.access import HIDDEN, revoke
from fal_tui.flows.host import Host
from fal_tui.naming import Names
from fal_tui.store import Item, item_id

if TYPE_CHECKING:
    from fal_serverless.client import Client


@dataclass(frozen=True)
class Removal:
    """One thing to take away."""

    what: str
    """In words, for the question."""
    done: str
    """In words, for the toast."""
    words: tuple[str, ...]
    """Of the command line."""
    act: Callable[[Client], Awaitable[None]]


def of(item: Item, names: Names) -> Removal | None:
    """How an item is deleted; None for what cannot be."""
    if isinstance(item, Function):
        return _function(item)
    if isinstance(item, Revision):
        return _revision(item, names)
    return _alias(item) if isinstance(item, Alias) else None


def _function(item: Function) -> Removal:
    name = naming.title(item.name, naming.names_of([item]))
    count = render.counted(item.revisions, "revision")
    names = f" and the alias {', '.join(item.aliases)}" if item.aliases else ""
    return Removal(
        f"Function {name} with {count}{names}. Its address stops answering.",
        f"Deleted function {name}",
        ("function", "delete", item.name, "--yes"),
        lambda client: client.delete_function(item.name),
    )


def _revision(item: Revision, names: Names) -> Removal:
    return Removal(
        f"Revision {naming.short(item.id)} of {naming.title(item.function, names)}, "
        f"served by {item.created_by} at {render.local_time(item.created_at)}.",
        f"Deleted revision {naming.short(item.id)}",
        ("function", "delete", item.id, "--yes"),
        lambda client: client.delete_revision(item.id),
    )


def _alias(item: Alias) -> Removal:
    return Removal(
        f"Alias {item.name}. {item.url} stops answering; revision "
        f"{naming.short(item.revision)} stays under its id.",
        f"Deleted alias {item.name}",
        ("alias", "delete", item.name),
        lambda client: client.delete_alias(item.name),
    )


async def delete(host: Host, items: Sequence[Item], hidden: Container[str] = ()) -> None:
    """`hidden`: ids of those that are marked, but not seen now."""
    keys = [item for item in items if isinstance(item, Key)]
    if keys:
        await revoke(host, keys, hidden)
        return
    found = [(item, removal) for item in items if (removal := of(item, host.store.names))]
    removals = [_told(removal, item, hidden) for item, removal in found]
    await _all(host, "Delete", removals)


async def stop(host: Host, items: Sequence[Item], hidden: Container[str] = ()) -> None:
    """`hidden` as in `delete`."""
    workers = [item for item in items if isinstance(item, Worker)]
    removals = [(each, _worker(each, host.store.names)) for each in workers]
    await _all(host, "Stop", [_told(removal, each, hidden) for each, removal in removals])


def _told(removal: Removal, item: Item, hidden: Container[str]) -> Removal:
    """What nobody sees in the list is said to be meant, too."""
    if item_id(item) not in hidden:
        return removal
    return replace(removal, what=f"{removal.what} {HIDDEN}")


def _worker(item: Worker, names: Names) -> Removal:
    name = naming.worker(item.id, item.function, names)
    running = render.counted(item.running, "running call")
    return Removal(
        f"Worker {name}, after {running}." if item.running else f"Worker {name}.",
        f"Stopped worker {name}",
        ("worker", "stop", item.id),
        lambda client: client.stop_worker(item.id),
    )


async def _all(host: Host, verb: str, removals: Sequence[Removal]) -> None:
    """One question for all of them, then one after the other."""
    if not removals:
        return
    lines = [equivalents.command(host.context.name, *each.words) for each in removals]
    body = Text("\n".join(each.what for each in removals))
    heading = verb if len(removals) == 1 else f"{verb} all {len(removals)}"
    command = lines[0] if len(lines) == 1 else ""
    if not await host.confirm(heading, body, verb=verb, command=command):
        return
    for each, line in zip(removals, lines, strict=True):
        await host.change(each.done, line, each.act)
