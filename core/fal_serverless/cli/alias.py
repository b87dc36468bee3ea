"""`alias`: labels on revisions, and where they pointed before."""

from __future__ import annotations

import click

from fal_serverless.cli import output
from fal_serverless.cli.completing import complete_alias, complete_revision
from fal_serverless.cli.session import Session, as_json, pass_session
from fal_serverless.models import AUTH_MODES, AuthMode


@click.group()
def alias() -> None:
    """Labels that point at revisions."""


@alias.command("list")
@as_json
@pass_session
def list_aliases(session: Session, as_json: bool) -> None:
    """List all aliases."""
    found = session.ask(lambda client: client.aliases())
    headings = ("Alias", "Revision", "Auth", "Max Concurrency")
    output.models(
        found,
        as_json,
        headings,
        lambda a: (a.name, a.revision, a.auth, a.max_concurrency),
        "No aliases yet; serve with --alias, or: alias set ALIAS REVISION",
    )


@alias.command("set")
@click.argument("name", metavar="ALIAS", shell_complete=complete_alias)
@click.argument("revision", shell_complete=complete_revision)
@click.option("--auth", type=click.Choice(AUTH_MODES), help="Who may call it.")
@click.option("--message", "-m", default="", help="Why, for its history.")
@as_json
@pass_session
def set_alias(
    session: Session,
    name: str,
    revision: str,
    auth: AuthMode | None,
    message: str,
    as_json: bool,
) -> None:
    """Point ALIAS at a revision, or make it. The beginning of the revision's id is enough."""
    made = session.ask(lambda client: client.set_alias(name, revision, auth=auth, message=message))
    if as_json:
        output.values(made)
        return
    output.data(f"Alias '{made.name}' points at revision '{made.revision}' ({made.auth}).")
    output.data(f"URL: {made.url}")


@alias.command("delete")
@click.argument("name", metavar="ALIAS", shell_complete=complete_alias)
@pass_session
def delete_alias(session: Session, name: str) -> None:
    """Remove ALIAS; its revisions stay, and answer under their own ids."""
    session.ask(lambda client: client.delete_alias(name))
    output.data(f"Deleted alias '{name}'.")


@alias.command("history")
@click.argument("name", metavar="ALIAS", shell_complete=complete_alias)
@as_json
@pass_session
def history(session: Session, name: str, as_json: bool) -> None:
    """Show where ALIAS pointed, newest first."""
    moves = session.ask(lambda client: client.moves(name))
    headings = ("When", "From", "To", "By", "Reason", "Message")
    output.models(moves, as_json, headings, lambda m: (
        m.at, m.from_revision, m.to_revision, m.by, m.reason, m.message,
    ))  # fmt: skip
