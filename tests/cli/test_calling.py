"""`function invoke`: what is sent, and what becomes of the answer."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from bundles import HEAD, Write
from cli.conftest import Program, run_here
from fal_serverless.cli.calling import body_of
from running import FUNCTIONS, RunningBackend


@pytest.fixture
def label(program: Program) -> str:
    program("function", "serve", FUNCTIONS / "texts.py", "call_text", "--alias", "calling")
    return "calling"


def test_the_body_is_what_comes_back(program: Program, label: str, backend: RunningBackend) -> None:
    url = f"http://1-{label}.gateway.localhost:{backend.port}"
    path = f"http://127.0.0.1:{backend.port}/1/{label}"
    for target in (label, url, url.removeprefix("http://"), path, f"1/{label}"):
        ran = program("function", "invoke", target, "-d", '{"text": "höre"}')
        assert (ran.code, ran.out, ran.err) == (0, '"höre"', "")


def test_query_parameters_of_a_url_arrive(program: Program, label: str) -> None:
    assert program("function", "invoke", f"{label}/?times=2&text=a", "-d", "{}").out == '"aa"'


def test_the_body_comes_from_a_file_or_stdin(program: Program, label: str, tmp_path: Path) -> None:
    (tmp_path / "body.json").write_text('{"text": "file"}')
    assert program("fn", "invoke", label, "-d", f"@{tmp_path / 'body.json'}").out == '"file"'
    assert program("fn", "invoke", label, "-d", "-", stdin='{"text": "in"}').out == '"in"'
    with pytest.raises(click.BadParameter, match="No such file"):
        body_of("@/no/where.json")


@pytest.mark.parametrize(
    ("args", "status", "code"),
    [
        (("-d", '{"str": "x"}'), 422, 1),
        (("-d", "{nonsense"), 400, 1),
        (("-X", "GET"), 405, 1),
        (("/sub",), 404, 5),
    ],
)
def test_a_refused_call_still_prints_its_body(
    program: Program, label: str, args: tuple[str, ...], status: int, code: int
) -> None:
    path, rest = (args[0], args[1:]) if args[0].startswith("/") else ("", args)
    ran = program("function", "invoke", label + path, *rest)
    assert ran.code == code and "detail" in json.loads(ran.out)
    assert ran.err.startswith("Error: ") and ran.err.endswith(f"answered {status}\n")


def test_an_unknown_label_is_code_5_and_a_wrong_key_code_4(
    program: Program, label: str, backend: RunningBackend, alone_env: dict[str, str]
) -> None:
    # Of many, as other tests have left here, those are named that begin alike.
    ran = program("function", "invoke", f"{label}-nobody")
    assert ran.code == 5 and "answered 404; there are: " in ran.err and label in ran.err
    run_here(alone_env, "context", "add", "there", backend.url)
    url = f"1-{label}.gateway.localhost:{backend.port}"
    for key in ("00000000-0000-4000-8000-000000000000:wrong", "a:b"):
        ran = run_here(alone_env, "--context", "there", "--key", key, "function", "invoke", url)
        assert ran.code == 4 and ran.err.endswith("answered 401\n")


def test_an_api_key_may_call_by_url(
    program: Program, label: str, backend: RunningBackend, alone_env: dict[str, str]
) -> None:
    made = json.loads(program("key", "generate", "--json").out)
    run_here(alone_env, "context", "add", "there", backend.url)
    env = {**alone_env, "FAL_KEY_ID": made["key"]["id"], "FAL_KEY_SECRET": made["secret"]}
    url = f"1-{label}.gateway.localhost:{backend.port}"
    ran = run_here(env, "--context", "there", "function", "invoke", url, "-d", '{"text": "a"}')
    assert (ran.code, ran.out) == (0, '"a"')


def test_headers_are_sent_and_must_have_a_colon(program: Program, label: str) -> None:
    sent = program("fn", "invoke", label, "-d", '{"text": "a"}', "-H", "X-Fal-Request-Id: my-id-1")
    assert sent.code == 0
    assert "asked for a" in program("function", "logs", "--request-id", "my-id-1").out
    for wrong in ("nonsense", "X A: b", ": b", "X-A: b\r\nX-B: c"):
        ran = program("function", "invoke", label, "-H", wrong)
        assert ran.code == 2 and "is not 'Name: value'" in ran.err
    assert program("function", "invoke", label, "-X", "G T").code == 2


def test_headers_go_over_the_usual_ones_in_any_case_and_in_any_language(
    program: Program, label: str
) -> None:
    for name in ("content-type", "Content-Type"):
        form = ("-H", f"{name}: application/x-www-form-urlencoded", "-H", "X-Who: Zoë")
        assert program("fn", "invoke", label, "-d", "text=a", *form).out == '"a"'


def test_a_failure_says_where_its_reason_is(program: Program, write: Write) -> None:
    path = write(HEAD + "@isolated(serve=True)\ndef fails(): raise KeyError('gone')\n")
    program("fn", "serve", path, "fails", "--alias", "failing")
    ran = program("fn", "invoke", "failing")
    said, _, command = ran.err.strip().partition("; why: fal-serverless ")
    assert said == "Error: POST failing answered 500"
    assert "KeyError: 'gone'" in program(*command.split()).out
