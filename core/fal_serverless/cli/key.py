"""`key`: pairs of id and secret that open endpoints and the control API."""

from __future__ import annotations

import click

from fal_serverless.cli import output
from fal_serverless.cli.choice import AnyCase
from fal_serverless.cli.completing import complete_key
from fal_serverless.cli.session import Session, as_json, pass_session
from fal_serverless.models import SCOPES, NewKey, Scope


@click.group()
def key() -> None:
    """Keys for endpoints and the control API."""


@key.command("generate")
@click.option(
    "--scope",
    type=AnyCase(SCOPES),
    default="API",
    show_default=True,
    help="ADMIN opens control API and endpoints, API endpoints only.",
)
@click.option("--alias", "label", default="", help="A name for people.")
@as_json
@pass_session
def generate(session: Session, scope: Scope, label: str, as_json: bool) -> None:
    """Make a key; its secret is shown this once."""
    made = session.ask(lambda client: client.generate_key(scope, label))
    if as_json:
        output.values(made)
        return
    output.data(f"Generated key id and key secret, with the scope `{made.key.scope}`.")
    output.data("This is the only time the secret will be visible.")
    output.data("You will need to generate a new key pair if you lose access to this secret.")
    show_pair(made)


def show_pair(made: NewKey) -> None:
    """As a shell takes it."""
    output.data(f"FAL_KEY_ID='{made.key.id}'")
    output.data(f"FAL_KEY_SECRET='{made.secret}'")


@key.command("list")
@as_json
@pass_session
def list_keys(session: Session, as_json: bool) -> None:
    """List all keys, without their secrets."""
    found = session.ask(lambda client: client.keys())
    headings = ("Key ID", "Scope", "Alias", "User", "Created")
    output.models(
        found, as_json, headings, lambda k: (k.id, k.scope, k.alias, k.user, k.created_at)
    )


@key.command("revoke")
@click.argument("key_id", shell_complete=complete_key)
@pass_session
def revoke(session: Session, key_id: str) -> None:
    """Make a key worthless, from the next request on."""
    session.ask(lambda client: client.revoke_key(key_id))
    output.data(f"Revoked key '{key_id}'.")
