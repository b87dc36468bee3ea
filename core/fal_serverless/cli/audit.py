"""`audit`: who changed what, from where and when."""

from __future__ import annotations

import click

from fal_serverless.cli import output
from fal_serverless.cli.session import Session, as_json, pass_session


@click.group()
def audit() -> None:
    """Who changed what, from where and when."""


@audit.command("list")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0, 10_000),
    default=100,
    show_default=True,
    help="The newest so many.",
)
@as_json
@pass_session
def list_entries(session: Session, lines: int, as_json: bool) -> None:
    """List changes of pointers, auth, keys, users and workers, newest first."""
    found = session.ask(lambda client: client.audit(lines))
    headings = ("When", "By", "From", "Action", "Subject", "Before", "After", "Message")
    output.models(found, as_json, headings, lambda e: (
        e.at, e.by, e.address, e.action, e.subject, e.before, e.after, e.message,
    ))  # fmt: skip
