from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fal_serverless.backend.environment import EnvironmentStore, normalised
from fal_serverless.backend.uv import reason
from fal_serverless.errors import BuildFailed, Conflict, NotFound

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"

SLOW_BACKEND = """
import os, pathlib, time
def build_wheel(*args, **kwargs):
    pathlib.Path({mark!r}).write_text(str(os.getpid()))
    time.sleep(600)
"""


def make_store(folder: Path, **environ: str) -> EnvironmentStore:
    env = {**os.environ, **environ}
    return EnvironmentStore(folder / "envs", folder / "cache", env, "never")


def no_log(line: str) -> None:
    pass


def run(python: Path, code: str) -> str:
    return subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def whole(store: EnvironmentStore) -> list[str]:
    return sorted(p.name for p in store.root.iterdir() if not p.name.startswith("."))


def test_the_key_is_about_meaning_not_spelling(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    key = store.key("3.11", ["Flask >= 2", "ruamel.yaml"])
    assert key == store.key("3.11", ["ruamel_yaml", "flask>=2", "flask>=2"])
    assert key != store.key("3.12", ["flask>=2", "ruamel.yaml"])
    assert key != store.key("3.11", ["flask>=3", "ruamel.yaml"])
    other = make_store(tmp_path, UV_DEFAULT_INDEX="https://example.invalid/simple")
    assert key != other.key("3.11", ["flask>=2", "ruamel.yaml"])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Flask", "flask"),
        (
            "a.B_c [x, y] >= 1, < 2 ; python_version < '3.9'",
            "a-b-c[x,y]>=1,<2;python_version < '3.9'",
        ),
        ("pkg @ file:///a b", "pkg@ file:///a b"),
        ("git+https://host/Repo", "git+https://host/Repo"),
        ("./Local", "./Local"),
    ],
)
def test_normalised(written: str, meant: str) -> None:
    assert normalised(written) == meant


async def test_an_empty_one_is_made_once_and_found_without_starting_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path)
    lines: list[str] = []
    made = await store.ensure(OURS, [], lines.append)
    assert store.exists(made.key)
    assert any("Creating virtual environment" in line for line in lines)
    with monkeypatch.context() as patched:
        patched.delattr(asyncio, "create_subprocess_exec")
        assert await store.ensure(OURS, [], no_log) == made
    paths = [str(path) for path in made.overlay]
    code = f"import sys; sys.path += {paths}; import cloudpickle, fal_serverless, msgspec; "
    code += "print(msgspec.json.encode([1]))"
    assert run(made.python, code) == "b'[1]'"


async def test_requirements_are_installed_and_compiled(tmp_path: Path) -> None:
    made = await make_store(tmp_path).ensure(OURS, ["flask"], no_log)
    assert run(made.python, "import flask; print(flask.Flask.__name__)") == "Flask"
    assert list(made.python.parent.parent.glob("lib/*/site-packages/flask/__pycache__/app.*.pyc"))


async def test_another_python_gets_its_own_overlay(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    others = [v for v in await store.installed_pythons() if not v.startswith(f"{OURS}.")]
    if not others:
        return
    version = others[-1].rpartition(".")[0]
    made = await store.ensure(version, [], no_log)
    paths = [str(path) for path in made.overlay]
    code = f"import sys; sys.path += {paths}; import msgspec; print(*sys.version_info[:2], sep='.')"
    assert run(made.python, code) == version


async def test_a_missing_python_tells_which_exist(tmp_path: Path) -> None:
    with pytest.raises(
        BuildFailed, match=r"Python 3\.77 is not installed; there are: .*3\.\d+\.\d"
    ) as failed:
        await make_store(tmp_path).ensure("3.77", [], no_log)
    assert "\n" not in failed.value.message


async def test_an_ancient_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="too old"):
        await make_store(tmp_path).ensure("3.7", [], no_log)


async def test_a_failed_build_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    lines: list[str] = []
    with pytest.raises(BuildFailed) as failed:
        await store.ensure(OURS, ["flask==99"], lines.append)
    assert "there is no version of flask==99" in failed.value.message
    assert not failed.value.message.startswith("error")
    assert any("flask==99" in line for line in lines)
    assert whole(store) == []


async def test_what_a_failed_build_leaves_is_removed_while_others_get_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, others_had_theirs = make_store(tmp_path), threading.Event()
    loop, real, waited = asyncio.get_running_loop(), shutil.rmtree, []

    def remove(path: Path, **options: bool) -> None:
        if path.parent == store.root and path.exists():
            loop.call_soon_threadsafe(others_had_theirs.set)
            waited.append(others_had_theirs.wait(5))
        real(path, **options)

    monkeypatch.setattr(shutil, "rmtree", remove)
    with pytest.raises(BuildFailed):
        await store.ensure(OURS, ["--no-such-requirement"], no_log)
    assert waited == [True] and whole(store) == []


async def test_a_requirement_that_is_none_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    for wrong in ("flask>>2", "--index-url=http://127.0.0.1:1/"):
        with pytest.raises(BuildFailed, match="Failed to parse"):
            await store.ensure(OURS, [wrong], no_log)


async def test_one_build_for_many_who_ask_at_once(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    logs: list[list[str]] = [[] for _ in range(5)]
    made = await asyncio.gather(*(store.ensure(OURS, [], log.append) for log in logs))
    assert len(set(made)) == 1
    assert sum("waiting for the same environment" in log[0] for log in logs) == 4
    assert all(any("Creating virtual environment" in line for line in log) for log in logs)


async def test_one_build_for_two_stores_on_one_folder(tmp_path: Path) -> None:
    logs: list[list[str]] = [[], []]
    stores = [make_store(tmp_path), make_store(tmp_path)]
    await asyncio.gather(
        *(store.ensure(OURS, [], log.append) for store, log in zip(stores, logs, strict=True))
    )
    told = [any("Creating virtual" in line for line in log) for log in logs]
    assert sorted(told) == [False, True]


@pytest.mark.parametrize("part", ["bin", "lib", "pyvenv.cfg"])
async def test_one_that_lacks_a_part_is_built_again(tmp_path: Path, part: str) -> None:
    store = make_store(tmp_path)
    made = await store.ensure(OURS, [], no_log)
    lost = tmp_path / "envs" / made.key / part
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    assert not store.holds(made)
    assert await store.ensure(OURS, [], no_log) == made
    assert lost.exists() and store.holds(made)


async def test_a_folder_without_marker_is_built_again(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    half = store.root / store.key(OURS, [])
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").write_text("not a python")
    made = await store.ensure(OURS, [], no_log)
    assert run(made.python, "print(1)") == "1"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def appears(path: Path) -> int:
    await until(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.fixture
def slow_package(tmp_path: Path) -> Callable[[Path], str]:
    def make(mark: Path) -> str:
        folder = tmp_path / "slow"
        folder.mkdir()
        (folder / "backend.py").write_text(SLOW_BACKEND.format(mark=str(mark)))
        (folder / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "slow"\nversion = "1"\n'
        )
        return f"slow @ {folder.as_uri()}"

    return make


async def test_a_cancelled_build_leaves_no_process_and_no_folder(
    tmp_path: Path, slow_package: Callable[[Path], str]
) -> None:
    store = make_store(tmp_path)
    mark = tmp_path / "mark"
    task = asyncio.create_task(store.ensure(OURS, [slow_package(mark)], no_log))
    pid = await appears(mark)
    assert alive(pid)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not alive(pid))
    assert whole(store) == []


async def test_the_build_goes_on_while_one_waiter_is_left(
    tmp_path: Path, slow_package: Callable[[Path], str]
) -> None:
    store = make_store(tmp_path)
    mark = tmp_path / "mark"
    wanted = [slow_package(mark)]
    first = asyncio.create_task(store.ensure(OURS, wanted, no_log))
    second = asyncio.create_task(store.ensure(OURS, wanted, no_log))
    pid = await appears(mark)
    first.cancel()
    await asyncio.wait([first])
    assert alive(pid) and not second.done()
    second.cancel()
    await asyncio.wait([second])
    assert whole(store) == []


async def test_one_that_is_being_built_is_not_removed(
    tmp_path: Path, slow_package: Callable[[Path], str]
) -> None:
    store, other = make_store(tmp_path), make_store(tmp_path)
    mark = tmp_path / "mark"
    wanted = [slow_package(mark)]
    task = asyncio.create_task(store.ensure(OURS, wanted, no_log))
    await appears(mark)
    for one in (store, other):
        with pytest.raises(Conflict, match="being built"):
            await one.remove(store.key(OURS, wanted))
        assert one.leftovers() == []
    task.cancel()
    await asyncio.wait([task])
    assert [path.name for path in store.leftovers()] == [f".{store.key(OURS, wanted)}.lock"]


async def test_removing_frees_and_the_next_one_builds_again(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    made = await store.ensure(OURS, [], no_log)
    assert await store.remove(made.key) > 0
    assert whole(store) == [] and store.leftovers() == []
    with pytest.raises(NotFound):
        await store.remove(made.key)
    lines: list[str] = []
    assert await store.ensure(OURS, [], lines.append) == made
    assert any("Creating virtual environment" in line for line in lines)


async def test_a_lock_that_was_removed_while_one_waited_is_taken_anew(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    store.root.mkdir()
    path = store.root / f".{store.key(OURS, [])}.lock"
    held = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    lines: list[str] = []
    task = asyncio.create_task(store.ensure(OURS, [], lines.append))
    await until(lambda: any("waiting for another process" in line for line in lines))
    path.unlink()
    made = await task
    os.close(held)
    assert store.exists(made.key) and path.exists()


async def test_the_key_it_was_made_under_is_enough(tmp_path: Path) -> None:
    made = await make_store(tmp_path).ensure(OURS, [], no_log)
    moved = make_store(tmp_path, UV_DEFAULT_INDEX="https://example.invalid/simple")
    assert await moved.ensure(OURS, [], no_log, made.key) == made
    assert (await moved.ensure(OURS, [], no_log)).key != made.key
    assert (await moved.ensure(OURS, [], no_log, "lost")).key != made.key


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["error: A:", "  cause: B", "  hint: C"], "A: B: C"),
        (["warning: x", "killed"], "killed"),
        ([], "uv ended with status 9 and said nothing"),
    ],
)
def test_reason(lines: list[str], said: str) -> None:
    assert reason(lines, 9) == said
