"""The way to the backend through the launcher, which starts the embedded one only when asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fal_serverless import launcher
from fal_serverless.config import Config, Context
from fal_serverless.errors import Unreachable
from fal_tui.actions import STANDARD
from fal_tui.bound import Bound

if TYPE_CHECKING:
    from fal_serverless.client import Client


async def connect(
    config: Config, context: Context, *, start: bool, keys: Bound = STANDARD
) -> tuple[Context, Client]:
    """The context with its address, and a client. Raises Unreachable and what `launcher` raises.

    Without `start` an embedded backend that does not run stays as it is: somebody stopped it.
    """
    key = None if context.embedded else context.key or None
    try:
        found, client = await launcher.connect(config, context.name, key, start=start)
    except Unreachable:
        if context.embedded and not start:
            raise Unreachable(keys.say("the backend does not run[; {refresh} starts it]")) from None
        raise
    client.readonly = client.readonly or context.readonly
    return replace(found, readonly=context.readonly), client
