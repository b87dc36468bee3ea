"""Every example of the two original documents, run as printed: files, commands, curls."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from running import FUNCTIONS, RunningBackend

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def call_text(tmp_path: Path) -> Path:
    """The documents' file; only the import that they leave out is put before it."""
    return with_import("call_text.py", tmp_path)


def with_import(name: str, folder: Path) -> Path:
    text = (FUNCTIONS / "seeds" / name).read_text()
    path = folder / name
    path.write_text("from fal_serverless import isolated\n\n" + text)
    return path


@pytest.fixture
def fal(backend: RunningBackend) -> Run:
    """`fal-serverless …` against the backend; fails the test on any other exit code than `code`."""

    def run(*args: object, code: int = 0) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "fal_serverless.cli.main", *map(str, args)]
        done = subprocess.run(program, env=backend.env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done

    return run


@pytest.fixture
def key(fal: Run) -> tuple[str, str]:
    """A pair as `key generate` prints it."""
    out = fal("key", "generate", "--scope", "API").stdout
    found = dict(re.findall(r"^(FAL_KEY_ID|FAL_KEY_SECRET)='(.+)'$", out, re.M))
    return found["FAL_KEY_ID"], found["FAL_KEY_SECRET"]


def curl(*args: str) -> tuple[int, str]:
    """Status and body."""
    program = [
        "curl",
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "-w",
        "\n%{http_code}",
        *args,
    ]
    out = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    body, _, status = out.rpartition("\n")
    return int(status), body


def post(url: str, body: object, *headers: str) -> tuple[int, str]:
    sent = [
        part for header in ("Content-Type: application/json", *headers) for part in ("-H", header)
    ]
    return curl("-X", "POST", url, *sent, "-d", json.dumps(body))


def test_serve_with_an_alias_twice(fal: Run, call_text: Path, key: tuple[str, str]) -> None:
    credential = f"Authorization: Key {key[0]}:{key[1]}"
    revisions = []
    for _ in range(2):
        lines = fal(
            "function", "serve", call_text, "call_text", "--alias", "call"
        ).stdout.splitlines()
        assert len(lines) == 2
        text = rf"Registered a new revision for function 'call' \(revision='({UUID})'\)\."
        match = re.fullmatch(text, lines[0])
        assert match, lines[0]
        revisions.append(match[1])
        url = lines[1].removeprefix("URL: ")
        assert re.fullmatch(r"http://1-call\.gateway\.localhost:\d+", url)
    assert revisions[0] != revisions[1]
    shown = json.loads(fal("alias", "list", "--json").stdout)
    assert [a["revision"] for a in shown if a["name"] == "call"] == [revisions[1]]
    assert post(url, {"text": "hi"}, credential) == (200, '"hi"')
    first = url.replace("1-call", f"1-{revisions[0]}")
    assert post(first, {"text": "old"}, credential) == (200, '"old"')


def test_serve_anonymously(fal: Run, call_text: Path, key: tuple[str, str]) -> None:
    lines = fal("function", "serve", call_text, "call_text").stdout.splitlines()
    match = re.fullmatch(rf"Registered anonymous function '({UUID})'\.", lines[0])
    assert match, lines
    url = lines[1].removeprefix("URL: ")
    assert f"1-{match[1]}.gateway." in url
    assert post(url, {"text": "hi"})[0] == 401
    assert post(url, {"text": "hi"}, f"Authorization: Key {key[0]}:{key[1]}") == (200, '"hi"')


def test_serve_publicly(fal: Run, call_text: Path) -> None:
    out = fal("function", "serve", call_text, "call_text", "--auth", "public").stdout
    url = out.splitlines()[1].removeprefix("URL: ")
    assert post(url, {"text": "open"}) == (200, '"open"')


def test_the_documents_curls_with_each_form_of_the_key(
    fal: Run, call_text: Path, key: tuple[str, str]
) -> None:
    out = fal("function", "serve", call_text, "call_text", "--alias", "curls").stdout
    url = out.splitlines()[1].removeprefix("URL: ")
    key_id, secret = key
    body = {"text": "str to be returned"}
    answer = (200, '"str to be returned"')
    assert post(url, body, f"Authorization: Basic {key_id}:{secret}") == answer
    assert post(url, body, f"X-Fal-Key-Id:{key_id}", f"X-Fal-Key-Secret:{secret}") == answer
    assert post(f"{url}/?fal_key_id={key_id}&fal_key_secret={secret}", body) == answer
    assert curl("-X", "POST", url, "-u", f"{key_id}:{secret}", "-d", json.dumps(body)) == answer
    assert post(url, body)[0] == 401
    assert post(url, body, f"Authorization: Basic {key_id}:wrong")[0] == 401
    foreign = json.loads(fal("user", "add", "bob", "--json").stdout)["key"]
    stranger = f"Authorization: Key {foreign['key']['id']}:{foreign['secret']}"
    assert post(url, body, stranger)[0] == 403


def test_the_documents_own_argument_name_is_told_apart(
    fal: Run, call_text: Path, key: tuple[str, str]
) -> None:
    out = fal("function", "serve", call_text, "call_text", "--alias", "named").stdout
    url = out.splitlines()[1].removeprefix("URL: ")
    credential = f"Authorization: Basic {key[0]}:{key[1]}"
    status, body = post(url, {"str": "str to be returned"}, credential)
    assert status == 422
    assert "'str'" in json.loads(body)["detail"]
    assert "text" in json.loads(body)["detail"]


def test_the_flask_example_is_served_as_printed(fal: Run, tmp_path: Path) -> None:
    """Its view takes an argument that its route does not give: Flask itself answers 500."""
    path = with_import("flask_app.py", tmp_path)
    out = fal("function", "serve", path, "flask_app", "--alias", "flask", "--auth", "public").stdout
    url = out.splitlines()[1].removeprefix("URL: ")
    status, body = curl(f"{url}/")
    assert status == 500
    assert "<title>500 Internal Server Error</title>" in body
    status, body = curl(f"{url}/nowhere")
    assert status == 404
    assert "<title>404 Not Found</title>" in body


@pytest.mark.parametrize(
    ("file", "name"), [("flask_query.py", "flask_app"), ("fastapi_app.py", "fastapi_app")]
)
def test_a_web_framework_behind_its_port(fal: Run, file: str, name: str) -> None:
    alias = name.replace("_", "-")
    serve = ("function", "serve", FUNCTIONS / file, name, "--alias", alias, "--auth", "public")
    url = fal(*serve).stdout.splitlines()[1].removeprefix("URL: ")
    status, body = curl(f"{url}/?str=hello")
    assert status == 200
    assert json.loads(body) == {"result": "hello"}


def test_logs_of_all_endpoints_of_one_and_so_many_lines(
    fal: Run, tmp_path: Path, key: tuple[str, str]
) -> None:
    path = tmp_path / "talk.py"
    path.write_text(
        "from fal_serverless import isolated\n\n\n"
        "@isolated(serve=True)\ndef talk(text):\n    print('said', text)\n    return text\n"
    )
    out = fal("function", "serve", path, "talk", "--alias", "talk", "--auth", "public").stdout
    url = out.splitlines()[1].removeprefix("URL: ")
    for n in range(25):
        assert post(url, {"text": str(n)})[0] == 200
    assert "said 24" in fal("function", "logs").stdout
    only = fal("function", "logs", "--url", url).stdout.splitlines()
    line = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \[[a-z ]{9}\] .*"
    assert all(re.fullmatch(line, text) for text in only)
    assert any(re.search(r"\[stdout   \] said 7$", text) for text in only)
    newest = fal("function", "logs", "--url", url, "--lines", "20").stdout.splitlines()
    assert newest == only[-20:]


def test_logs_of_an_unknown_url(fal: Run, backend: RunningBackend) -> None:
    url = f"http://1-nothing.gateway.localhost:{backend.port}"
    done = fal("function", "logs", "--url", url)
    assert done.stdout == ""
    assert done.stderr.strip() == "No logs found, make sure you have the correct URL"
