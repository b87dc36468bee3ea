"""Serving a file and calling a function: the screens of it, and what is kept afterwards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.config import write_whole
from fal_serverless.errors import FalError
from fal_serverless.models import Alias, Function, LogQuery, Move, Revision, Served
from fal_tui import detail, equivalents, naming
from fal_tui.flows.host import Host
from fal_tui.store import Item, Topic
from fal_tui.undo import PointerMoved

if TYPE_CHECKING:
    from fal_tui.screens.call import Made
    from fal_tui.screens.serve import Ended

RECENTS = 10
"""Files that are remembered."""
SHORT = 2_000
"""Characters of a body that stand in a command line; a longer one is called …"""
BODY = "body.json"
"""… by the name of a file, and so is one that seems to carry a secret."""


@dataclass(frozen=True)
class Outcome:
    """What came of the serve screen."""

    served: Served | None
    logs: LogQuery | None
    """Logs that are wanted next."""


async def serve(host: Host, path: Path | None = None) -> Outcome:
    """The serve screen; what it did goes into Activity and can be undone."""
    from fal_tui.screens.serve import ServeScreen

    if not await host.allowed("Serve", "Serve a function here", ""):
        return Outcome(None, None)
    try:
        client = await host.link.ready()
    except FalError as error:
        host.complain(str(error), title="Cannot serve")
        return Outcome(None, None)
    screen = ServeScreen(
        client,
        host.config,
        path,
        recents(host),
        ready=host.link.ready,
        history=host.called,
        told=lambda each: _record(host, each),
    )
    served: Served | None = await host.ask(screen)
    if served is not None and screen.path is not None:
        remember(host, screen.path)
    if served is not None:
        host.link.wake()
        await _undoable(host, [each.served for each in screen.ended if each.served is not None])
    return Outcome(served, screen.logs_wanted)


def _record(host: Host, each: Ended | Made) -> None:
    """Into Activity, with the command line that does the same."""
    from fal_tui.screens.call import Made

    if isinstance(each, Made):
        _record_call(host, each)
    else:
        _record_serve(host, each)


def _record_serve(host: Host, ended: Ended) -> None:
    order, served = ended.order, ended.served
    command = equivalents.serve(
        host.context.name,
        str(order.path),
        order.name,
        order.alias,
        order.auth,
        order.message,
        from_source=order.from_source,
    )
    where = f" on {order.alias}" if order.alias else ""
    if served is not None:
        names = naming.names_in([served.revision])
        what = f"Served {naming.title(served.revision.id, names)}{where}"
        host.done(what, command, served.seconds)
    elif ended.error is not None:
        host.done(f"Serve {order.name}{where}", command, 0.0, ended.error.message)


def _record_call(host: Host, made: Made) -> None:
    from fal_tui.remembered import carries_secret
    from fal_tui.screens.call import compact

    call, hidden = made.call, carries_secret(made.call)
    path = call.path.partition("?")[0] if hidden else call.path
    data = f"@{BODY}" if hidden or len(call.body) > SHORT else compact(call.body)
    kind = call.headers.get("Content-Type", "")
    command = equivalents.invoke(
        host.context.name,
        made.label if path == "/" else made.url + path,
        call.method,
        data if call.body else "",
        "" if kind.endswith("json") else kind,
    )
    came = f": {made.status}" if made.status is not None else ""
    host.done(
        f"Called {host.title(made.label)}{came}",
        command,
        made.seconds,
        made.error,
    )


async def _undoable(host: Host, served: Sequence[Served]) -> None:
    """Each of them can be gone back from, the last one first."""
    moved = [each for each in served if each.alias is not None]
    came: dict[tuple[str, str], str | None] = {}
    try:
        for name in {each.alias.name for each in moved if each.alias}:
            for move in await _moves(host, name):
                came.setdefault((name, move.to_revision), move.from_revision)
    except FalError:
        return
    steps = [
        PointerMoved(each.alias.name, before, each.revision.id)
        for each in moved
        if each.alias and (before := came.get((each.alias.name, each.revision.id)))
    ]
    for step in steps:
        host.undo.push(step)
    if steps:
        way, before = host.keys.way("undo"), naming.short(steps[-1].before)
        hint = f"\n{way} goes back to {before}" if way else ""
        host.say(f"Served {naming.short(steps[-1].after)} on {steps[-1].alias}{hint}")


async def _moves(host: Host, alias: str) -> list[Move]:
    return await host.fetch(Topic("moves", alias), lambda c: c.moves(alias))


async def invoke(host: Host, item: Item | None) -> str | None:
    """The invoke screen; the id of a request whose logs are wanted, or None."""
    from fal_tui.screens.invoke import InvokeScreen

    label = detail.label_of(item, host.store)
    about = detail.subject(item, host.store)
    if label is None or about is None:
        return None
    try:
        client = await host.link.ready()
        revision = await _revision(host, about)
    except FalError as error:
        host.complain(str(error), title="Cannot invoke")
        return None
    request: str | None = await host.ask(
        InvokeScreen(
            client,
            label,
            revision,
            host.called,
            ready=host.link.ready,
            public=_is_public(host, item, label),
            ca=host.context.ca,
            told=lambda made: _record(host, made),
        )
    )
    return request


def _is_public(host: Host, item: Item | None, label: str) -> bool:
    endpoint = host.store.alias(label) or item
    return isinstance(endpoint, Function | Revision | Alias) and endpoint.auth == "public"


async def _revision(host: Host, revision: str) -> Revision:
    known = host.store.revision(revision)
    if known is not None:
        return known
    return await host.fetch(Topic("revision", revision), lambda c: c.revision(revision))


def _place(host: Host) -> Path:
    return host.config.paths.cache / "recent-files.json"


def recents(host: Host) -> list[Path]:
    """Files served before that are still there, the last one first."""
    try:
        names = json.loads(_place(host).read_bytes())
    except (OSError, ValueError):
        return []
    paths = [Path(name) for name in names if isinstance(name, str)]
    return [path for path in paths if path.is_file()]


def remember(host: Host, path: Path) -> None:
    known = [each for each in recents(host) if each != path.absolute()]
    names = [str(each) for each in (path.absolute(), *known)][:RECENTS]
    try:
        write_whole(_place(host), json.dumps(names), 0o600)
    except OSError as error:
        host.warn(f"Could not remember the file: {error.strerror}")
