"""`user`: who functions belong to."""

from __future__ import annotations

import click

from fal_serverless.cli import output
from fal_serverless.cli.key import show_pair
from fal_serverless.cli.session import Session, as_json, pass_session


@click.group()
def user() -> None:
    """Users of a backend."""


@user.command("add")
@click.argument("nickname")
@as_json
@pass_session
def add(session: Session, nickname: str, as_json: bool) -> None:
    """Add a user, with a first ADMIN key of theirs."""
    made, first = session.ask(lambda client: client.add_user(nickname))
    if as_json:
        output.values({"user": made, "key": first})
        return
    output.data(f"Added user '{made.nickname}' with the id {made.id}.")
    output.data("This is the only time the secret of their key will be visible.")
    show_pair(first)


@user.command("list")
@as_json
@pass_session
def list_users(session: Session, as_json: bool) -> None:
    """List all users."""
    found = session.ask(lambda client: client.users())
    headings = ("ID", "Nickname", "Created")
    output.models(found, as_json, headings, lambda u: (u.id, u.nickname, u.created_at))
