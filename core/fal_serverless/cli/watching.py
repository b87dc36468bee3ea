"""`function serve --watch`: serve again when the file, or a local module it reaches, changes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fal_serverless.cli import output
from fal_serverless.errors import FalError
from fal_serverless.source import Saves

if TYPE_CHECKING:
    from fal_serverless.cli.serving import Order
    from fal_serverless.cli.session import Session


async def watch(session: Session, order: Order) -> None:
    """Serve, then again on each change, until interrupted. A failed serve ends nothing."""
    saves = Saves(order.path)
    while True:
        await _serve(session, order)
        output.say(f"Watching {', '.join(saves.watched)}")
        output.say(f"Changed: {', '.join(await saves.next())}")


async def _serve(session: Session, order: Order) -> None:
    from fal_serverless.cli.serving import serve_once

    started = time.perf_counter()
    try:
        served = await serve_once(session, order)
    except FalError as exc:
        output.error(exc.message)
        return
    what = order.alias or order.name
    seconds = time.perf_counter() - started
    output.say(f"deployed {what} → {output.short(served.revision.id)} in {seconds:.2f} s")
