"""`function logs`: what functions and the backend wrote, once or as it comes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from fal_serverless.cli import output
from fal_serverless.cli.choice import AnyCase
from fal_serverless.cli.completing import complete_label
from fal_serverless.cli.session import Session, as_json, pass_session, run
from fal_serverless.endpoint import is_revision_id, parse_label
from fal_serverless.errors import InvalidName, NotFound
from fal_serverless.models import LEVELS, SOURCES, LogEntry, LogQuery

if TYPE_CHECKING:
    from fal_serverless.client import Client

NOTHING = "No logs found"
NOTHING_THERE = "No logs found, make sure you have the correct URL"
MOST = 100_000
"""Entries in one answer of the backend."""

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """`5m` or `1h30m` ago, or an RFC 3339 time; a time without a zone is local."""
    if value is None:
        return None
    text = value.strip()
    try:
        if text and not _PART.sub("", text):
            seconds = sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(text))
            return datetime.now(UTC) - timedelta(seconds=seconds)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise click.BadParameter(
            f"{value!r} is neither like 5m, 1h30m or 3d nor like 2026-01-31T12:00:00Z"
        ) from exc


def given(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str:
    """A variable that a script has not set must not mean everything."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; leave the option out for all")
    return value or ""


def endpoint(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    url = given(ctx, param, value)
    try:
        return parse_label(url) if url else ""
    except InvalidName as exc:
        raise click.BadParameter(exc.message) from exc


def expression(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        re.compile(value)
    except re.error as exc:
        raise click.BadParameter(f"{value!r} is not a regular expression: {exc}") from exc
    return value


@click.command("logs")
@click.option(
    "--url",
    "label",
    callback=endpoint,
    shell_complete=complete_label,
    help="Of one endpoint, with or without scheme and port; or its label.",
)
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0, MOST),
    default=100,
    show_default=True,
    help="The newest so many.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--since", callback=moment, help="5m, 2h, 3d ago, or a time.")
@click.option("--until", callback=moment, help="5m, 2h, 3d ago, or a time.")
@click.option("--level", type=AnyCase(LEVELS), help="This and above.")
@click.option(
    "--source",
    "sources",
    type=click.Choice(SOURCES),
    multiple=True,
    help="Of these; all by default.",
)
@click.option("--search", callback=expression, default="", help="Only messages that match.")
@click.option("--revision", callback=given, help="Only of this revision; its beginning is enough.")
@click.option("--request-id", callback=given, help="Only of this request.")
@as_json
@click.option("--otel", is_flag=True, help="Print OpenTelemetry records (OTLP/JSON), one a line.")
@pass_session
def logs(session: Session, /, follow: bool, as_json: bool, otel: bool, **narrow: Any) -> None:
    """Print log lines, oldest first.

    The newest 100 of all endpoints, unless told otherwise.
    """
    query = LogQuery(**narrow)
    _refuse_what_excludes(query, follow, as_json and otel)
    printer = Printer(_otel if otel else output.value_line if as_json else _plain)
    if follow:
        run(_follow(session, query, printer))
        return
    for entry in session.ask(lambda client: _fetch(client, query)):
        printer.print(entry)
    if not printer.count:
        output.say(NOTHING_THERE if query.label else NOTHING)


def _refuse_what_excludes(query: LogQuery, follow: bool, two_forms: bool) -> None:
    if two_forms:
        raise click.UsageError("--json and --otel are two forms of the same; choose one")
    if follow and query.until:
        raise click.UsageError("--follow goes on for ever; without it, --until says where to end")
    if query.since and query.until and query.since > query.until:
        raise click.UsageError("--since is after --until: nothing can be in between")


@dataclass
class Printer:
    show: Callable[[LogEntry], None]
    count: int = 0
    """Entries printed."""

    def print(self, entry: LogEntry) -> None:
        self.count += 1
        self.show(entry)


def _plain(entry: LogEntry) -> None:
    output.data(render(entry))


def _otel(entry: LogEntry) -> None:
    from fal_serverless.cli.otel import logs_data

    output.value_line(logs_data(entry))


def render(entry: LogEntry) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm [stdout   ] message`.

    Each line of the message so: a part that is cut out by grep keeps its time and level.
    """
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
    try:
        return replace(query, revision=(await client.revision(query.revision)).id)
    except NotFound:
        # It may have been deleted; what it said is kept.
        if not await client.logs(LogQuery(revision=query.revision, lines=1)):
            raise
        return query


async def _follow(session: Session, query: LogQuery, printer: Printer) -> None:
    from fal_serverless.cli.following import Following

    async with await session.connect() as client:
        query = await _whole_revision(client, query)
    nothing = NOTHING_THERE if query.label else NOTHING
    await Following(session, query, printer.print, nothing).run()
