"""`function serve` against a real backend: its two lines, and all that is refused."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
from pathlib import Path

import pytest

from bundles import HEAD, Write
from cli.conftest import CONSOLE, Program, run, run_here
from running import FUNCTIONS, RunningBackend

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
GOOD = HEAD + "@isolated(serve=True)\ndef f(x: int = 1) -> int:\n    return x\n"


def test_an_alias_gives_the_two_lines_of_the_original(
    backend: RunningBackend, write: Write
) -> None:
    ran = run(backend.env, "function", "serve", write(GOOD), "f", "--alias", "two-lines")
    first, second = ran.lines
    assert re.fullmatch(
        rf"Registered a new revision for function 'two-lines' \(revision='{UUID}'\)\.", first
    )
    assert second == f"URL: http://1-two-lines.gateway.localhost:{backend.port}"
    assert ran.err.startswith("Loaded f from ")


def test_without_an_alias_the_function_is_anonymous(
    program: Program, backend: RunningBackend, write: Write
) -> None:
    first, second = program("function", "serve", write(GOOD), "f").lines
    found = re.fullmatch(rf"Registered anonymous function '({UUID})'\.", first)
    assert found and second == f"URL: http://1-{found[1]}.gateway.localhost:{backend.port}"


def test_json_is_the_whole_result(program: Program, write: Write) -> None:
    out = program("fn", "serve", write(GOOD), "f", "--alias", "as-json", "-m", "why", "--json").out
    served = json.loads(out)
    assert served["alias"]["name"] == "as-json" and served["revision"]["message"] == "why"


def test_local_modules_work_in_the_worker(program: Program) -> None:
    path = FUNCTIONS / "project" / "app.py"
    for name, answer in (("price", "3"), ("late", '"TEA"')):
        program("function", "serve", path, name, "--alias", "local-modules")
        assert program("function", "invoke", "local-modules", "-d", '{"item": "tea"}').out == answer
        program("function", "delete", "local-modules", "--yes")


def test_from_source_lets_the_worker_import_the_file(program: Program) -> None:
    path = FUNCTIONS / "project" / "app.py"
    served = program("fn", "serve", path, "late", "--alias", "from-source", "--from-source")
    assert "project app is imported" not in served.err.partition("upload")[0]
    assert program("function", "invoke", "from-source", "-d", '{"item": "tea"}').out == '"TEA"'


def test_what_a_setup_function_makes_is_the_first_argument(program: Program) -> None:
    program("function", "serve", FUNCTIONS / "shapes.py", "move", "--alias", "set-up")
    ran = program("function", "invoke", "set-up", "-d", '{"point": {"x": 1}, "step": {"by": 5}}')
    assert json.loads(ran.out) == {"x": 16, "color": 1}


@pytest.fixture
def standing(program: Program, write: Write) -> tuple[str, ...]:
    """An alias that a failed serve must not move: its line in `alias list`."""
    program("function", "serve", write(GOOD, "good.py"), "f", "--alias", "standing")
    return aliases(program)


def aliases(program: Program) -> tuple[str, ...]:
    return tuple(line for line in program("alias", "list").lines if line.startswith("standing"))


SERVED = HEAD + "@isolated(serve=True{})\ndef f(): ...\n"

REFUSED = {
    "syntax error": ("def f(:\n", r"app\.py:1: SyntaxError: .*"),
    "exception at import": (
        GOOD + "raise ValueError('no')\n", r"app\.py:5: ValueError: no",
    ),
    "function missing": (
        HEAD + "@isolated(serve=True)\ndef g(): ...\n",
        "Function 'f' not found in module; it has: g",
    ),
    "not isolated": (HEAD + "def f(): ...\n", "'f' is not isolated: .*"),
    "neither serve nor port": (
        HEAD + "@isolated\ndef f(): ...\n",
        "One of `serve` or `exposed_port` options needs to be specified in the isolated "
        r"annotation to register a function; it has: f \(neither\)",
    ),
    "unpicklable": (
        HEAD + "import threading\nlock = threading.Lock()\n"
        "@isolated(serve=True)\ndef f(): return lock\n",
        "f cannot be sent to a worker: global 'lock' used in f.*",
    ),
    "requirement that does not exist": (
        SERVED.format(", requirements=['no-such-package-of-anybody']"),
        ".*no-such-package-of-anybody.*",
    ),
    "wrong option": (SERVED.format(", keepalive=1"), ".*did you mean 'keep_alive'.*"),
    "raises when set up": (
        HEAD + "def boom(): raise RuntimeError('set up badly')\n"
        "@isolated(serve=True, setup_function=boom)\ndef f(state): ...\n",
        ".*set up badly.*",
    ),
    "never listens": (
        HEAD + "@isolated(exposed_port=8123)\ndef f(): ...\n",
        ".*without listening on port 8123.*",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_files_are_one_clear_line_and_leave_nothing(
    program: Program, standing: tuple[str, ...], write: Write, case: str
) -> None:
    text, said = REFUSED[case]
    before = len(program("function", "revisions", "standing").lines)
    ran = program("function", "serve", write(text), "f", "--alias", "standing")
    assert (ran.code, ran.out) == (1, "")
    last = ran.err.splitlines()[-1]
    assert re.fullmatch(f"Error: {said}", last), ran.err
    assert len(re.findall("^Error: ", ran.err, re.M)) == 1
    assert aliases(program) == standing
    assert len(program("function", "revisions", "standing").lines) == before


def test_a_python_that_is_not_installed_is_named(
    program: Program, standing: tuple[str, ...], write: Write
) -> None:
    path = write(SERVED.format(", python_version='3.99'"))
    ran = program("fn", "serve", path, "f", "--alias", "standing", "--from-source")
    assert ran.code == 1 and "3.99" in ran.err.splitlines()[-1]
    ran = program("fn", "serve", path, "f", "--alias", "standing")
    assert ran.code == 1 and "--from-source" in ran.err
    assert aliases(program) == standing


@pytest.mark.parametrize("alias", ["Über", "-x", "a" * 62, "a.b"])
def test_a_bad_alias_is_told_the_rule(program: Program, write: Write, alias: str) -> None:
    ran = program("function", "serve", write(GOOD), "f", f"--alias={alias}")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[-1].startswith("Error: alias ")


def test_an_alias_of_another_function_is_refused(program: Program, write: Write) -> None:
    first = program("fn", "serve", write(GOOD), "f", "--alias", "owner-one", "--json")
    program("alias", "set", "owner-extra", json.loads(first.out)["revision"]["id"])
    ran = program("fn", "serve", write(GOOD), "f", "--alias", "owner-extra")
    assert ran.code == 1
    assert "alias 'owner-extra' belongs to function 'owner-one'" in ran.err


def test_without_a_name_the_functions_of_the_file_are_told(alone: Program, write: Write) -> None:
    path = write(GOOD + "def plain(): ...\n")
    ran = alone("fn", "serve", path)
    said = "Error: Missing argument 'NAME'; app.py has: f (see: fal-serverless fn serve --help)\n"
    assert (ran.code, ran.err) == (2, said)
    ran = alone("fn", "serve", f"{path}::f")
    assert ran.code == 2 and f"are two words, as in {path} f (see: " in ran.err
    ran = alone("fn", "serve")
    assert ran.code == 2 and "Missing argument 'FILE'" in ran.err
    assert "FILE NAME" in alone("fn", "serve", "--help").out


@pytest.mark.parametrize("name", ["absent.py", ".", "notes.txt"])
def test_bad_input_starts_no_backend(alone: Program, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").touch()
    ran = alone("function", "serve", tmp_path / name, "f")
    assert ran.code == 1 and ran.err.startswith("Error: ") and ran.err.count("\n") == 1
    assert not (tmp_path / "home" / "state").exists()


def test_a_wrong_key_and_one_without_the_right_are_code_4(
    backend: RunningBackend, alone_env: dict[str, str], program: Program, write: Write
) -> None:
    run_here(alone_env, "context", "add", "there", backend.url, "--key", "no:body")
    made = json.loads(program("key", "generate", "--scope", "API", "--json").out)
    api = f"{made['key']['id']}:{made['secret']}"
    for pair in ([], ["--key", api]):
        ran = run_here(alone_env, *pair, "--context", "there", "fn", "serve", write(GOOD), "f")
        assert (ran.code, ran.out) == (4, "")
        assert ran.err.splitlines()[-1].startswith("Error: ")
    by_environment = {**alone_env, "FAL_KEY": backend.key}
    assert run_here(by_environment, "--context", "there", "function", "list").code == 0


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "import threading\nprint('waiting')\nthreading.Event().wait()\ndef f(): ...\n",
        HEAD + "def wait():\n    import threading\n    print('waiting')\n"
        "    threading.Event().wait()\n"
        "@isolated(serve=True, setup_function=wait)\ndef f(state): ...\n",
    ],
    ids=["while it loads", "while its worker starts"],
)
def test_an_interrupted_serve_leaves_nothing(
    program: Program, backend: RunningBackend, standing: tuple[str, ...], write: Write, text: str
) -> None:
    process = subprocess.Popen(
        [CONSOLE, "function", "serve", write(text), "f", "--alias", "standing"],
        env=backend.env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    heard = next(line for line in process.stderr if "waiting" in line or "starting" in line)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and "Traceback" not in heard + rest
    assert aliases(program) == standing


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_file_that_loads_for_ever_ends_with_the_program(
    backend: RunningBackend, write: Write, tmp_path: Path, number: signal.Signals
) -> None:
    ever = "import os, time\nprint('pid', os.getpid())\nwhile True: time.sleep(9)\n"
    path = write(GOOD + ever)
    serve = subprocess.Popen(
        [CONSOLE, "function", "serve", path, "f"],
        env=backend.env | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with serve:
        assert serve.stdout is not None and serve.stderr is not None
        said = next(line for line in serve.stderr if line.startswith("pid "))
        watch = os.pidfd_open(int(said.split()[1]))
        serve.send_signal(number)
        assert select.select([watch], [], [], 10)[0]
        os.close(watch)
        killed = number == signal.SIGKILL
        assert serve.wait(10) == (-number if killed else 128 + number)
        assert killed or not list(tmp_path.glob("fal-serverless-load-*"))
