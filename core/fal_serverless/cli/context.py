"""`context`: the backends this machine knows, and the one in use."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import urlsplit

import click

from fal_serverless.cli import output
from fal_serverless.cli.completing import complete_context
from fal_serverless.cli.session import Session, as_json, pass_session
from fal_serverless.config import (
    LOCAL,
    PREFIX,
    Context,
    chosen_context,
    forget_context,
    forget_key,
    save_context,
    save_setting,
)
from fal_serverless.errors import InvalidSetting

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@click.group()
def context() -> None:
    """Backends to talk to."""


@context.command("add")
@click.argument("name")
@click.argument("url")
@click.option("--key", default="", metavar="ID:SECRET", help="Kept in the credentials file.")
@click.option(
    "--user-id", default="", help="The user the key belongs to; with it, an API key calls by label."
)
@click.option(
    "--ca",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Certificates that vouch for the backend's.",
)
@click.option(
    "--protected/--no-protected",
    default=None,
    help="fal-tui asks for the name before a change.",
)
@click.option("--readonly/--no-readonly", default=None, help="Refuse every change.")
@pass_session
def add(
    session: Session,
    name: str,
    url: str,
    key: str,
    user_id: str,
    ca: str | None,
    protected: bool | None,
    readonly: bool | None,
) -> None:
    """Remember a backend under NAME, or change what is remembered.

    Of one that is known, what is not said stays as it is; --no-protected and --no-readonly take
    back what was said before. Its key goes to no other host: there, --key says a new one.
    """
    _check(name, url, key)
    known = session.config.contexts.get(name)
    before = known or Context(name, "")
    if known and _host(known.url) != _host(url):
        before = replace(known, key="", user_id="")
        forget_key(session.config.paths, name)
    made = Context(
        name,
        url.rstrip("/"),
        # Another key may be another user's.
        user_id=user_id or ("" if key else before.user_id),
        key=key or before.key,
        protected=before.protected if protected is None else protected,
        readonly=before.readonly if readonly is None else readonly,
        ca=ca or before.ca,
    )
    save_context(session.config.paths, made)
    output.data(f"{'Changed' if known else 'Added'} context '{name}' ({made.url}).")
    if known and known.key and not made.key:
        output.say(
            f"Note: its key was for {_host(known.url)}; --key ID:SECRET says one for this host"
        )


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _check(name: str, url: str, key: str) -> None:
    if name == LOCAL:
        raise InvalidSetting(f"'{LOCAL}' is the embedded backend; choose another name")
    if not _NAME.fullmatch(name):
        raise InvalidSetting(f"context name {name!r} must be letters, digits, '-' and '_'")
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", url):
        raise InvalidSetting(f"url {url!r} must look like http://host:3250")
    if key and not re.fullmatch(r"[^:\s]+:\S+", key):
        raise InvalidSetting("a key looks like id:secret")


@context.command("use")
@click.argument("name", shell_complete=complete_context)
@pass_session
def use(session: Session, name: str) -> None:
    """Make NAME the context of commands that name none."""
    chosen = session.config.context(name)
    save_setting(session.config.paths, "context", chosen.name)
    output.data(f"Using context '{chosen.name}'.")
    by_environment = session.config.environ.get(PREFIX + "CONTEXT")
    if by_environment and by_environment != chosen.name:
        output.say(f"Note: {PREFIX}CONTEXT={by_environment} is set, and wins over it.")


@context.command("delete")
@click.argument("name", shell_complete=complete_context)
@pass_session
def delete(session: Session, name: str) -> None:
    """Forget a backend and the key for it. The backend itself is not touched."""
    found, paths = session.config.context(name), session.config.paths
    if found.embedded:
        raise InvalidSetting(f"'{LOCAL}' is the backend of this machine, and always known")
    used = chosen_context(paths) == found.name
    forget_context(paths, found.name)
    output.data(f"Deleted context '{found.name}'.")
    if used:
        output.say(f"It was the one in use; now it is '{LOCAL}'.")


@context.command("list")
@as_json
@pass_session
def list_contexts(session: Session, as_json: bool) -> None:
    """List the contexts; the one in use is marked."""
    config = session.config
    used = session.context or config.settings.context
    shown = [_row(item, item.name == used) for item in config.contexts.values()]
    headings = ("", "Context", "URL", "User", "Key", "Protected", "Readonly")
    output.models(shown, as_json, headings, lambda r: (
        "*" if r["used"] else "", r["name"], r["url"] or "(embedded)", r["user_id"], r["key_id"],
        r["protected"], r["readonly"],
    ))  # fmt: skip


def _row(context: Context, used: bool) -> dict[str, str | bool]:
    """What may be shown: the id of the key, never its secret."""
    return {
        "name": context.name,
        "url": context.url,
        "user_id": context.user_id,
        "key_id": context.key.partition(":")[0],
        "protected": context.protected,
        "readonly": context.readonly,
        "used": used,
    }
