"""`function`: what is served, its revisions, and calling it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fal_serverless.cli import output
from fal_serverless.cli.calling import invoke
from fal_serverless.cli.completing import complete_label, complete_revision
from fal_serverless.cli.logs import logs
from fal_serverless.cli.serving import serve
from fal_serverless.cli.session import Session, as_json, pass_session
from fal_serverless.cli.showing import show
from fal_serverless.endpoint import parse_label
from fal_serverless.errors import BadInput, NotFound, listed
from fal_serverless.models import AUTH_MODES, AuthMode, Function, Move, Revision

if TYPE_CHECKING:
    from fal_serverless.client import Client


NO_FUNCTION = "No functions yet; serve one: fal-serverless function serve FILE NAME --alias ALIAS"


@click.group()
def function() -> None:
    """Functions, their revisions and logs."""


for command in (serve, logs, show, invoke):
    function.add_command(command)


@function.command("list")
@as_json
@pass_session
def list_functions(session: Session, as_json: bool) -> None:
    """List all functions.

    The newest serve comes first.
    """
    found = session.ask(lambda client: client.functions())
    headings = ("Function", "Aliases", "Live", "Revisions", "Auth", "Served", "URL")
    output.models(found, as_json, headings, lambda f: (
        _name(f), f.aliases, f.live, f.revisions, f.auth, f.served_at, f.url,
    ), NO_FUNCTION)  # fmt: skip


def _name(function: Function) -> str:
    return f"{function.entrypoint} (anonymous)" if function.anonymous else function.name


@function.command("revisions")
@click.argument("name", shell_complete=complete_label)
@as_json
@pass_session
def revisions(session: Session, name: str, as_json: bool) -> None:
    """List the revisions of a function, newest first."""
    found = session.ask(lambda client: client.revisions(name))
    headings = ("Revision", "Created", "By", "Aliases", "Auth", "Python", "Git", "Message")
    output.models(found, as_json, headings, lambda r: (
        r.id, r.created_at, r.created_by, r.aliases, r.auth, r.bundle.python_version, commit(r),
        r.message,
    ))  # fmt: skip


def commit(revision: Revision) -> str:
    sha = revision.bundle.git_sha
    return f"{sha[:10]}{'*' if revision.bundle.git_dirty else ''}" if sha else ""


@function.command("rollback")
@click.argument("name", shell_complete=complete_label)
@click.argument("revision", required=False, shell_complete=complete_revision)
@click.option("--message", "-m", default="", help="Why, for the alias's history.")
@as_json
@pass_session
def rollback(
    session: Session, name: str, revision: str | None, message: str, as_json: bool
) -> None:
    """Point an alias back to a revision.

    Without REVISION that is where it stood before its last move, so that a second rollback
    returns. NAME is the alias, or a function with a single alias.
    """
    import time

    started = time.perf_counter()
    move = session.ask(lambda client: _rollback(client, name, revision, message))
    if as_json:
        output.values(move)
        return
    output.data(
        f"Rolled back alias '{move.alias}': {output.short(move.from_revision)} → "
        f"{output.short(move.to_revision)} (revision='{move.to_revision}') "
        f"in {time.perf_counter() - started:.2f} s."
    )


async def _rollback(client: Client, name: str, revision: str | None, message: str) -> Move:
    alias = await alias_of(client, parse_label(name))
    return await client.rollback(alias, revision, message=message)


async def alias_of(client: Client, name: str) -> str:
    """The alias called `name`, or the only alias of the function called so."""
    if any(alias.name == name for alias in await client.aliases()):
        return name
    function = await client.function(name)
    if len(function.aliases) == 1:
        return function.aliases[0]
    if function.aliases:
        have = ", ".join(function.aliases)
        raise BadInput(f"function '{name}' has several aliases, name one of them: {have}")
    raise NotFound(f"function '{name}' has no alias; only an alias can be rolled back")


@function.command("auth")
@click.argument("label", shell_complete=complete_label)
@click.argument("mode", type=click.Choice(AUTH_MODES))
@pass_session
def auth(session: Session, label: str, mode: AuthMode) -> None:
    """Change who may call LABEL.

    LABEL is an alias or a revision's id. The change is in force from the next request on.
    """
    done, url = session.ask(lambda client: _set_auth(client, parse_label(label), mode))
    output.data(f"'{done}' is now {mode}.")
    if mode == "public":
        output.say(f"Anybody who reaches {url} can call it.")


async def _set_auth(client: Client, label: str, mode: AuthMode) -> tuple[str, str]:
    """The endpoint's whole label and its URL."""
    aliases = {alias.name: alias for alias in await client.aliases()}
    if label in aliases:
        await client.set_auth(label, mode)
        return label, aliases[label].url
    try:
        revision = await client.revision(label)
    except NotFound:
        known = f"; there are: {listed(aliases, label)}" if aliases else ""
        raise NotFound(f"no alias or revision '{label}'{known}", label=label) from None
    await client.set_auth(revision.id, mode)
    return revision.id, revision.url


@function.command("delete")
@click.argument("name", metavar="NAME|REVISION", shell_complete=complete_label)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@pass_session
def delete(session: Session, name: str, yes: bool) -> None:
    """Delete a function or a revision.

    A function goes with all its revisions and aliases.
    """
    found = session.ask(lambda client: _function_or_revision(client, name))
    what = _described(found)
    if not yes:
        confirm(f"Delete {what}?")
    if isinstance(found, Function):
        session.ask(lambda client: client.delete_function(found.name))
    else:
        session.ask(lambda client: client.delete_revision(found.id))
    output.data(f"Deleted {what}.")


async def _function_or_revision(client: Client, name: str) -> Function | Revision:
    try:
        return await client.function(name)
    except NotFound as missing:
        try:
            return await client.revision(name)
        except NotFound:
            raise missing from None


def _described(found: Function | Revision) -> str:
    if isinstance(found, Revision):
        return f"revision '{found.id}' of function '{found.function}'"
    if found.anonymous:
        return f"anonymous function '{found.name}'"
    many = f"{found.revisions} revision{'s' if found.revisions != 1 else ''}"
    names = f" and alias{'es' if len(found.aliases) > 1 else ''} {', '.join(found.aliases)}"
    return f"function '{found.name}' with {many}{names if found.aliases else ''}"


def confirm(question: str) -> None:
    """Ask on the terminal; without one, refuse: nobody can have meant it."""
    import sys

    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; --yes goes ahead without")
    click.confirm(question, abort=True, err=True)
