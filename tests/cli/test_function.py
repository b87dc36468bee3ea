"""`function`, `alias`, `key`, `worker`, `user` against a real backend."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bundles import HEAD, Write
from cli.conftest import CONSOLE, Program
from cli.test_serving import UUID
from running import FUNCTIONS, RunningBackend

TEXT = HEAD + (
    "@isolated(serve=True, max_concurrency=3)\n"
    'def greet(name: str, times: int = 1) -> str:\n    """Say hello.\n\n    More."""\n'
    "    return 'hello ' * times + name + ' from {}'\n"
)


@dataclass(frozen=True)
class Two:
    """An alias that was served twice."""

    alias: str
    old: str
    new: str


@pytest.fixture
def two(program: Program, write: Write, request: pytest.FixtureRequest) -> Iterator[Two]:
    alias = re.sub(r"[^a-z0-9]", "-", request.node.name[5:45])
    served = [
        program(
            "fn", "serve", write(TEXT.format(which)), "greet", "--alias", alias, "-m", which,
            "--json",
        ).out
        for which in ("first", "second")
    ]  # fmt: skip
    old, new = (json.loads(out)["revision"]["id"] for out in served)
    yield Two(alias, old, new)
    program("function", "delete", alias, "--yes")


def call(program: Program, label: str) -> str:
    return program("function", "invoke", label, "-d", '{"name": "you"}').out


def test_rollback_goes_back_and_a_second_one_returns(program: Program, two: Two) -> None:
    assert "second" in call(program, two.alias)
    ran = program("function", "rollback", two.alias)
    assert re.fullmatch(
        rf"Rolled back alias '{two.alias}': {two.new[:8]} → {two.old[:8]} "
        rf"\(revision='{two.old}'\) in \d+\.\d\d s\.\n",
        ran.out,
    )
    assert "first" in call(program, two.alias)
    program("function", "rollback", two.alias)
    assert "second" in call(program, two.alias)


def test_rollback_takes_the_beginning_of_an_id(program: Program, two: Two) -> None:
    assert program("fn", "rollback", two.alias, two.old[:10], "-m", "bad day").code == 0
    history = program("alias", "history", two.alias)
    assert history.lines[0].split() == ["When", "From", "To", "By", "Reason", "Message"]
    assert re.search(rf"{two.new}  {two.old}  \w+ +rollback +bad day$", history.lines[1])


@pytest.mark.parametrize(
    "args",
    [
        ("function", "rollback", "nobody"),
        ("function", "show", "nobody"),
        ("function", "revisions", "nobody"),
        ("function", "delete", "nobody", "--yes"),
        ("function", "auth", "nobody", "public"),
        ("alias", "set", "nobody", "00000000"),
        ("alias", "delete", "nobody"),
        ("alias", "history", "nobody"),
        ("key", "revoke", "nobody"),
        ("worker", "stop", "nobody"),
    ],
)
def test_what_does_not_exist_is_one_line_and_code_5(
    program: Program, args: tuple[str, ...]
) -> None:
    ran = program(*args)
    assert (ran.code, ran.out) == (5, ""), ran.err
    assert ran.err.startswith("Error: ") and ran.err.count("\n") == 1


def test_names_that_exist_are_told_without_ids(program: Program, two: Two) -> None:
    program("function", "serve", FUNCTIONS / "texts.py", "call_text")
    said = program("function", "show", "nobody").err
    assert "nobody'; there are: " in said and not re.search(UUID, said)


def test_rollback_to_an_unknown_revision_moves_nothing(program: Program, two: Two) -> None:
    assert program("function", "rollback", two.alias, "ffffffff").code == 5
    assert "second" in call(program, two.alias)


def test_lists_have_their_headings_and_whole_ids(program: Program, two: Two) -> None:
    functions = program("function", "list")
    assert functions.lines[0].split() == [
        "Function", "Aliases", "Live", "Revisions", "Auth", "Served", "URL",
    ]  # fmt: skip
    revisions = program("fn", "revisions", two.alias).lines
    assert revisions[1].startswith(two.new) and revisions[1].endswith("second")
    aliases = program("alias", "list")
    assert re.fullmatch(r"Alias +Revision +Auth +Max Concurrency", aliases.lines[0])
    assert f"{two.alias} {two.new} private 3" in [" ".join(x.split()) for x in aliases.lines]


@pytest.mark.parametrize(
    "args", [("function",), ("alias",), ("key",), ("worker",), ("user",), ("context",)]
)
def test_every_list_is_json_when_asked(program: Program, args: tuple[str, ...]) -> None:
    assert isinstance(json.loads(program(*args, "list", "--json").out), list)


def test_show_answers_to_alias_function_revision_and_url(
    program: Program, two: Two, backend: RunningBackend
) -> None:
    url = f"1-{two.alias}.gateway.localhost:{backend.port}"
    for name in (two.alias, url, two.new, two.new[:9]):
        shown = dict(
            re.split(r": +", line, maxsplit=1)
            for line in program("function", "show", name).lines
            if ": " in line[:20]
        )
        assert shown["Revision"] == two.new
        assert shown["Signature"] == "greet(name: str, times: int = 1)"
        assert (shown["About"], shown["Message"]) == ("Say hello.", "second")
        assert shown["Options"] == "max_concurrency=3"


def test_the_curl_line_of_show_works_as_it_is(
    program: Program, two: Two, backend: RunningBackend
) -> None:
    line = program("function", "show", two.alias).lines[-1]
    key_id, _, secret = backend.key.partition(":")
    env = {**backend.env, "FAL_KEY_ID": key_id, "FAL_KEY_SECRET": secret}
    ran = subprocess.run(["bash", "-c", line], env=env, capture_output=True, text=True)
    assert shlex.split(line)[0] == "curl" and ran.stdout == '"hello ... from second"'


def test_auth_is_in_force_from_the_next_call_on(
    program: Program, two: Two, backend: RunningBackend
) -> None:
    def status() -> str:
        url = f"http://127.0.0.1:{backend.port}/1/{two.alias}"
        curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-d", '{"name":"x"}', url]
        return subprocess.run(curl, capture_output=True, text=True).stdout

    assert status() == "401"
    ran = program("function", "auth", two.alias, "public")
    assert ran.out == f"'{two.alias}' is now public.\n" and "can call it" in ran.err
    assert status() == "200"
    program("function", "auth", two.alias, "private")
    assert status() == "401"


def test_a_revision_an_alias_points_at_cannot_be_deleted(program: Program, two: Two) -> None:
    assert program("function", "delete", two.new, "--yes").code == 1
    ran = program("function", "delete", two.old, "--yes")
    assert ran.out == f"Deleted revision '{two.old}' of function '{two.alias}'.\n"


def test_delete_refuses_without_a_terminal_to_ask_on(program: Program, two: Two) -> None:
    ran = program("function", "delete", two.alias)
    assert ran.code == 2 and "--yes" in ran.err
    assert program("function", "show", two.alias).code == 0


@pytest.mark.parametrize(("answer", "code"), [("n", 130), ("y", 0)])
def test_delete_asks_on_a_terminal(
    program: Program, backend: RunningBackend, write: Write, answer: str, code: int
) -> None:
    program("fn", "serve", write(TEXT.format("x")), "greet", "--alias", "asked")
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(
        [CONSOLE, "function", "delete", "asked"],
        env=backend.env, stdin=theirs, capture_output=True, text=True,
    )  # fmt: skip
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code
    assert re.match(r"Delete function 'asked' with \d revisions? and alias asked\?", done.stderr)
    assert program("function", "show", "asked").code == (5 if code == 0 else 0)


def test_alias_set_makes_a_further_alias_and_delete_removes_it(program: Program, two: Two) -> None:
    made = program("alias", "set", "further", two.old[:12], "--auth", "shared")
    assert made.lines[0] == f"Alias 'further' points at revision '{two.old}' (shared)."
    assert "first" in call(program, "further")
    assert program("alias", "delete", "further").out == "Deleted alias 'further'.\n"


def test_a_key_is_shown_in_the_originals_words_once(program: Program) -> None:
    made = program("key", "generate", "--scope", "API", "--alias", "ci")
    assert made.lines[:3] == [
        "Generated key id and key secret, with the scope `API`.",
        "This is the only time the secret will be visible.",
        "You will need to generate a new key pair if you lose access to this secret.",
    ]
    key_id = re.fullmatch(r"FAL_KEY_ID='(.+)'", made.lines[3])
    secret = re.fullmatch(r"FAL_KEY_SECRET='(.+)'", made.lines[4])
    assert key_id and secret
    listed = program("keys", "list").out
    assert key_id[1] in listed and "ci" in listed and secret[1] not in listed
    assert program("key", "revoke", key_id[1]).out == f"Revoked key '{key_id[1]}'.\n"
    assert key_id[1] not in program("key", "list").out


def test_a_worker_is_listed_and_stopped(program: Program, two: Two) -> None:
    call(program, two.alias)
    workers = json.loads(program("worker", "list", "--json").out)
    mine = next(w["id"] for w in workers if w["revision"] == two.new)
    assert program("workers", "stop", mine).out == f"Stopped worker '{mine}'.\n"
    assert mine not in program("worker", "list").out


def test_a_user_is_added_with_a_key_and_a_nickname_is_taken_once(program: Program) -> None:
    added = program("user", "add", "ada")
    assert re.fullmatch(r"Added user 'ada' with the id \d+\.", added.lines[0])
    assert added.lines[-1].startswith("FAL_KEY_SECRET='")
    assert program("user", "add", "ada").code == 1
    assert "ada" in program("user", "list").out
