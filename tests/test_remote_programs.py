"""Calls from Python in programs of their own: a prompt, a notebook, one that is killed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from calling import until
from running import RunningBackend


def start(code: str, environ: Mapping[str, str], *args: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, env=environ, stderr=subprocess.PIPE, text=True)


LINGER = """
import pathlib, sys, time
from fal_serverless import isolated

@isolated
def linger(folder):
    (folder / "began").touch()
    try:
        time.sleep(60)
    finally:
        (folder / "ended").touch()

linger(pathlib.Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_the_end_of_the_caller_ends_the_call(
    backend: RunningBackend, tmp_path: Path, number: signal.Signals
) -> None:
    program = start(LINGER, backend.env, tmp_path)
    until((tmp_path / "began").exists)
    program.send_signal(number)
    _, said = program.communicate(timeout=20)
    until((tmp_path / "ended").exists)
    assert ("KeyboardInterrupt" in said) == (number == signal.SIGINT)
    assert "Exception ignored" not in said and "never" not in said


PROMPT = """\
from fal_serverless import isolated
class Odd(Exception): pass

@isolated(keep_alive=1)
def check(n):
    import os
    if n % 2: raise Odd(n)
    return n, os.getpid()

import os
check(2)[0], check(2)[1] != os.getpid()
try: check(3)
except Odd as e: print("caught", e)

from concurrent.futures import ThreadPoolExecutor
sorted(ThreadPoolExecutor(3).map(lambda n: check(n)[0], [2, 4, 6]))
"""


def test_it_works_at_a_prompt(backend: RunningBackend) -> None:
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input=PROMPT,
        env=backend.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["(2, True)", "caught 3", "[2, 4, 6]"]


def test_modules_beside_the_program_come_along(backend: RunningBackend, tmp_path: Path) -> None:
    (tmp_path / "early.py").write_text("class Early:\n    word = 'early'\n")
    (tmp_path / "late.py").write_text("from early import Early\ndef word(): return Early\n")
    (tmp_path / "program.py").write_text(
        "import early\n"
        "from fal_serverless import isolated\n"
        "@isolated\n"
        "def words():\n"
        "    import late\n"
        "    return early.Early.word, late.word().word, late.word()()\n"
        "if __name__ == '__main__':\n"
        "    first, second, third = words()\n"
        "    print(first, second, type(third).__module__)\n"
    )
    program = [sys.executable, str(tmp_path / "program.py")]
    done = subprocess.run(
        program, env=backend.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("early early early\n", "")


def test_a_program_may_end_with_calls_begun(backend: RunningBackend) -> None:
    code = (
        "import time\nfrom fal_serverless import isolated\n"
        "sleep = isolated(lambda: time.sleep(60))\nsleep.submit()\n"
        "isolated(lambda: print('hello'))()\n"
    )
    program = start(code, backend.env)
    _, said = program.communicate(timeout=30)
    assert (program.returncode, said) == (0, "")


FORK = """
import os
from fal_serverless import isolated
double = isolated(lambda x: 2 * x)
assert double(1) == 2
child = os.fork()
if child == 0:
    print(double(2), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(double(3))
"""


def test_a_fork_calls_for_itself(backend: RunningBackend) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    done = subprocess.run(command, env=backend.env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("4\n6\n", "")


def test_a_package_run_as_a_program_comes_along(backend: RunningBackend, tmp_path: Path) -> None:
    package = tmp_path / "shop"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "late": "word = 'late'\n",
        "tea": "from fal_serverless import isolated\n"
        "@isolated\ndef word():\n    from .late import word\n    return word\n",
        "__main__": "from . import tea\nprint(tea.word())\n",
    }.items():
        (package / f"{name}.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "shop"],
        cwd=tmp_path, env=backend.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("late\n", "")


NOTEBOOK = """
import asyncio, linecache
from fal_serverless import isolated

CELL = '''
@isolated
def divide(n):
    import beside
    return beside.one / n
'''

async def run_cells():
    name = "/tmp/ipykernel_1/1.py"
    linecache.cache[name] = (len(CELL), None, CELL.splitlines(True), name)
    exec(compile(CELL, name, "exec"), globals())
    print(divide(2), await isolated(aio)())
    divide(0)

async def aio():
    return "awaited"

asyncio.run(run_cells())
"""


def test_it_works_in_a_notebook(backend: RunningBackend, tmp_path: Path) -> None:
    """Cells are in no file, a loop runs already, and imports come from the current folder."""
    (tmp_path / "beside.py").write_text("one = 1\n")
    command = [sys.executable, "-c", NOTEBOOK]
    done = subprocess.run(
        command, cwd=tmp_path, env=backend.env, capture_output=True, text=True, check=False
    )
    assert done.stdout == "0.5 awaited\n", done.stderr
    remote = done.stderr.partition("The above exception")[0]
    assert "in divide\n    return beside.one / n" in remote
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_the_program_of_the_readme_says_what_the_readme_says(
    backend: RunningBackend, tmp_path: Path
) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    section = readme.partition("## Call it from Python\n")[2].partition("\n## ")[0]
    _, program, _, said, _ = re.split(r"```(?:python|text)?\n", section, maxsplit=4)
    (tmp_path / "squares.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "squares.py")],
        env=backend.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == said, done.stderr
