"""One run of the program: its configuration, the context asked for, and the way to a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fal_serverless.cli import output
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

    @property
    def user_id(self) -> str:
        """Whose the context's key is; '' when it was not told. Raises NotFound."""
        return self.config.context(self.context, self.key).user_id

    def ask(self, action: Callable[[Client], Awaitable[T]]) -> T:
        """Run one conversation with the context's backend, which is started when embedded."""
        return run(self._converse(action))

    async def connect(self, *, start: bool = True) -> Client:
        """The way to the context's backend; an embedded one that it starts says where it is."""
        from fal_serverless import launcher

        before = launcher.recorded(self.config)
        context, client = await launcher.connect(self.config, self.context, self.key, start=start)
        made = launcher.recorded(self.config) if context.embedded else None
        wanted = self.config.settings.port
        if made and wanted not in (0, made.port) and (not before or before.pid != made.pid):
            output.say(f"Port {wanted} is taken; the backend uses {made.port}.")
        return client

    async def _converse(self, action: Callable[[Client], Awaitable[T]]) -> T:
        async with await self.connect() as client:
            return await action(client)


def run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    return asyncio.run(work)


pass_session = click.make_pass_decorator(Session)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
