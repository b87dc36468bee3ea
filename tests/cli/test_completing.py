"""What the shell is offered on tab."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from bundles import HEAD, Write
from cli.conftest import Program, run
from fal_serverless.cli.completing import SHELLS
from running import RunningBackend

TWO = (
    HEAD + "@isolated(serve=True)\ndef first(): ...\n@isolated\ndef second(): ...\ndef no(): ...\n"
)


def offered(env: Mapping[str, str], line: str) -> list[str]:
    """What comes in the place of the last word of the line, as bash asks for it."""
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    ran = run({**env, **asked, "_FAL_SERVERLESS_COMPLETE": "bash_complete"})
    assert (ran.code, ran.err) == (0, "")
    return [value for kind, _, value in (line.partition(",") for line in ran.lines) if kind]


def test_commands_options_and_words_are_offered(alone_env: dict[str, str]) -> None:
    assert offered(alone_env, "fal-serverless fn ro") == ["rollback"]
    assert offered(alone_env, "fal-serverless alias set --au") == ["--auth"]
    assert offered(alone_env, "fal-serverless fn auth call p") == ["private", "public"]


def test_functions_of_a_file_are_offered_without_running_it(
    alone_env: dict[str, str], write: Write
) -> None:
    path = write(TWO + "raise SystemExit('run')\n")
    assert offered(alone_env, f"fal-serverless fn serve {path} ") == ["first", "second"]
    assert offered(alone_env, "fal-serverless fn serve absent.py ") == []


def test_contexts_are_offered(alone: Program, alone_env: dict[str, str]) -> None:
    alone("context", "add", "prod", "http://127.0.0.1:9")
    assert offered(alone_env, "fal-serverless context use ") == ["local", "prod"]
    assert offered(alone_env, "fal-serverless --context pr") == ["prod"]


def test_names_on_a_backend_are_offered(
    program: Program, backend: RunningBackend, write: Write
) -> None:
    for _ in range(2):
        program("fn", "serve", write(TWO), "first", "--alias", "offered-one")
    program("fn", "serve", write(TWO), "first", "--alias", "offered-two")
    both = ["offered-one", "offered-two"]
    for words in ("fn show", "fn serve a.py f --alias", "alias history", "fn logs --url"):
        assert offered(backend.env, f"fal-serverless {words} offered-") == both
    ids = [line.split()[0] for line in program("fn", "revisions", "offered-one").lines[1:]]
    for words in ("fn rollback", "alias set"):
        assert offered(backend.env, f"fal-serverless {words} offered-one ") == sorted(ids)
    worker = program("worker", "list").lines[-1].split()[0]
    assert worker in offered(backend.env, "fal-serverless worker stop ")


def test_a_tab_starts_no_backend(alone_env: dict[str, str], tmp_path: Path) -> None:
    assert offered(alone_env, "fal-serverless fn show ") == []
    assert not (tmp_path / "home" / "state").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_that_it_understands(alone: Program, shell: str) -> None:
    script = alone("completion", shell).out
    assert "_FAL_SERVERLESS_COMPLETE=" + shell + "_complete" in script
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    checked = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, "")
