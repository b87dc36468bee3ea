"""Going over to another backend: which there are, and whether one can leave now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.worker import get_current_worker

from fal_serverless.config import Context, load
from fal_serverless.errors import FalError
from fal_tui.flows.host import Host
from fal_tui.screens.pick import Choice, PickScreen
from fal_tui.turns import FLOW

if TYPE_CHECKING:
    from fal_tui.app import FalTui


def known(host: Host) -> dict[str, Context]:
    """All contexts by name, as the files have them now. Raises InvalidSetting."""
    return load(host.config.environ).contexts


def about(context: Context, used: str) -> str:
    """Its address and what is special about it."""
    flags = (("read-only", context.readonly), ("protected", context.protected))
    words = [context.url or "the embedded backend", *(word for word, worn in flags if worn)]
    return ", ".join(words) + ("  (now)" if context.name == used else "")


async def change_context(app: FalTui, host: Host, name: str = "") -> None:
    """Ask which one unless it is named, and go there; whether it answers is seen there."""
    try:
        chosen = name or await _picked(host)
        if not chosen or chosen == host.context.name:
            return
        busy = running(app)
        if busy:
            host.warn(f"'{busy}' is not finished: wait for it, then change the context.")
            return
        await app.use_context(load(host.config.environ), chosen)
    except FalError as error:
        host.complain(str(error), title="Cannot change the context")


async def _picked(host: Host) -> str | None:
    contexts = known(host).values()
    choices = [Choice(each.name, each.name, about(each, host.context.name)) for each in contexts]
    return await host.ask(PickScreen("Context", choices, chosen=host.context.name))


def running(app: FalTui) -> str:
    """What else is being done, by the name of its action; '' for nothing."""
    this = get_current_worker()
    others = [w for w in app.workers if w.group == FLOW and w is not this and w.is_running]
    return others[0].name if others else ""
