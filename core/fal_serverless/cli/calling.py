"""`function invoke`: one call of an endpoint, its answer as it came."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fal_serverless.cli import output
from fal_serverless.cli.completing import complete_label
from fal_serverless.cli.session import Session, pass_session
from fal_serverless.endpoint import Target, is_revision_id, parse_target
from fal_serverless.errors import (
    EXIT_ERROR,
    EXIT_NOT_ALLOWED,
    EXIT_NOT_FOUND,
    FalError,
    NotAllowed,
    listed,
)

if TYPE_CHECKING:
    from fal_serverless.client import Client
    from fal_serverless.models import Answer

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A method's name, and a header's: RFC 9110, section 5.6.2."""
_EXIT = {401: EXIT_NOT_ALLOWED, 403: EXIT_NOT_ALLOWED, 404: EXIT_NOT_FOUND}


@click.command("invoke")
@click.argument("target", metavar="URL|LABEL", shell_complete=complete_label)
@click.option("--data", "-d", default="", help="Body: JSON, @FILE, or - for stdin.")
@click.option("--method", "-X", default="POST", show_default=True, help="HTTP method.")
@click.option(
    "--header",
    "-H",
    "headers",
    multiple=True,
    metavar="NAME: VALUE",
    help="Header; again for more.",
)
@click.pass_context
@pass_session
def invoke(
    session: Session,
    ctx: click.Context,
    target: str,
    data: str,
    method: str,
    headers: tuple[str, ...],
) -> None:
    """Call an endpoint with your key.

    The body of the answer goes to stdout as it is. The endpoint is a label
    like `call`, or a URL with the path to call.
    """
    place = parse_target(target)
    body, sent = body_of(data), dict(_header(line) for line in headers)
    verb = method.upper()
    if not _TOKEN.fullmatch(verb):
        raise click.BadParameter(f"{method!r} is no method of HTTP", param_hint="--method")
    answer, hint = session.ask(lambda client: _call(client, session, place, verb, body, sent))
    output.raw(answer.body)
    if answer.status >= 400:
        output.error(f"{verb} {target} answered {answer.status}{hint}")
        ctx.exit(_EXIT.get(answer.status, EXIT_ERROR))


async def _call(
    client: Client,
    session: Session,
    place: Target,
    method: str,
    body: bytes,
    headers: dict[str, str],
) -> tuple[Answer, str]:
    """The answer, and what helps when it is none that was hoped for."""
    user = place.user or await _user(client, session)
    answer = await client.invoke(
        place.label, body, method=method, path=place.path, headers=headers, user=user
    )
    return answer, await _hint(client, place, answer)


async def _hint(client: Client, place: Target, answer: Answer) -> str:
    """Where the reason of a failure stands, which is never in an answer; names that exist."""
    if answer.status >= 500 and answer.request_id:
        return f"; why: fal-serverless function logs --request-id {answer.request_id}"
    if answer.status != 404 or place.user or is_revision_id(place.label):
        return ""
    with suppress(FalError):  # a key that may call need not be one that may list
        names = {alias.name for alias in await client.aliases()}
        if names and place.label not in names:
            return f"; there are: {listed(names, place.label)}"
    return ""


async def _user(client: Client, session: Session) -> str:
    """Whose label is meant: ours. An API key may not ask whose it is; its context may say."""
    try:
        return (await client.user()).id
    except NotAllowed as exc:
        if session.user_id:
            return session.user_id
        say = f"{exc.message}; call by URL, or name its user with context add --user-id"
        raise NotAllowed(say) from None


def body_of(text: str) -> bytes:
    """What `-d` says, as curl has it. A missing file is a usage error."""
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as exc:
        raise click.BadParameter(f"{text[1:]}: {exc.strerror}", param_hint="--data") from exc


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.fullmatch(name.strip()) or not value.strip().isprintable():
        raise click.BadParameter(f"{line!r} is not 'Name: value'", param_hint="--header")
    return name.strip(), value.strip()
