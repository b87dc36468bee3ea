"""Machine types as limits: by a supervisor that looks, or by the kernel where a cgroup is given."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.backend.engine import limits
from fal_serverless.backend.engine.limits import GB, MB, MOUNT, Limits, Machine, within
from fal_serverless.errors import WorkerFailed
from fal_serverless.isolated import MACHINE_TYPES

HOG = """
import subprocess, sys
def load(): return bytearray(900 * 2**20)
def f(hog=False, child=False):
    code = "import time; x = bytearray(900 * 2**20); time.sleep(60)"
    if hog:
        some = [bytearray(2**20) for _ in range(900)]
        __import__('time').sleep(60)
    if child: return subprocess.run([sys.executable, '-c', code]).returncode
    return 'fine'
def g(_): pass
"""
SAID = r"killed: out of memory \(machine type XS has 512 MB\)"


def tops() -> list[Path]:
    """Where cgroups of this machine begin."""
    two = (MOUNT / "cgroup.controllers").exists()
    return [MOUNT] if two else [MOUNT / "memory", MOUNT / "cpu"]


def can_make_cgroups() -> bool:
    name = f"fal-trial-{os.getpid()}"
    try:
        for top in tops():
            (top / name).mkdir()
            (top / name).rmdir()
    except OSError:
        return False
    return True


WAYS = ["watched", "cgroup"] if can_make_cgroups() else ["watched"]


@pytest.fixture
def cgroup() -> Iterator[str]:
    name = f"fal-test-{os.getpid()}"
    yield f"/{name}"
    for top in tops():
        with suppress(FileNotFoundError):
            (top / name).rmdir()


@pytest.fixture(params=WAYS)
async def stage(
    cgroup: str, make_stage: Callable[..., Any], request: pytest.FixtureRequest
) -> AsyncIterator[Any]:
    made = make_stage(cgroup=cgroup if request.param == "cgroup" else "")
    yield made
    # Before the cgroup that it works in is removed.
    await made.engine.close(0)


async def test_who_takes_too_much_is_ended_and_told_so(stage: Any, make_spec: Any) -> None:
    spec = make_spec(HOG, machine_type="XS", max_concurrency=1)
    other = make_spec(HOG, machine_type="XS")
    await stage.engine.warm(other)
    with pytest.raises(WorkerFailed, match=SAID):
        await stage.call(spec, {"hog": True})
    assert await stage.json(spec) == "fine"
    assert [worker.state for worker in stage.engine.workers()].count("failed") == 0
    assert len(stage.engine.workers()) == 2
    (said,) = [e.message for e in stage.entries if e.level == "ERROR" and e.source == "system"]
    assert "out of memory" in said


async def test_a_start_that_takes_too_much(stage: Any, make_spec: Any) -> None:
    spec = make_spec(HOG, "g", setup="load", machine_type="XS")
    with pytest.raises(WorkerFailed, match=SAID):
        await stage.engine.warm(spec)


async def test_a_worker_gets_the_processors_of_its_type(stage: Any, make_spec: Any) -> None:
    source = (
        "import os, time\ndef f():\n"
        "    end = time.monotonic() + 1; before = time.process_time()\n"
        "    while time.monotonic() < end: pass\n"
        "    return [len(os.sched_getaffinity(0)), os.environ.get('OMP_NUM_THREADS'),\n"
        "            time.process_time() - before]"
    )
    cores, threads, used = await stage.json(make_spec(source, machine_type="XS"))
    assert threads == "1" and (cores == 1 or used < 0.8)


async def test_what_children_take_counts(make_stage: Any, make_spec: Any) -> None:
    stage = make_stage()
    with pytest.raises(WorkerFailed, match=SAID):
        await stage.call(make_spec(HOG, machine_type="XS"), {"child": True})


PARTED = """
import os, time
def f():
    kept = bytearray(b'x') * (200 << 20)
    for _ in range(4):
        if os.fork() == 0:
            time.sleep(600)
    time.sleep(2)
    return len(kept) >> 20
"""


async def test_what_forks_share_counts_once(make_stage: Any, make_spec: Any) -> None:
    assert await make_stage().json(make_spec(PARTED, machine_type="XS")) == 200


FORKS = """
import os, time
def f(many=False):
    while many:
        if os.fork() == 0:
            time.sleep(600)
    return 'fine'
"""


async def test_who_forks_for_ever_is_ended_and_told_so(
    make_stage: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_PROCESSES", 60)
    stage = make_stage()
    spec = make_spec(FORKS, max_concurrency=1)
    with pytest.raises(WorkerFailed, match=r"killed: too many processes \(more than 60\)"):
        await stage.call(spec, {"many": True})
    assert await stage.json(spec) == "fine"


async def test_nothing_is_left_of_a_cgroup(cgroup: str, make_stage: Any, make_spec: Any) -> None:
    if WAYS == ["watched"]:
        with pytest.raises(OSError, match=r"denied|Read-only|there is no"):
            make_stage(cgroup=cgroup)
        return
    stage = make_stage(cgroup=cgroup)
    await stage.call(make_spec(HOG, machine_type="XS"))
    folders = [path for top in tops() for path in (top / cgroup[1:]).glob("*/w-*")]
    assert len(folders) == len(tops())
    assert "limits of the kernel" in await stage.engine.describe()
    await stage.engine.close(0)
    assert not any(path.exists() or path.parent.exists() for path in folders)


@pytest.mark.parametrize("name", MACHINE_TYPES)
def test_every_machine_type_means_something(name: str) -> None:
    found = limits.MACHINES.get(name, Machine())
    assert (found == Machine()) == name.startswith("GPU")


@pytest.mark.parametrize("name", limits.MACHINES)
def test_the_readme_and_the_code_say_the_same(name: str) -> None:
    machine = limits.MACHINES[name]
    rows = (Path(__file__).parents[3] / "README.md").read_text().splitlines()
    says = f"| {limits.size(machine.memory or 0)} | {machine.cpus:g} |"
    assert any(row.startswith(f"| `{name}`") and row.endswith(says) for row in rows)


def test_a_limit_over_what_there_is_is_none() -> None:
    here = Machine(16 * GB, 4)
    assert within(limits.MACHINES["S"], here) == Machine(8 * GB, None)
    assert within(limits.MACHINES["XS"], here) == Machine(512 * MB, 0.5)
    assert within(limits.MACHINES["XL"], here) == Machine()


def test_workers_take_turns_on_the_processors(tmp_path: Path) -> None:
    there_is = Machine(GB, 64)
    found = Limits(tmp_path, there_is=there_is)
    cores = [found.claim(f"w-{n}", "XS").cores for n in range(2)]
    assert all(len(each) == 1 for each in cores)
    assert cores[0] != cores[1] or len(os.sched_getaffinity(0)) == 1
    free = found.claim("w-3", "GPU-H100")
    assert (free.cores, free.orders["limits"]["memory"]) == ((), None)


def test_where_nothing_can_be_done_it_is_said(tmp_path: Path) -> None:
    found = Limits(tmp_path, platform="darwin", there_is=Machine(GB, 8))
    assert found.claim("w-1", "XS").unenforced == (
        "machine type XS (512 MB, 0.5 processors) is not enforced on this system"
    )
    assert found.claim("w-1", "GPU").unenforced == ""
    assert "no limits here" in found.describe()


def test_what_is_written_to_cgroups_of_version_2(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    mount.mkdir()
    (mount / "cgroup.controllers").write_text("cpu memory")
    found = Limits(tmp_path, "/fal/x", mount=mount, there_is=Machine(GB, 8))
    (folder,) = found.claim("w-1", "XS").cgroups
    for level in ("", "fal", "fal/x", folder.parent):
        assert (mount / level / "cgroup.subtree_control").read_text() == "+memory +cpu"
    assert (folder / "memory.max").read_text() == str(512 * MB)
    assert (folder / "cpu.max").read_text() == "50000 100000"
    (folder / "memory.events").write_text("low 0\noom_kill 1\n")
    assert found.release(found.claim("w-1", "XS"))
