"""`environment`: the interpreters with packages that revisions share, and how they go again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from fal_serverless.cli import output
from fal_serverless.cli.completing import complete_environment
from fal_serverless.cli.function import confirm
from fal_serverless.cli.logs import moment
from fal_serverless.cli.session import Session, as_json, pass_session
from fal_serverless.models import Environment, Pruned

SHORT_KEY = 12
"""Characters of a key in lists of people; any unique beginning names it."""


@click.group()
def environment() -> None:
    """Interpreters with packages, shared by revisions."""


@environment.command("list")
@as_json
@pass_session
def list_environments(session: Session, as_json: bool) -> None:
    """List the environments there are, newest use first."""
    found = session.ask(lambda client: client.environments())
    _list(found, as_json, "No environments yet; the first serve makes one.")


def _list(found: Sequence[Environment], as_json: bool = False, nothing: str = "") -> None:
    headings = ("Environment", "Python", "Requirements", "Size", "Revisions", "State", "Last used")
    output.models(found, as_json, headings, lambda one: (
        one.key[:SHORT_KEY], one.python_version, one.requirements or "none",
        human(one.size_bytes), len(one.revisions) + one.others, state(one), one.last_used_at,
    ), nothing)  # fmt: skip


@environment.command("show")
@click.argument("key", shell_complete=complete_environment)
@as_json
@pass_session
def show(session: Session, key: str, as_json: bool) -> None:
    """Describe an environment. The beginning of its key is enough."""
    found = session.ask(lambda client: client.environment(key))
    if as_json:
        output.values(found)
        return
    output.pairs(
        [
            ("Environment", found.key),
            ("State", state(found)),
            ("Python", found.python_version),
            ("Requirements", found.requirements or "none"),
            ("Size", _size(found)),
            ("Made", found.created_at),
            ("Last used", found.last_used_at),
            ("Revisions", found.revisions),
            ("Of others", f"{found.others} revisions of other users" if found.others else ""),
        ]
    )


@environment.command("prune")
@click.option("--older-than", callback=moment, help="Only those not asked for in 7d, 12h, 30m.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
@pass_session
def prune(
    session: Session, older_than: datetime | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Remove the environments that no revision uses.

    A revision that is deleted frees its environment when no other shares it; the next serve that
    asks for the same makes it again.
    """
    seconds = (datetime.now(UTC) - older_than).total_seconds() if older_than else 0.0
    planned = session.ask(lambda client: client.prune_environments(seconds, dry_run=True))
    nothing = not planned.environments and not planned.leftovers
    if dry_run or nothing:
        _report(planned, as_json)
        return
    if not yes:
        if planned.environments:
            _list(planned.environments)
        confirm(f"Remove {described(planned)}?")
    _report(session.ask(lambda client: client.prune_environments(seconds)), as_json)


@environment.command("delete")
@click.argument("key", shell_complete=complete_environment)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_session
def delete(session: Session, key: str, yes: bool) -> None:
    """Remove one environment that no revision uses. The beginning of its key is enough."""
    found = session.ask(lambda client: client.environment(key))
    if not yes:
        confirm(f"Delete environment '{found.key}' ({human(found.size_bytes)})?")
    gone = session.ask(lambda client: client.delete_environment(found.key))
    output.data(f"Deleted environment '{found.key}': {human(gone.bytes_freed)} freed.")


def _report(pruned: Pruned, as_json: bool) -> None:
    if as_json:
        output.values(pruned)
    elif not pruned.environments and not pruned.leftovers:
        output.say("Nothing to remove.")
    else:
        if pruned.dry_run and pruned.environments:
            _list(pruned.environments)
        begin = "Would remove" if pruned.dry_run else "Removed"
        output.data(f"{begin} {described(pruned)}: {human(pruned.bytes_freed)} freed.")


def described(pruned: Pruned) -> str:
    """`2 environments and 3 leftovers`."""
    parts = [(len(pruned.environments), "environment"), (pruned.leftovers, "leftover")]
    return " and ".join(f"{n} {word}{'s' if n != 1 else ''}" for n, word in parts if n)


def state(one: Environment) -> str:
    if not one.complete:
        return "incomplete"
    return "in use" if one.in_use else "unused"


def _size(one: Environment) -> str:
    if not one.shared_bytes:
        return human(one.size_bytes)
    return f"{human(one.size_bytes)}, {human(one.shared_bytes)} of it shared with uv's cache"


def human(size: int) -> str:
    """`24.1 MiB`."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1000:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"
