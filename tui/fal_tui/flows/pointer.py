"""Moving aliases: roll back, point a new alias, undo."""

from __future__ import annotations

from rich.text import Text

from fal_serverless.endpoint import check_alias
from fal_serverless.errors import FalError, NotFound
from fal_serverless.models import Alias, Function, Move, Revision
from fal_tui import detail, difference, equivalents, naming, render
from fal_tui.flows.host import Host
from fal_tui.palette import Palette
from fal_tui.screens.ask import AskScreen
from fal_tui.screens.pick import Choice, PickScreen
from fal_tui.screens.rollback import Chosen, RollbackScreen, preselected, turn
from fal_tui.store import Item, Topic
from fal_tui.undo import AuthChanged, PointerMoved


async def rollback(host: Host, item: Item | None) -> None:
    """On a revision, or an entry of a history, to that one; else to one that is picked."""
    try:
        alias = await _alias(host, item)
        if alias is None:
            return
        named = _named(item)
        chosen = Chosen(named, sure=False) if named else await _picked(host, alias)
        if chosen is None:
            return
        old, new = await _whole(host, alias.revision), await _whole(host, chosen.revision)
    except FalError as error:
        host.complain(str(error), title="Cannot roll back")
        return
    verb = turn(old, new)
    command = equivalents.rollback(host.context.name, alias.name, new.id)
    if chosen.sure and not host.context.protected:
        await _roll(host, alias, new, verb, command)
        return
    body = _question(alias, old, new, host.palette)
    if await host.confirm(f"{verb} {alias.name}", body, verb=verb, command=command):
        await _roll(host, alias, new, verb, command)


def _named(item: Item | None) -> str | None:
    if isinstance(item, Revision):
        return item.id
    return item.to_revision if isinstance(item, Move) else None


async def _roll(host: Host, alias: Alias, target: Revision, verb: str, command: str) -> None:
    step = PointerMoved(alias.name, alias.revision, target.id)
    way = f"{naming.short(alias.revision)} → {naming.short(target.id)}"
    done = await host.change(
        f"{verb.replace('Roll', 'Rolled', 1)} {alias.name}: {way}",
        command,
        lambda c: c.rollback(alias.name, target.id),
        undoes=True,
        waits=f"Waiting until {naming.short(target.id)} is ready; {alias.name} stays till then",
    )
    if done:
        host.undo.push(step)


async def _alias(host: Host, item: Item | None) -> Alias | None:
    """The alias that is meant; asks when there are several."""
    if isinstance(item, Alias):
        return item
    if isinstance(item, Move):
        return host.store.alias(item.alias)
    name = detail.function_of(item, host.store)
    known = host.store.aliases_of(name) if name else ()
    if isinstance(item, Revision):
        known = tuple(each for each in known if each.revision != item.id)
    if len(known) < 2:
        return known[0] if known else None
    choices = [
        Choice(each.name, each.name, f"now {naming.short(each.revision)}, {each.auth}")
        for each in known
    ]
    chosen = await host.ask(PickScreen("Which alias?", choices))
    return next((each for each in known if each.name == chosen), None)


async def _picked(host: Host, alias: Alias) -> Chosen | None:
    revisions = await host.fetch(
        Topic("revisions", alias.function), lambda c: c.revisions(alias.function)
    )
    moves = await host.fetch(Topic("moves", alias.name), lambda c: c.moves(alias.name))

    async def diff_of(before: str, after: str) -> Text:
        return await _diff(host, before, after)

    def command(revision: str) -> str:
        return equivalents.rollback(host.context.name, alias.name, revision)

    chosen = preselected(alias, moves, revisions)
    screen = RollbackScreen(alias, revisions, chosen, diff_of, command, host.palette, host.keys)
    return await host.ask(screen)


async def _whole(host: Host, revision: str) -> Revision:
    """With its source."""
    topic = Topic("revision", revision)
    known = host.store.revision(revision)
    if host.store.has(topic) and known is not None:
        return known
    return await host.fetch(topic, lambda c: c.revision(revision))


async def _diff(host: Host, before: str, after: str) -> Text:
    old, new = await _whole(host, before), await _whole(host, after)
    return difference.draw(difference.compare(old, new), host.palette)


def _question(alias: Alias, old: Revision, new: Revision, tone: Palette) -> Text:
    """From → to, who and when, and what changes."""
    text = Text().append("alias  ", tone.muted).append(f"{alias.name}\n", "bold")
    for word, each in (("from   ", old), ("to     ", new)):
        text.append(word, tone.muted).append(naming.short(each.id), f"bold {tone.accent}")
        text.append(f"  {render.local_time(each.created_at)} by {each.created_by}", tone.muted)
        text.append(f"  {render.one_line(each.message)}\n")
    text.append("\n")
    return text.append_text(difference.draw(difference.compare(old, new), tone))


async def undo(host: Host) -> None:
    """Take back the last move or auth change; opening an endpoint again is asked for."""
    step = host.undo.last
    if step is None:
        return
    if isinstance(step, PointerMoved):
        await _undo_move(host, step)
    else:
        await _undo_auth(host, step)


async def _undo_move(host: Host, step: PointerMoved) -> None:
    command = equivalents.set_alias(host.context.name, step.alias, step.before)
    try:
        now = (await host.current(lambda c: c.alias(step.alias))).revision
    except NotFound as error:
        host.undo.drop(step)
        host.complain(str(error), title="Cannot undo")
        return
    except FalError as error:
        host.complain(str(error), title="Cannot undo")
        return
    if now != step.after and now != step.before:
        body = Text(f"{step.alias} was moved meanwhile: it points at {naming.short(now)}, ")
        body.append(f"not at {naming.short(step.after)}. Put it back to ")
        body.append(f"{naming.short(step.before)} all the same?")
        if not await host.confirm("Undo", body, verb="Put back", command=command):
            return
    elif not await host.allowed("Undo", f"Put {step.words}", command):
        return
    words = f"Undone: {step.alias} is back on {naming.short(step.before)}"
    done = await host.change(
        words,
        command,
        lambda c: c.set_alias(step.alias, step.before, reason="undo"),
        waits=f"Waiting until {naming.short(step.before)} is ready",
    )
    if done:
        host.undo.drop(step)


async def _undo_auth(host: Host, step: AuthChanged) -> None:
    command = equivalents.set_auth(host.context.name, step.label, step.before)
    question = Text(f"Put {step.words}? Anybody may call it then.")
    if step.before == "public":
        if not await host.confirm("Undo", question, verb="Open", command=command):
            return
    elif not await host.allowed("Undo", f"Put {step.words}", command):
        return
    put_back = host.store.assume_auth(step.label, step.before)
    host.redraw()
    words = f"Undone: {step.name} is {step.before} again"
    if await host.change(words, command, lambda c: c.set_auth(step.label, step.before)):
        host.undo.drop(step)
    else:
        put_back()
        host.redraw()


async def new_alias(host: Host, item: Item | None) -> None:
    """A further name for the revision under the cursor."""
    target = detail.subject(item, host.store)
    if target is None:
        return
    known = {each.name for each in host.store.aliases}

    def check(name: str) -> str:
        if name in known:
            return f"'{name}' exists" + host.keys.say("[; {rollback} on it moves it]")
        try:
            check_alias(name, item.user if isinstance(item, Revision | Alias | Function) else "1")
        except FalError as error:
            return str(error)
        return ""

    question = f"Name of an alias for revision {naming.short(target)}:"
    name = await host.ask(AskScreen("New alias", question, check=check))
    if not name:
        return
    command = equivalents.set_alias(host.context.name, name, target)
    words = f"Alias {name} points at {naming.short(target)}"
    if await host.allowed("New alias", words, command):
        await host.change(words, command, lambda c: c.set_alias(name, target))
