"""Whoever is killed, nothing of a worker is left: with process namespaces and without."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.backend.engine import LocalEngine, Sink, isolation, survivors, worker
from fal_serverless.backend.engine.isolation import Isolation, Namespace
from fal_serverless.config import Settings

FOUND = isolation.start()()
NAMESPACES = [Namespace("", "a test")]
if FOUND.namespace.kind:
    NAMESPACES.insert(0, FOUND.namespace)

QUICK = 20.0
"""Seconds after which nothing may be left: far from the grace, for which nobody may wait."""


@pytest.fixture
def mark() -> Iterator[str]:
    """Seconds to sleep, by which the sleepers of one test are known."""
    made = f"6{random.randrange(10**9):09}"
    yield made
    for pid in sleepers(made):
        os.kill(pid, signal.SIGKILL)


def sleepers(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def source(mark: str) -> str:
    """A function that starts what is hard to find: a child, a session, a daemon, a deaf fork."""
    return f"""
import os, signal, subprocess, time
def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.chdir('/')
            os.execv('/bin/sleep', ['sleep', '{mark}'])
        os._exit(0)
def deaf():
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        os.execv('/bin/sleep', ['sleep', '{mark}'])
def f(wait=0):
    subprocess.Popen(['sleep', '{mark}'])
    subprocess.Popen(['sleep', '{mark}'], start_new_session=True, cwd='/')
    daemon()
    deaf()
    time.sleep(wait)
"""


COUNT = 4

pytestmark = pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda n: n.kind or "none")


@pytest.fixture
def stage(make_stage: Callable[..., Any], namespace: Namespace) -> Any:
    return make_stage(Isolation(FOUND.method, namespace))


@pytest.fixture(autouse=True)
def grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "STOP_GRACE", 10 * QUICK)


async def gone_quickly(mark: str, is_left: Callable[[], bool] = lambda: False) -> None:
    began = time.monotonic()
    while sleepers(mark) or is_left():
        assert time.monotonic() - began < QUICK, sleepers(mark)
        await asyncio.sleep(0.01)


def supervisor_of(pid: int) -> int:
    """The outermost process of a worker, below the backend."""
    parent = parent_of(pid)
    while parent_of(parent) != os.getpid():
        parent = parent_of(parent)
    return parent


def parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rpartition(")")[2].split()[1])


@pytest.mark.parametrize("target", ["worker", "supervisor"])
@pytest.mark.parametrize("port", [None, 8080])
async def test_a_kill_leaves_nothing(
    stage: Any, make_spec: Any, until: Any, mark: str, target: str, port: int | None
) -> None:
    served = "    import http.server\n    http.server.HTTPServer(('', 8080), None).serve_forever()"
    text = source(mark) + (served if port else "")
    spec = make_spec(text, exposed_port=port) if port else make_spec(text)
    await (stage.engine.warm(spec) if port else stage.call(spec))
    await until(lambda: len(sleepers(mark)) == COUNT)
    pid = stage.engine.workers()[0].pid
    os.kill(pid if target == "worker" else supervisor_of(pid), signal.SIGKILL)
    await gone_quickly(mark)
    await until(lambda: not stage.engine.workers())
    (said,) = [e.message for e in stage.entries if e.level == "ERROR" and e.source == "system"]
    assert "killed by signal 9 (SIGKILL)" in said


@pytest.mark.parametrize("end", ["retire", "stop_worker"])
async def test_an_end_that_was_asked_for_leaves_nothing(
    stage: Any, make_spec: Any, until: Any, mark: str, end: str
) -> None:
    spec = make_spec(source(mark))
    await stage.call(spec)
    await until(lambda: len(sleepers(mark)) == COUNT)
    (worker,) = stage.engine.workers()
    began = time.monotonic()
    if end == "retire":
        await stage.engine.retire(spec.revision)
    else:
        await stage.engine.stop_worker(worker.id, "somebody")
    assert time.monotonic() - began < QUICK
    await gone_quickly(mark)


BACKEND = """
import asyncio, os, sys
from pathlib import Path
from fal_serverless.backend.engine import Call, LocalEngine, Sink, Spec, isolation
from fal_serverless.backend.engine.isolation import Isolation, Method, Namespace
from fal_serverless.backend.environment import Environment
from fal_serverless.config import Settings

async def main():
    folder, python, overlay, run, kind = sys.argv[1:]
    environment = Environment("k", Path(python), tuple(map(Path, overlay.split(os.pathsep))))
    spec = Spec("r", "f", "1", "f", {"serve": True}, (), Path(folder), environment)
    found = isolation.known(Isolation(Method("patch"), Namespace(kind)))
    sink = Sink(lambda _: None, lambda *_: None)
    engine = LocalEngine(Settings(), Path(run), os.environ, sink, lambda _: None, found)
    await engine.call(spec, Call("r-1"))
    print(engine.workers()[0].pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def start_backend(namespace: Namespace, tmp_path: Path) -> Any:
    """A process with an engine that has called the function; and its worker's process id."""

    def start(spec: Any) -> tuple[subprocess.Popen[str], int]:
        script = tmp_path / "backend.py"
        script.write_text(BACKEND)
        overlay = os.pathsep.join(map(str, spec.environment.overlay))
        command = [sys.executable, str(script), str(spec.folder), str(spec.environment.python)]
        command += [overlay, str(tmp_path / "run"), namespace.kind]
        backend = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert backend.stdout is not None
        return backend, int(backend.stdout.readline())

    return start


async def test_a_killed_backend_leaves_nothing(
    make_spec: Any, start_backend: Any, until: Any, is_alive: Any, mark: str
) -> None:
    backend, worker = await asyncio.to_thread(start_backend, make_spec(source(mark)))
    await until(lambda: len(sleepers(mark)) == COUNT)
    backend.kill()
    # Its processes end in no order.
    await gone_quickly(mark, lambda: is_alive(worker))
    backend.wait()


async def test_what_is_left_when_all_are_killed_ends_with_the_next_start(
    make_spec: Any, start_backend: Any, until: Any, is_alive: Any,
    mark: str, tmp_path: Path, namespace: Namespace,
) -> None:  # fmt: skip
    backend, worker = await asyncio.to_thread(start_backend, make_spec(source(mark)))
    await until(lambda: len(sleepers(mark)) == COUNT)
    (folder,) = (tmp_path / "run").glob("w-*")
    supervisor = int((folder / survivors.RECORD).read_text().split()[0])
    os.kill(backend.pid, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    backend.kill()
    backend.wait()
    await until(lambda: not is_alive(worker))
    if namespace.kind:
        await gone_quickly(mark)
    else:
        assert len(sleepers(mark)) == COUNT
    sink = Sink(lambda _: None, lambda *_: None)
    engine = LocalEngine(Settings(), tmp_path / "run", {}, sink, lambda _: None)
    assert sleepers(mark) == [] and not folder.exists()
    await engine.close(0)
