"""Loading files in a child, and what is in a bundle; what is refused, and in which words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from bundles import HEAD, Opened, Write
from fal_serverless import config, errors, source
from fal_serverless.config import Config
from fal_serverless.source import commit, loader
from running import FUNCTIONS


def run(*command: str, cwd: Path | None = None) -> str:
    ran = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return ran.stdout


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [("double", (4,), 8), ("fibonacci", (10,), 55), ("add_three", (4,), 7)],
)
async def test_a_pickled_function_works_without_its_file(
    here: Config, name: str, arguments: tuple[Any, ...], result: Any
) -> None:
    opened = Opened(await source.bundle(FUNCTIONS / "shapes.py", name, config=here))
    assert opened.function()(*arguments) == result


async def test_code_keeps_the_name_of_its_file_for_tracebacks(here: Config) -> None:
    opened = Opened(await source.bundle(FUNCTIONS / "shapes.py", "add_three", config=here))
    assert Path(opened.function().__code__.co_filename).name == "shapes.py"


async def test_annotations_survive_as_what_they_name(here: Config, tmp_path: Path) -> None:
    opened = Opened(await source.bundle(FUNCTIONS / "shapes.py", "move", config=here))
    (tmp_path / "f.pickle").write_bytes(opened.pickle)
    program = (
        "import pickle, typing\n"
        "both = pickle.load(open('f.pickle', 'rb'))\n"
        "hints = typing.get_type_hints(both['func'])\n"
        "fields = typing.get_type_hints(hints['point'])\n"
        "print(hints['point'], hints['step'], fields['x'])\n"
        "print(both['func'](both['setup_function'](), hints['point'](1)).x)\n"
        "import dataclasses\n"
        "print(dataclasses.fields(hints['point'])[0].default is dataclasses.MISSING)\n"
    )
    assert run(sys.executable, "-I", "-c", program, cwd=tmp_path).splitlines() == [
        "<class 'shapes.Point'> shapes.Step | None <class 'int'>", "11", "True",
    ]  # fmt: skip


async def test_a_typed_dict_made_by_a_call_survives(here: Config, write: Write) -> None:
    path = write(
        HEAD + "from typing import TypedDict\nStep = TypedDict('Step', {'by': int}, total=False)\n"
        "@isolated(serve=True)\ndef f(step: Step): return step\n"
    )
    func = Opened(await source.bundle(path, "f", config=here)).function()
    step = func.__annotations__["step"]
    assert (step.__name__, step.__annotations__, step.__total__) == ("Step", {"by": int}, False)


async def test_quoted_annotations_of_classes_survive_as_what_they_name(
    here: Config, write: Write
) -> None:
    path = write(
        HEAD + "from dataclasses import dataclass\n"
        "@dataclass\nclass Line:\n    start: 'Point'\n    end: 'list[Point]'\n"
        "@dataclass\nclass Point:\n    x: int\n"
        "@isolated(serve=True)\ndef f(line: Line): return line\n"
    )
    func = Opened(await source.bundle(path, "f", config=here)).function()
    fields = get_type_hints(func.__annotations__["line"])
    assert [fields["start"].__name__, str(fields["end"])] == ["Point", "list[app.Point]"]
    assert get_type_hints(fields["start"]) == {"x": int}


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated where they stand")
@pytest.mark.parametrize("made", ["", "outer()"])
async def test_annotations_for_checkers_only_are_sent_as_they_are_written(
    here: Config, write: Write, made: str
) -> None:
    inner = "def f(a: int, b: list[Order] = None) -> Order: return helped(a)\n"
    served = (
        f"@isolated(serve=True)\n{inner}"
        if not made
        else f"def outer():\n    {inner}    return f\nf = isolated(serve=True)(outer())\n"
    )
    path = write(
        HEAD + "from typing import TYPE_CHECKING\nif TYPE_CHECKING: from shop import Order\n"
        "class Basket:\n    first: Order\n    count: int\n"
        "def helped(order: Order) -> int: return Basket and order\n" + served
    )
    opened = Opened(await source.bundle(path, "f", config=here))
    assert [(one.name, one.annotation) for one in opened.info.parameters] == [
        ("a", "int"), ("b", "list[Order]"),
    ]  # fmt: skip
    func = opened.function()
    assert func(3) == 3
    assert func.__annotations__ == {"a": int, "b": "list[Order]", "return": "Order"}


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


def test_a_file_of_a_library_is_none_of_the_user_s_though_it_is_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "lib").mkdir()
    (tmp_path / "etc" / "sitecustomize.py").touch()
    (tmp_path / "lib" / "sitecustomize.py").symlink_to(tmp_path / "etc" / "sitecustomize.py")
    monkeypatch.setattr(loader, "LIBRARIES", (f"{tmp_path}/lib/",))
    assert loader.is_local(str(tmp_path / "etc" / "sitecustomize.py"))
    assert not loader.is_local(str(tmp_path / "lib" / "sitecustomize.py"))


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


async def test_a_git_that_cannot_be_run_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "git_command", lambda: str(tmp_path / "git"))
    assert await commit.commit_of(tmp_path, {}) == commit.Commit()


async def test_a_git_repository_is_told(here: Config, write: Write) -> None:
    path = write(HEAD + "@isolated(serve=True)\ndef f(): ...\n")
    clean = Opened(await source.bundle(path, "f", config=here)).info
    git = ["git", "-C", str(path.parent), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "app.py"], ["commit", "-q", "-m", "x"]):
        run(*git, *command)
    sha = run(*git, "rev-parse", "HEAD").strip()
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


async def test_a_function_that_gets_its_options_later_is_served(here: Config, write: Write) -> None:
    path = write(HEAD + "@isolated\ndef f(): return 1\nf = f.on(serve=True)\n")
    assert Opened(await source.bundle(path, "f", config=here)).info.options["serve"] is True


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
        ("import os; print('bye'); os._exit(7)", "ended with exit code 7; its last line: bye"),
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
        "cannot pickle '_thread.lock' object; "
        "--from-source sends the file, and has the worker import it"
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
    said = (await refused(here, path, "f")).message
    assert said.startswith("app.py:2: InvalidOption: ") and "did you mean 'keep_alive'?" in said


@pytest.mark.parametrize("from_source", [False, True])
async def test_serve_mistyped_is_an_unknown_option_and_not_a_lack_of_it(
    here: Config, write: Write, from_source: bool
) -> None:
    path = write(HEAD + "@isolated(serv=True)\ndef f(): ...\n")
    error = await refused(here, path, "f", from_source=from_source)
    assert "isolated has no option 'serv'; did you mean 'serve'? It has: " in error.message


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("exposed_port='8080'", "exposed_port must be a port from 1 to 65535, not '8080'"),
        ("serve='yes'", "serve must be True or False, not 'yes'"),
    ],
)
async def test_a_way_to_be_served_that_is_wrong_is_not_taken_for_none(
    here: Config, write: Write, option: str, said: str
) -> None:
    error = await refused(here, write(HEAD + f"@isolated({option})\ndef f(): ...\n"), "f")
    assert error.message == f"app.py:2: InvalidOption: {said}"


async def test_a_file_without_the_import_is_told_it(here: Config, write: Write) -> None:
    error = await refused(here, write("@isolated(serve=True)\ndef f(): ...\n"), "f")
    assert error.message == (
        "app.py:1: NameError: name 'isolated' is not defined; "
        "the file lacks: from fal_serverless import isolated"
    )


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
