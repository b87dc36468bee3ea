"""The program `fal-serverless`: global options, groups, and what becomes of errors."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import click

from fal_serverless import __version__, config
from fal_serverless.cli import output
from fal_serverless.cli.alias import alias
from fal_serverless.cli.audit import audit
from fal_serverless.cli.backend import backend
from fal_serverless.cli.completing import complete_context, completion
from fal_serverless.cli.context import context
from fal_serverless.cli.environment import environment
from fal_serverless.cli.examples import add_examples
from fal_serverless.cli.function import function
from fal_serverless.cli.key import key
from fal_serverless.cli.session import Session
from fal_serverless.cli.user import user
from fal_serverless.cli.worker import worker
from fal_serverless.errors import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, FalError

PROGRAM = "fal-serverless"
OTHER_NAMES = {
    "fn": "function",
    "aliases": "alias",
    "keys": "key",
    "workers": "worker",
    "env": "environment",
    "environments": "environment",
}


class Groups(click.Group):
    """Answers to the other names, without listing them twice."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, OTHER_NAMES.get(cmd_name, cmd_name))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # As under `head`: the reader has what it wanted. click would call it an error.
            output.leave()
            return EXIT_OK


@click.group(cls=Groups, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--context",
    "context_name",
    metavar="NAME",
    shell_complete=complete_context,
    help="The backend to talk to.",
)
@click.option("--key", "key_pair", metavar="ID:SECRET", help="Key for a context other than local.")
@click.option("--debug", is_flag=True, help="Show where an error came from.")
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def program(
    ctx: click.Context, context_name: str | None, key_pair: str | None, debug: bool
) -> None:
    """Serve Python functions over HTTP, with revisions, aliases, rollback and logs."""
    if key_pair is not None and ":" not in key_pair:
        raise click.BadParameter("a key looks like id:secret", param_hint="--key")
    read = config.load()
    for note in read.unknown:
        output.say(f"Note: {note}")
    ctx.obj = Session(read, context_name, key_pair, debug)


for group in (function, alias, key, worker, environment, user, audit, context, backend):
    program.add_command(group)
program.add_command(completion)
add_examples(program)


def main(args: Sequence[str] | None = None) -> None:
    """Run the program and exit with its code."""
    output.prepare()
    _end_in_order()
    given = list(sys.argv[1:] if args is None else args)
    try:
        code = run(given)
    finally:
        output.finish()
    sys.exit(code)


def _end_in_order() -> None:
    """Told to end, it first ends what it started and removes what it laid aside."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def context_first(args: list[str]) -> list[str]:
    """`--context NAME` may stand anywhere before `--`; click knows it before the group only."""
    end = args.index("--") if "--" in args else len(args)
    for place in range(end):
        if args[place] == "--context" and place + 1 < end:
            return [*args[place : place + 2], *args[:place], *args[place + 2 :]]
        if args[place].startswith("--context="):
            return [args[place], *args[:place], *args[place + 1 :]]
    return args


def run(args: list[str]) -> int:
    """The exit code; what went wrong is on stderr in one line."""
    try:
        result = program.main(args=context_first(args), prog_name=PROGRAM, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except Exception as exc:
        if "--debug" in args:
            output.say(_whole(exc))
        return report(exc)


def report(exc: Exception) -> int:
    """Say it in a line; the exit code it means."""
    if isinstance(exc, click.UsageError):
        output.say(_usage(exc))
        return EXIT_USAGE
    if isinstance(exc, click.ClickException):
        output.error(exc.format_message())
        return exc.exit_code
    if isinstance(exc, FalError):
        output.error(exc.message)
        return exc.exit_code
    output.error(f"{type(exc).__name__}: {exc} (a bug of {PROGRAM}; --debug shows where)")
    return EXIT_ERROR


def _usage(exc: click.UsageError) -> str:
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):
        return exc.format_message()
    command = exc.ctx.command_path if exc.ctx else PROGRAM
    return f"Error: {' '.join(exc.format_message().split())} (see: {command} --help)"


def _whole(exc: Exception) -> str:
    """The traceback; for an error in the user's file, theirs."""
    if isinstance(exc, FalError) and "traceback" in exc.data:
        return str(exc.data["traceback"])
    return "".join(traceback.format_exception(exc))


if __name__ == "__main__":
    main()
