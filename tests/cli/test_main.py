"""Options of the program itself, and what becomes of errors."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping

import click
import pytest

from cli.conftest import CONSOLE, Program
from fal_serverless import __version__, errors
from fal_serverless.cli import examples, main
from fal_serverless.models import LEVELS

SLOW = ("httpx", "sqlalchemy", "uvicorn", "textual", "starlette", "alembic", "tomlkit")


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in group.commands.items():
        inner = (*path, name)
        found += every_command(command, inner) if isinstance(command, click.Group) else [inner]
    return found


def test_help_of_anything_imports_nothing_slow() -> None:
    program = (
        "import sys\nfrom fal_serverless.cli import main\n"
        f"for path in {every_command(main.program)!r}:\n"
        "    assert main.run([*path, '--help']) == 0, path\n"
        f"print([name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == "[]\n"


EXAMPLES = [
    (path, line.partition(" | ")[0])
    for path, text in examples.EXAMPLES.items()
    for line in text.strip().splitlines()
    if not line.strip().startswith("eval")
]


@pytest.mark.parametrize(("path", "line"), EXAMPLES)
def test_examples_are_lines_that_the_program_takes(path: str, line: str) -> None:
    words = shlex.split(line)[1:]
    ctx = main.program.make_context(main.PROGRAM, words)
    while isinstance(ctx.command, click.Group):
        name, command, rest = ctx.command.resolve_command(ctx, [*ctx._protected_args, *ctx.args])
        assert command is not None
        ctx = command.make_context(name, list(rest), parent=ctx)
    assert line.strip() in examples.command_at(main.program, path).get_help(ctx)


def test_version(alone: Program) -> None:
    assert alone("--version").out == f"fal-serverless {__version__}\n"


def test_without_a_command_there_is_help_and_code_2(alone: Program) -> None:
    ran = alone()
    assert (ran.code, ran.out) == (2, "") and "Commands:" in ran.err


@pytest.mark.parametrize(
    ("other", "name"),
    [("fn", "function"), ("keys", "key"), ("aliases", "alias"), ("workers", "worker")],
)
def test_groups_answer_to_their_other_names(other: str, name: str) -> None:
    with click.Context(main.program) as ctx:
        assert main.program.get_command(ctx, other) is main.program.get_command(ctx, name)
    assert other not in main.program.commands


@pytest.mark.parametrize(
    ("args", "names"),
    [
        (["key", "generate", "--scope"], ["ADMIN", "API"]),
        (["function", "logs", "--level"], list(LEVELS)),
    ],
)
def test_words_of_any_case_are_named_as_they_are_written(
    alone: Program, args: list[str], names: list[str]
) -> None:
    ran = alone(*args, "X")
    assert ran.code == 2
    assert f"'X' is not one of {', '.join(map(repr, names))}." in ran.err
    assert f"[{'|'.join(names)}]" in " ".join(alone(*args[:-1], "--help").out.split())


@pytest.mark.parametrize(
    "args",
    [["nope"], ["function", "serve"], ["key", "generate", "--scope", "ROOT"], ["--key", "x"]],
)
def test_wrong_usage_is_one_line_and_code_2(alone: Program, args: list[str]) -> None:
    ran = alone(*args, *(["context", "list"] if args == ["--key", "x"] else []))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Error: ") and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.BadInput("x"), 1),
        (errors.Unreachable("x"), 3),
        (errors.NotAuthenticated("x"), 4),
        (errors.ReadOnly("x"), 4),
        (errors.NotFound("x"), 5),
    ],
)
def test_exit_codes(error: errors.FalError, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.report(error) == code
    assert capsys.readouterr().err == "Error: x\n"


def test_a_bug_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.report(KeyError("x")) == 1
    assert capsys.readouterr().err.startswith("Error: KeyError: 'x' (a bug of")


def test_debug_shows_where(alone: Program) -> None:
    ran = alone("--debug", "--context", "nope", "function", "list")
    assert ran.code == 5
    assert ran.err.startswith("Traceback") and ran.err.endswith("there are: local\n")


def test_a_reader_that_leaves_is_no_traceback(alone_env: Mapping[str, str]) -> None:
    command = f"{CONSOLE} function serve --help | true"
    ran = subprocess.run(["bash", "-c", command], env=alone_env, capture_output=True, text=True)
    assert ran.stderr == ""


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["function", "list", "--context", "prod"], ["--context", "prod", "function", "list"]),
        (
            ["alias", "list", "--context=prod", "--json"],
            ["--context=prod", "alias", "list", "--json"],
        ),
        (["invoke", "--", "--context", "prod"], ["invoke", "--", "--context", "prod"]),
        (["function", "list", "--context"], ["function", "list", "--context"]),
    ],
)
def test_the_context_may_stand_behind_the_command(given: list[str], read: list[str]) -> None:
    assert main.context_first(given) == read


def test_who_ignores_the_end_of_a_terminal_goes_on_ignoring_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {signal.SIGHUP: signal.SIG_IGN, signal.SIGTERM: signal.SIG_DFL}
    handled: list[int] = []
    monkeypatch.setattr(signal, "getsignal", known.__getitem__)
    monkeypatch.setattr(signal, "signal", lambda number, _: handled.append(number))
    main._end_in_order()
    assert handled == [signal.SIGTERM]
