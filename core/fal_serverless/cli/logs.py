"""`function logs`: what functions and the backend wrote, once or as it comes."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from fal_serverless.cli import output
from fal_serverless.cli.session import Session, as_json, pass_session, run
from fal_serverless.endpoint import is_revision_id, parse_label
from fal_serverless.errors import NotFound, Unreachable
from fal_serverless.models import LEVELS, SOURCES, LogEntry, LogQuery

if TYPE_CHECKING:
    from fal_serverless.client import Client

NOTHING = "No logs found"
NOTHING_THERE = "No logs found, make sure you have the correct URL"
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two tries to reconnect."""

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """`5m` ago, or an RFC 3339 time; a time without a zone is local."""
    if value is None:
        return None
    ago = _AGO.fullmatch(value.strip())
    if ago:
        return datetime.now(UTC) - timedelta(seconds=float(ago[1]) * _UNITS[ago[2]])
    try:
        return datetime.fromisoformat(value.strip()).astimezone(UTC)
    except ValueError as exc:
        raise click.BadParameter(
            f"{value!r} is neither like 5m, 2h or 3d nor like 2026-01-31T12:00:00Z"
        ) from exc


def expression(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        re.compile(value)
    except re.error as exc:
        raise click.BadParameter(f"{value!r} is not a regular expression: {exc}") from exc
    return value


@click.command("logs")
@click.option("--url", help="Of one endpoint, with or without scheme and port; or its label.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    help="The newest so many.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--since", callback=moment, help="5m, 2h, 3d ago, or a time.")
@click.option("--until", callback=moment, help="5m, 2h, 3d ago, or a time.")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), help="This and above.")
@click.option(
    "--source",
    "sources",
    type=click.Choice(SOURCES),
    multiple=True,
    help="Of these; all by default.",
)
@click.option("--search", callback=expression, default="", help="Only messages that match.")
@click.option("--revision", default="", help="Only of this revision; its beginning is enough.")
@click.option("--request-id", default="", help="Only of this request.")
@as_json
@pass_session
def logs(session: Session, /, url: str | None, follow: bool, as_json: bool, **narrow: Any) -> None:
    """Print log lines, oldest first.

    The newest 100 of all endpoints, unless told otherwise.
    """
    query = LogQuery(label=parse_label(url) if url else "", **narrow)
    printer = Printer(as_json)
    if follow:
        run(_follow(session, query, printer))
        return
    for entry in session.ask(lambda client: _fetch(client, query)):
        printer.print(entry)
    if not printer.count:
        output.say(NOTHING_THERE if url else NOTHING)


@dataclass
class Printer:
    as_json: bool
    count: int = 0
    """Entries printed."""

    def print(self, entry: LogEntry) -> None:
        self.count += 1
        if self.as_json:
            output.value_line(entry)
        else:
            output.data(render(entry))


def render(entry: LogEntry) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm [stdout   ] message`, each line of the message so."""
    when = output.local_time(entry.time, milliseconds=True)
    head = f"{when} [{entry.level.lower():<9}] "
    lines = output.printable(entry.message).split("\n")
    return "\n".join((head + line).rstrip() for line in lines)


async def _fetch(client: Client, query: LogQuery) -> list[LogEntry]:
    try:
        return await client.logs(await _whole_revision(client, query))
    except NotFound:
        if query.revision:
            raise
        return []


async def _whole_revision(client: Client, query: LogQuery) -> LogQuery:
    if not query.revision or is_revision_id(query.revision):
        return query
    return replace(query, revision=(await client.revision(query.revision)).id)


async def _follow(session: Session, query: LogQuery, printer: Printer) -> None:
    """Tail for ever. A lost connection is taken up again after the last entry seen."""
    import asyncio

    lost: float | None = None
    pause = FIRST_PAUSE
    connected = False
    while True:
        try:
            async for entry in _tail(session, query, first=not connected):
                if entry is None:
                    connected, pause = True, FIRST_PAUSE
                    if lost is not None:
                        output.say(f"— reconnected after {time.monotonic() - lost:.0f} s —")
                    lost = None
                    continue
                query = replace(query, after=entry.id)
                printer.print(entry)
        except Unreachable as exc:
            if not connected:
                raise
            if lost is None:
                lost = time.monotonic()
                output.say(f"— {exc.message}; trying again —")
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _tail(
    session: Session, query: LogQuery, *, first: bool
) -> AsyncIterator[LogEntry | None]:
    """Entries, after one None that says that the backend answers.

    Only the first time is an embedded backend started: who stops it later means it.
    """
    async with await session.connect(start=first) as client:
        query = await _whole_revision(client, query)
        await client.user()
        yield None
        async with aclosing(client.tail(query)) as entries:
            async for entry in entries:
                yield entry
