"""One run of the program: its configuration, the context asked for, and the way to a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fal_serverless.config import Config

if TYPE_CHECKING:
    from fal_serverless.client import Client

T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    config: Config
    context: str | None = None
    """None: the one in use."""
    key: str | None = field(default=None, repr=False)
    """`id:secret` from the command line."""
    debug: bool = False

    def ask(self, action: Callable[[Client], Awaitable[T]]) -> T:
        """Run one conversation with the context's backend, which is started when embedded."""
        return run(self._converse(action))

    async def _converse(self, action: Callable[[Client], Awaitable[T]]) -> T:
        from fal_serverless import launcher

        _, client = await launcher.connect(self.config, self.context, self.key)
        async with client:
            return await action(client)


def run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    return asyncio.run(work)


pass_session = click.make_pass_decorator(Session)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
