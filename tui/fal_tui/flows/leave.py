"""Leaving: the embedded backend goes on serving unless it is told to stop."""

from __future__ import annotations

from fal_tui.flows.host import Host
from fal_tui.screens.pick import Choice, PickScreen

KEEP, STOP = "keep", "stop"


async def leave(host: Host) -> None:
    """Ask only when there is something to decide."""
    if not (host.context.embedded and host.link.state.live) or host.throw_away:
        host.app.exit()
        return
    status = host.store.status
    count = status.functions if status else 0
    what = f"{count} function{'' if count == 1 else 's'}"
    where = status.url if status else "this machine"
    choices = [
        Choice(KEEP, "Quit", "the backend goes on serving", "q"),
        Choice(STOP, "Stop and quit", "the backend finishes what it runs, then ends", "s"),
    ]
    about = f"The backend serves {what} at {where}."
    chosen = await host.ask(PickScreen("Quit", choices, about=about))
    if chosen == STOP:
        await _stop(host)
    if chosen is not None:
        host.app.exit()


async def _stop(host: Host) -> None:
    from fal_serverless import launcher

    host.say("Stopping the backend…")
    await launcher.stop(host.config)
