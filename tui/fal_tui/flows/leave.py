"""Leaving: the embedded backend goes on serving unless it is told to stop."""

from __future__ import annotations

from fal_tui import render
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
    what = render.counted(count, "function")
    where = status.url if status else "this machine"
    choices = [
        Choice(KEEP, "Quit", "the backend goes on serving", "q"),
        Choice(STOP, "Stop and quit", "the backend finishes what it runs, then ends", "s"),
    ]
    about = f"The backend serves {what} at {where}."
    chosen = await host.ask(PickScreen("Quit", choices, about=about))
    if chosen == KEEP or (chosen == STOP and await _stop(host, where)):
        host.app.exit()


async def _stop(host: Host, where: str) -> bool:
    """Whether it has ended; where not, what to do next is said."""
    from fal_serverless import launcher

    host.say("Stopping the backend: it finishes what it runs…")
    try:
        stopped, why = await launcher.stop(host.config), ""
    except OSError as error:
        stopped, why = False, f" ({error.strerror})"
    if not stopped:
        host.complain(
            f"The backend at {where} is none that can be stopped from here{why}; it goes on. "
            + host.keys.say("Stop it where it was started, or leave it running[: {quit}, then q]."),
            title="Not stopped",
        )
    return stopped
