"""Scanning files, choosing local files, and what is in a bundle."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fal_serverless import config, errors, source
from fal_serverless.config import Config
from fal_serverless.models import BundleInfo, from_json
from fal_serverless.source import files, interpreter
from running import FUNCTIONS

Write = Callable[[str], Path]

HEAD = "from fal_serverless import isolated\n"


@pytest.fixture
def here(tmp_path: Path) -> Config:
    """A configuration of nobody else, and no virtual environment but ours."""
    environ = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    return config.load({**environ, "FAL_SERVERLESS_HOME": str(tmp_path / "home")})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "app.py"
        path.write_text(text)
        return path

    return write


class Opened:
    """A bundle's content."""

    def __init__(self, content: bytes) -> None:
        outer = zipfile.ZipFile(io.BytesIO(content))
        self.members = outer.namelist()
        self.info = from_json(BundleInfo, json.loads(outer.read("bundle.json")))
        self.sources = zipfile.ZipFile(io.BytesIO(outer.read("sources.zip"))).namelist()
        self.pickle = outer.read("function.pickle") if "function.pickle" in self.members else b""

    def function(self) -> Any:
        return pickle.loads(self.pickle)["func"]


def found(name: str, path: Path = FUNCTIONS / "shapes.py") -> source.Found:
    return next(item for item in source.scan(path) if item.name == name)


# scan


def test_scan_lists_top_level_functions_by_line() -> None:
    names = [item.name for item in source.scan(FUNCTIONS / "shapes.py")]
    assert names == [
        "setup", "move", "double", "count", "fib", "fibonacci", "adder", "decorated", "site",
        "neither", "plain",
    ]  # fmt: skip


def test_scan_tells_isolated_functions_under_any_name_of_the_decorator() -> None:
    isolated = {item.name for item in source.scan(FUNCTIONS / "shapes.py") if item.isolated}
    assert isolated == {"move", "double", "count", "fibonacci", "decorated", "site", "neither"}


def test_scan_tells_options_that_are_literals_and_those_that_are_not() -> None:
    assert found("site").options == {
        "exposed_port": 9000, "requirements": ["flask"], "keep_alive": 5,
    }  # fmt: skip
    assert found("site").exposed_port == 9000
    assert found("move").computed == ("setup_function=setup",)
    assert not found("neither").servable


def test_scan_tells_parameters_as_written() -> None:
    a, b, rest, c, more = found("decorated").parameters
    assert (a.name, a.kind, a.required, a.annotation) == ("a", "positional", True, "int")
    assert (b.required, b.default) == (False, "1")
    assert (rest.kind, rest.required) == ("var_positional", False)
    assert (c.kind, c.required, more.kind) == ("keyword", True, "var_keyword")
    assert found("move").parameters[2].annotation == "Step | None"


def test_scan_tells_the_docstring_and_async() -> None:
    assert found("move").doc.startswith("Move a point.\n\nBy what")
    assert found("count").is_async and not found("move").is_async


def test_scan_finds_functions_under_if_and_try(write: Write) -> None:
    path = write(
        HEAD + "if 1:\n    @isolated(serve=True)\n    def f(): ...\nelse:\n    def g(): ..."
    )
    assert [item.name for item in source.scan(path)] == ["f", "g"]


def test_scan_takes_the_last_of_two_definitions(write: Write) -> None:
    path = write(HEAD + "def f(): ...\n@isolated(serve=True)\ndef f(x): ...\n")
    assert [(item.line, item.serve) for item in source.scan(path)] == [(4, True)]


def test_a_decorator_of_another_package_is_not_ours(write: Write) -> None:
    path = write("from other import isolated\n@isolated(serve=True)\ndef f(): ...\n")
    assert not source.scan(path)[0].isolated


def test_scan_runs_nothing(write: Write, tmp_path: Path) -> None:
    source.scan(write(f"open({str(tmp_path / 'ran')!r}, 'w')\n"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["absent.py", "folder.py", "notes.txt"])
def test_what_is_no_python_file_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(errors.FileMissing, match=name):
        source.scan(tmp_path / name)


def test_a_syntax_error_names_line_and_text(write: Write) -> None:
    with pytest.raises(errors.LoadFailed, match=r"^app\.py:2: SyntaxError: .*: def f\(:$"):
        source.scan(write("x = 1\ndef f(:\n"))


def test_bytes_that_are_no_text_are_a_load_failure(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.LoadFailed, match=r"app\.py"):
        source.scan(tmp_path / "app.py")


# local files


def test_reached_follows_imports_at_the_top_and_inside_functions() -> None:
    reached = source.reached(FUNCTIONS / "project" / "app.py")
    assert list(reached) == [
        "app.py", "late_module.py", "later_module.py", "shop/__init__.py",
        "shop/prices/__init__.py", "shop/prices/table.csv", "shop/prices/table.py",
    ]  # fmt: skip


def test_secrets_caches_and_environments_stay_at_home(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import pkg\n")
    hidden = [".env", ".git/config", "__pycache__/a.pyc", "venv/pyvenv.cfg", "credentials.toml"]
    for name in ["__init__.py", "data/table.csv", *hidden]:
        path = tmp_path / "pkg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list(source.reached(tmp_path / "app.py")) == [
        "app.py", "pkg/__init__.py", "pkg/data/table.csv",
    ]  # fmt: skip


def test_a_folder_of_data_is_not_taken_for_the_package_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import requests, email, tools.hammer\n")
    for name in ("requests/answer.json", "email/x.py", "tools/hammer.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert list(source.reached(tmp_path / "app.py")) == ["app.py", "tools/hammer.py"]


def test_more_than_a_bundle_should_carry_names_the_largest_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    (tmp_path / "app.py").write_text("import pkg\n")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    (tmp_path / "pkg" / "weights.bin").write_bytes(b"x" * 2000)
    with pytest.raises(errors.TooLarge, match=r"pkg/weights\.bin"):
        source.reached(tmp_path / "app.py")


def test_the_same_members_give_the_same_bytes() -> None:
    assert files.archive({"a": b"1", "b": b"2"}) == files.archive({"b": b"2", "a": b"1"})


# the interpreter


def make_venv(folder: Path) -> Path:
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    return python


def test_the_interpreter_is_the_projects_own(tmp_path: Path) -> None:
    beside = make_venv(tmp_path / "project" / ".venv")
    active = make_venv(tmp_path / "active")
    file = tmp_path / "project" / "deep" / "app.py"
    assert interpreter.locate(file, None, {})[0] == beside
    assert interpreter.locate(file, None, {"VIRTUAL_ENV": str(tmp_path / "active")})[0] == active
    assert interpreter.locate(file, tmp_path / "active", {})[0] == active
    assert interpreter.locate(tmp_path / "app.py", None, {})[0] == Path(sys.executable)


async def test_what_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.BadInput, match="no Python at /nowhere"):
        await interpreter.choose(tmp_path / "a.py", Path("/nowhere"), {})
    with pytest.raises(errors.BadInput, match="is not a Python that works"):
        await interpreter.choose(tmp_path / "a.py", Path("/bin/true"), {})


# bundle


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [("double", (4,), 8), ("fibonacci", (10,), 55), ("add_three", (4,), 7)],
)
async def test_a_pickled_function_works_without_its_file(
    here: Config, name: str, arguments: tuple[Any, ...], result: Any
) -> None:
    opened = Opened(await source.bundle(FUNCTIONS / "shapes.py", name, config=here))
    assert opened.function()(*arguments) == result


async def test_annotations_survive_as_what_they_name(here: Config, tmp_path: Path) -> None:
    opened = Opened(await source.bundle(FUNCTIONS / "shapes.py", "move", config=here))
    (tmp_path / "f.pickle").write_bytes(opened.pickle)
    program = (
        "import pickle, typing\n"
        "both = pickle.load(open('f.pickle', 'rb'))\n"
        "hints = typing.get_type_hints(both['func'])\n"
        "print(*(hints[n] for n in ('point', 'step')), typing.get_type_hints(hints['point'])['x'])\n"
        "print(both['func'](both['setup_function'](), hints['point'](1)).x)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.stdout.splitlines() == [
        "<class 'shapes.Point'> shapes.Step | None <class 'int'>", "11",
    ]  # fmt: skip


async def test_a_bundle_says_what_it_holds(here: Config) -> None:
    opened = Opened(await source.bundle(FUNCTIONS / "shapes.py", "move", config=here))
    info = opened.info
    assert (info.entrypoint, info.file_name, info.doc) == (
        "move", "shapes.py", "Move a point.\n\nBy what was set up, and by a step.",
    )  # fmt: skip
    assert info.source == (FUNCTIONS / "shapes.py").read_text()
    assert info.options["setup_function"] == "setup"
    assert info.python_version == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert [p.annotation for p in info.parameters] == ["dict[str, int]", "Point", "Step | None"]
    assert not info.is_async and not info.from_source


async def test_async_generators_are_async(here: Config) -> None:
    opened = Opened(await source.bundle(FUNCTIONS / "shapes.py", "count", config=here))
    assert opened.info.is_async


async def test_local_modules_come_along_and_prints_go_to_the_log(here: Config) -> None:
    heard: list[str] = []
    path = FUNCTIONS / "project" / "app.py"
    opened = Opened(await source.bundle(path, "price", config=here, log=heard.append))
    assert opened.function()("tea") == 3
    assert "shop/prices/table.csv" in opened.sources and "unrelated.py" not in opened.sources
    assert heard == ["project app is imported"]
    assert not list(path.parent.rglob("__pycache__"))


async def test_modules_found_by_pythonpath_come_along(here: Config, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "common"
    elsewhere.mkdir(parents=True)
    (elsewhere / "__init__.py").write_text("def f(): return 7\n")
    (tmp_path / "app.py").write_text(
        HEAD + "import common\n@isolated(serve=True)\ndef f(): return common.f()\n"
    )
    with_path = config.load({**here.environ, "PYTHONPATH": str(elsewhere.parent)})
    opened = Opened(await source.bundle(tmp_path / "app.py", "f", config=with_path))
    assert opened.function()() == 7
    assert opened.sources == ["app.py", "common/__init__.py"]


async def test_an_edit_of_the_same_length_is_seen_at_once(here: Config, write: Write) -> None:
    for value in (1, 2):
        (path := write(HEAD + "import beside\n@isolated(serve=True)\ndef f(): return beside.N\n"))
        (path.parent / "beside.py").write_text(f"N = {value}\n")
        opened = Opened(await source.bundle(path, "f", config=here))
        assert opened.function()() == value


async def test_a_git_repository_is_told(here: Config, write: Write) -> None:
    path = write(HEAD + "@isolated(serve=True)\ndef f(): ...\n")
    clean = Opened(await source.bundle(path, "f", config=here)).info
    git = ["git", "-C", str(path.parent), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "app.py"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    sha = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    path.write_text(path.read_text() + "# changed\n")
    changed = Opened(await source.bundle(path, "f", config=here)).info
    assert (clean.git_sha, clean.git_dirty) == (None, False)
    assert (changed.git_sha, changed.git_dirty) == (sha, True)


# what is refused


async def refused(here: Config, path: Path, name: str, **options: Any) -> errors.FalError:
    with pytest.raises(errors.FalError) as caught:
        await source.bundle(path, name, config=here, log=lambda _: None, **options)
    return caught.value


async def test_a_missing_function_names_those_that_exist(here: Config, write: Write) -> None:
    path = write(HEAD + "@isolated(serve=True)\ndef call_text(text): ...\n")
    error = await refused(here, path, "foo")
    assert isinstance(error, errors.FunctionMissing)
    assert error.message == "Function 'foo' not found in module; it has: call_text"


async def test_a_name_that_only_running_can_tell_is_looked_up(here: Config, write: Write) -> None:
    made = "globals()['made'] = isolated(serve=True)(lambda: 1)\n"
    assert Opened(await source.bundle(write(HEAD + made), "made", config=here)).function()() == 1
    error = await refused(here, write(HEAD + made), "other")
    assert error.message == "Function 'other' not found in module; it has: made"


async def test_a_function_that_is_not_isolated_says_how(here: Config) -> None:
    error = await refused(here, FUNCTIONS / "shapes.py", "plain")
    assert isinstance(error, errors.NotIsolated)
    assert error.message.startswith("'plain' is not isolated: put @isolated(serve=True)")


async def test_neither_serve_nor_port_is_refused_in_the_originals_words(here: Config) -> None:
    error = await refused(here, FUNCTIONS / "shapes.py", "neither")
    assert isinstance(error, errors.NotServable)
    assert error.message.startswith(
        "One of `serve` or `exposed_port` options needs to be specified in the isolated annotation "
        "to register a function; it has: "
    )
    assert "site (exposed_port 9000)" in error.message and "neither (neither)" in error.message


async def test_an_exception_at_import_is_one_line_with_its_place(
    here: Config, write: Write
) -> None:
    path = write(HEAD + "def boom():\n    raise ValueError('no\\nway')\nboom()\ndef f(): ...\n")
    error = await refused(here, path, "f")
    assert isinstance(error, errors.LoadFailed)
    assert error.message == "app.py:3: ValueError: no way"
    trace = error.data["traceback"]
    assert trace.startswith("Traceback") and "loader.py" not in trace and "line 4" in trace


async def test_a_module_that_is_not_installed_says_what_to_do(here: Config, write: Write) -> None:
    error = await refused(here, write("import no_such_thing\ndef f(): ...\n"), "f")
    assert error.message.startswith(
        "app.py:1: ModuleNotFoundError: No module named 'no_such_thing' (loaded by "
    )
    assert "--python" in error.message and "--from-source" in error.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os; print('bye', flush=True); os._exit(7)", "ended with exit code 7; its last line: bye"),
        ("import os; os.kill(os.getpid(), 11)", "ended with signal SIGSEGV"),
        ("raise SystemExit('enough')", "app.py:2: SystemExit: enough"),
    ],
)  # fmt: skip
async def test_a_file_that_ends_the_loader_is_an_error(
    here: Config, write: Write, text: str, said: str
) -> None:
    assert said in (await refused(here, write(f"def f(): ...\n{text}\n"), "f")).message


async def test_what_cannot_be_pickled_is_named_with_its_place(here: Config, write: Write) -> None:
    path = write(
        HEAD + "import threading\nlock = threading.Lock()\n"
        "def helper():\n    with lock: return 1\n"
        "@isolated(serve=True)\ndef f(): return helper()\n"
    )
    error = await refused(here, path, "f")
    assert isinstance(error, errors.NotPicklable)
    assert error.message == (
        "f cannot be sent to a worker: global 'lock' used in helper() at app.py:4 (lock): "
        "cannot pickle '_thread.lock' object"
    )


async def test_another_python_than_the_loaders_is_refused_with_the_remedy(
    here: Config, write: Write
) -> None:
    path = write(HEAD + "@isolated(serve=True, python_version='3.8')\ndef f(): ...\n")
    error = await refused(here, path, "f")
    assert isinstance(error, errors.PythonMismatch)
    assert "--python python3.8" in error.message and "--from-source" in error.message
    opened = Opened(await source.bundle(path, "f", config=here, from_source=True))
    assert opened.info.python_version == "3.8"


async def test_an_unknown_option_is_told_as_the_file_raised_it(here: Config, write: Write) -> None:
    path = write(HEAD + "@isolated(serve=True, keepalive=3)\ndef f(): ...\n")
    assert "did you mean 'keep_alive'?" in (await refused(here, path, "f")).message


# from source


async def test_from_source_runs_nothing_and_needs_nothing_installed(
    here: Config, write: Write
) -> None:
    path = write(
        HEAD + "import no_such_thing\ndef prepare(): ...\n"
        "@isolated(serve=True, setup_function=prepare, requirements=['no-such-thing'])\n"
        "def f(a, b: int = 2): 'Doc.'\n"
    )
    opened = Opened(await source.bundle(path, "f", config=here, from_source=True))
    assert opened.members == ["bundle.json", "sources.zip"] and opened.info.from_source
    assert opened.info.options["setup_function"] == "prepare"
    assert opened.info.options["requirements"] == ["no-such-thing"]
    assert [p.name for p in opened.info.parameters] == ["a", "b"]


async def test_from_source_refuses_options_that_are_computed(here: Config, write: Write) -> None:
    path = write(HEAD + "N = 3\n@isolated(serve=True, max_concurrency=N)\ndef f(): ...\n")
    error = await refused(here, path, "f", from_source=True)
    assert isinstance(error, errors.InvalidOption)
    assert "app.py:4" in error.message and "max_concurrency=N" in error.message


async def test_from_source_refuses_wrong_options(here: Config, write: Write) -> None:
    path = write(HEAD + "@isolated(serve=True, keepalive=1)\ndef f(): ...\n")
    error = await refused(here, path, "f", from_source=True)
    assert "did you mean 'keep_alive'?" in error.message
