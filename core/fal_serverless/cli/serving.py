"""`function serve`: a file and a name become a revision that answers."""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fal_serverless.cli import output
from fal_serverless.cli.completing import complete_alias, complete_function
from fal_serverless.cli.session import Session, as_json, pass_session, run
from fal_serverless.endpoint import check_alias
from fal_serverless.errors import BadAnswer
from fal_serverless.models import AUTH_MODES, AuthMode

if TYPE_CHECKING:
    from fal_serverless.models import Served, ServeEvent


@dataclass(frozen=True)
class Order:
    """What is to be served, and how."""

    path: Path
    name: str
    alias: str | None
    auth: AuthMode | None
    message: str
    from_source: bool
    python: Path | None
    as_json: bool


@click.command("serve")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("name", metavar="NAME", required=False, shell_complete=complete_function)
@click.option(
    "--alias",
    shell_complete=complete_alias,
    help="Label to make, or to move to the new revision.",
)
@click.option("--auth", type=click.Choice(AUTH_MODES), help="Who may call it; private if new.")
@click.option("--message", "-m", default="", help="Kept with the revision.")
@click.option(
    "--from-source", is_flag=True, help="Let the worker import the file; run nothing here."
)
@click.option(
    "--python",
    type=click.Path(path_type=Path),
    help="Interpreter that loads the file: a path, a virtual environment, or a version.",
)
@click.option("--watch", is_flag=True, help="Serve again whenever the file changes.")
@as_json
@pass_session
def serve(
    session: Session,
    path: Path,
    name: str | None,
    alias: str | None,
    auth: AuthMode | None,
    message: str,
    from_source: bool,
    python: Path | None,
    watch: bool,
    as_json: bool,
) -> None:
    """Register a function as a new revision.

    NAME is a function in FILE. With --alias its URL names the alias, which moves once the revision
    is ready. Without, the function is anonymous and reached by the revision's id.
    """
    if name is None:
        raise click.UsageError(_nameless(path))
    order = Order(path, name, alias, auth, message, from_source, python, as_json)
    if watch:
        from fal_serverless.cli.watching import watch as watching

        run(watching(session, order))
    else:
        run(serve_once(session, order))


def _nameless(path: Path) -> str:
    """What is missing, and what it could be; nothing of the file is run for it."""
    from fal_serverless import source

    file, colon, name = str(path).partition(":")
    if colon:
        return f"Missing argument 'NAME': file and function are two words, as in {file} " + (
            name.strip(":") or "NAME"
        )
    names = ", ".join(found.name for found in source.scan(path) if found.isolated)
    return f"Missing argument 'NAME'; {path.name} has: {names or 'no isolated function'}"


async def serve_once(session: Session, order: Order) -> Served:
    """Bundle, send, and print the two lines (or JSON) of what was registered."""
    from fal_serverless import source

    if order.alias is not None:
        # Before the file is run; the backend checks again, and knows the user.
        check_alias(order.alias, session.user_id or "1")
    started = time.perf_counter()
    bundle = await source.bundle(
        order.path,
        order.name,
        python=order.python,
        from_source=order.from_source,
        config=session.config,
        log=output.say,
    )
    seconds = time.perf_counter() - started
    output.say(f"Loaded {order.name} from {order.path} in {seconds:.2f} s")
    async with await session.connect() as client:
        sent = client.serve(bundle, alias=order.alias, auth=order.auth, message=order.message)
        async with aclosing(sent) as events:
            async for event in events:
                _tell(event)
                if event.served is not None:
                    _print(event.served, order)
                    return event.served
    raise BadAnswer("the backend ended the serve without a result")


def _tell(event: ServeEvent) -> None:
    if event.kind == "phase":
        output.say(f"{event.phase}: {event.message}" if event.message else f"{event.phase}")
    elif event.kind == "log":
        output.say("  " + (event.entry.message if event.entry else event.message))


def _print(served: Served, order: Order) -> None:
    if order.as_json:
        output.values(served)
        return
    revision = served.revision
    if revision.anonymous:
        output.data(f"Registered anonymous function '{revision.id}'.")
    else:
        output.data(
            f"Registered a new revision for function '{revision.function}' "
            f"(revision='{revision.id}')."
        )
    output.data(f"URL: {served.url}")
