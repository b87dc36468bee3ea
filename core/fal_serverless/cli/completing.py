"""What the shell offers on tab: contexts, functions of a file, names on a backend that runs.

Nothing is started or run for it, and what cannot be told soon is not told: a tab never hangs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fal_serverless import config
from fal_serverless.cli import output
from fal_serverless.cli.session import Session, run

if TYPE_CHECKING:
    from fal_serverless.client import Client

PATIENCE = 2.0
"""Seconds that a backend may take to answer."""

SHELLS = ("bash", "zsh", "fish")

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def complete_context(_ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """Names of contexts."""
    return _beginning(begun, lambda: config.load().contexts)


def complete_function(ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
    """What is isolated in the file named before; by syntax tree."""
    from fal_serverless import source

    def found() -> list[str]:
        return [item.name for item in source.scan(Path(ctx.params["path"])) if item.isolated]

    return _beginning(begun, found)


def _of_backend(fetch: Callable[[Client, click.Context], Awaitable[Iterable[str]]]) -> Complete:
    def complete(ctx: click.Context, _param: click.Parameter, begun: str) -> list[str]:
        return _beginning(begun, lambda: run(_ask(fetch, ctx)))

    return complete


async def _ask(
    fetch: Callable[[Client, click.Context], Awaitable[Iterable[str]]], ctx: click.Context
) -> Iterable[str]:
    import asyncio

    given = ctx.find_root().params
    session = Session(config.load(), given.get("context_name"), given.get("key_pair"))
    async with asyncio.timeout(PATIENCE), await session.connect(start=False) as client:
        return await fetch(client, ctx)


def _beginning(begun: str, find: Callable[[], Iterable[str]]) -> list[str]:
    try:
        return sorted({name for name in find() if name.startswith(begun)})
    except Exception:  # a tab is no place for errors; the command will tell them
        return []


async def _labels(client: Client, ctx: click.Context) -> list[str]:
    functions = [function.name for function in await client.functions()]
    return functions + [alias.name for alias in await client.aliases()]


async def _aliases(client: Client, ctx: click.Context) -> list[str]:
    return [alias.name for alias in await client.aliases()]


async def _revisions(client: Client, ctx: click.Context) -> list[str]:
    """Of the function or alias named before; of all functions for a new alias."""
    named: str = ctx.params.get("name") or ""
    owners = {alias.name: alias.function for alias in await client.aliases()}
    names = {function.name for function in await client.functions()}
    wanted = {owners.get(named, named)} & names or names
    return [found.id for name in wanted for found in await client.revisions(name)]


async def _workers(client: Client, ctx: click.Context) -> list[str]:
    return [worker.id for worker in await client.workers()]


async def _keys(client: Client, ctx: click.Context) -> list[str]:
    return [key.id for key in await client.keys()]


async def _environments(client: Client, ctx: click.Context) -> list[str]:
    return [one.key for one in await client.environments()]


complete_label = _of_backend(_labels)
complete_alias = _of_backend(_aliases)
complete_revision = _of_backend(_revisions)
complete_worker = _of_backend(_workers)
complete_key = _of_backend(_keys)
complete_environment = _of_backend(_environments)


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that completes commands and names on tab."""
    from click.shell_completion import get_completion_class

    root = ctx.find_root()
    name = root.info_name or ""
    variable = f"_{name}_COMPLETE".replace("-", "_").upper()  # as click looks for it
    kind = get_completion_class(shell)
    if kind is not None:
        output.data(kind(root.command, {}, name, variable).source())
