"""Who may call: auth modes of endpoints, and keys."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text

from fal_serverless.models import AUTH_MODES, WHO, Alias, AuthMode, Function, Key, NewKey, Revision
from fal_tui import detail, equivalents, naming
from fal_tui.flows.host import Host
from fal_tui.screens.ask import AskScreen
from fal_tui.screens.pick import Choice, PickScreen
from fal_tui.screens.secret import SecretScreen
from fal_tui.store import Item
from fal_tui.undo import AuthChanged

if TYPE_CHECKING:
    from fal_serverless.client import Client

HIDDEN = "(Marked, and hidden by the filter.)"


async def change_auth(host: Host, item: Item | None) -> None:
    """Ask for the mode, show it at once, put it back if the backend refuses."""
    endpoint = await _endpoint(host, item)
    if endpoint is None:
        return
    label, before, url = endpoint
    after = await _mode(host, label, before)
    if after is None or after == before:
        return
    command = equivalents.set_auth(host.context.name, label, after)
    if not await _sure(host, label, url, after, command):
        return
    put_back = host.store.assume_auth(label, after)
    host.redraw()
    name = host.title(label)
    words = f"{name} is {after} now"
    if await host.change(words, command, lambda c: c.set_auth(label, after), undoes=True):
        host.undo.push(AuthChanged(label, before, after, name))
    else:
        put_back()
        host.redraw()


async def _endpoint(host: Host, item: Item | None) -> tuple[str, AuthMode, str] | None:
    """(label, mode, URL) of what is meant; asks when a function has several aliases."""
    if isinstance(item, Alias):
        return item.name, item.auth, item.url
    if isinstance(item, Revision):
        return item.id, item.auth, item.url
    if not isinstance(item, Function):
        return None
    known = {each.name: each for each in host.store.aliases_of(item.name)}
    if len(known) < 2:
        label = detail.label_of(item, host.store)
        return (label, item.auth, item.url) if label else None
    choices = [Choice(each.name, each.name, each.auth) for each in known.values()]
    chosen = known.get(await host.ask(PickScreen("Which alias?", choices)) or "")
    return (chosen.name, chosen.auth, chosen.url) if chosen else None


async def _mode(host: Host, label: str, before: AuthMode) -> AuthMode | None:
    choices = [
        Choice(mode, mode, WHO[mode] + ("  (now)" if mode == before else "")) for mode in AUTH_MODES
    ]
    heading = f"Who may call {host.title(label)}?"
    other: AuthMode = "private" if before == "public" else "public"
    chosen = await host.ask(PickScreen(heading, choices, chosen=other))
    return next((mode for mode in AUTH_MODES if mode == chosen), None)


async def _sure(host: Host, label: str, url: str, after: AuthMode, command: str) -> bool:
    name = host.title(label)
    if after != "public":
        return await host.allowed("Auth", f"{name} becomes {after}.", command)
    body = Text("Anybody who reaches this address may call it, without a key:\n\n")
    body.append(url, f"bold {host.palette.warn}")
    return await host.confirm(
        f"Open {name} to everybody?", body, verb="Make public", command=command
    )


async def new_key(host: Host) -> None:
    """The secret is shown once, and goes nowhere else."""
    choices = [
        Choice("API", "API", "calls endpoints"),
        Choice("ADMIN", "ADMIN", "calls endpoints and changes everything"),
    ]
    scope = await host.ask(PickScreen("New key: what for?", choices))
    if scope is None:
        return
    alias = await host.ask(AskScreen("New key", "A label for it (may stay empty):"))
    if alias is None:
        return
    words = ("key", "generate", "--scope", scope, *(("--alias", alias) if alias else ()))
    command = equivalents.command(host.context.name, *words)
    what = f"Generated {'an ADMIN' if scope == 'ADMIN' else 'an API'} key"
    if not await host.allowed("New key", f"A new key with the scope {scope}", command):
        return
    done = await host.change(
        what,
        command,
        lambda c: c.generate_key("ADMIN" if scope == "ADMIN" else "API", alias),
        quiet=True,
    )
    if done:
        await _show_secret(host, done[0])


async def _show_secret(host: Host, new: NewKey) -> None:
    await host.ask(SecretScreen(new, host.palette))


async def revoke(host: Host, keys: Sequence[Key], hidden: Container[str] = ()) -> None:
    """One question for each. `hidden`: ids of those that are marked, but not seen now."""
    for place, key in enumerate(keys, 1):
        command = equivalents.command(host.context.name, "key", "revoke", key.id)
        name = naming.key(key.id, key.alias)
        body = Text(f"Key {name}, scope {key.scope}, stops working at once and for ever.")
        body.append(f" {HIDDEN}" if key.id in hidden else "")
        if key.id == _own(host):
            body.append("\n\nIt is the key that fal-tui itself uses here: ", host.palette.bad)
            body.append("you lock yourself out.", f"bold {host.palette.bad}")
        heading = "Revoke key" if len(keys) == 1 else f"Revoke key {place} of {len(keys)}"
        if not await host.confirm(heading, body, verb="Revoke", command=command):
            return
        await host.change(f"Revoked key {name}", command, partial(_revoke, key))


def _own(host: Host) -> str:
    """Id of the key in use."""
    context = host.link.context
    return context.key.partition(":")[0] if context else ""


async def _revoke(key: Key, client: Client) -> None:
    await client.revoke_key(key.id)
