"""Scanning files, choosing the local ones, and choosing an interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bundles import HEAD, Write
from fal_serverless import errors, source
from fal_serverless.source import files, interpreter
from running import FUNCTIONS


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


def test_a_mistyped_file_is_told_its_neighbour(write: Write) -> None:
    path = write("x = 1\n")
    for name in ("ap.py", "app"):
        with pytest.raises(errors.FileMissing, match=r"does not exist; did you mean app\.py\?$"):
            source.scan(path.with_name(name))
    with pytest.raises(errors.FileMissing, match=r"does not exist$"):
        source.scan(path.with_name("py.py"))


def test_a_link_to_nowhere_is_not_told_to_be_itself(tmp_path: Path) -> None:
    link = tmp_path / "link.py"
    link.symlink_to("nowhere.py")
    with pytest.raises(
        errors.FileMissing, match=r"link.py is a link to nowhere.py, which does not"
    ):
        source.scan(link)


def test_a_syntax_error_quotes_no_more_than_a_line_s_beginning(write: Write) -> None:
    with pytest.raises(errors.LoadFailed, match=r"SyntaxError: .*: x = \((1, )+1,…$") as told:
        source.scan(write("x = (" + "1, " * 5000 + "]\n"))
    assert len(told.value.message) < 250


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


def test_a_version_is_looked_up_in_pyenv_and_on_the_path(tmp_path: Path) -> None:
    old = make_venv(tmp_path / "versions" / "3.9.2")
    new = make_venv(tmp_path / "versions" / "3.9.11")
    command = make_venv(tmp_path / "path").rename(tmp_path / "path" / "bin" / "python3.10")
    environ = {"PYENV_ROOT": str(tmp_path), "PATH": str(command.parent)}

    def named(text: str) -> Path:
        return interpreter.locate(tmp_path / "app.py", Path(text), environ)[0]

    assert (named("3.9"), named("python3.9"), named("3.9.2")) == (new, new, old)
    assert named("3.10") == named("python3.10") == command


async def test_what_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.BadInput, match="no Python at /nowhere"):
        await interpreter.choose(tmp_path / "a.py", Path("/nowhere"), {})
    with pytest.raises(errors.BadInput, match="is not a Python that works"):
        await interpreter.choose(tmp_path / "a.py", Path("/bin/true"), {})
