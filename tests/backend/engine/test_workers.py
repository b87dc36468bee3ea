"""How workers start, fail, are ended and leave nothing."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.errors import RequestTimeout, StartupTimeout, WorkerFailed

SLEEP = "import time\ndef f(s=60):\n    print('begins'); time.sleep(s); return s"


async def test_warm_makes_one_worker_and_the_call_finds_it(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(): return 1")
    await stage.engine.warm(spec)
    await stage.engine.warm(spec)
    (worker,) = stage.engine.workers()
    assert (worker.state, worker.requests, worker.address) == ("ready", 0, "unix")
    assert worker.memory_bytes and worker.memory_bytes > 1_000_000
    reply = await stage.call(spec)
    assert (reply.worker, reply.cold) == (worker.id, None)
    assert stage.states()[:2] == ["starting", "ready"]


async def test_the_first_call_of_a_worker_tells_its_cold_start(stage: Any, make_spec: Any) -> None:
    source = "import time\ndef load(): time.sleep(0.05)\ndef f(_): return 1"
    reply = await stage.call(make_spec(source, setup="load"))
    assert reply.cold.setup >= 0.05 and reply.cold.load > 0
    assert reply.queued >= reply.cold.setup + reply.cold.load


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (
            "def load(): raise ValueError('no model')\ndef f(_): pass",
            {"setup": "load"},
            "the setup function of f raised ValueError: no model",
        ),
        (
            "import os\ndef load(): os._exit(3)\ndef f(_): pass",
            {"setup": "load"},
            "died: exit code 3",
        ),
        (
            "import os\ndef load(): os.kill(os.getpid(), 9)\ndef f(_): pass",
            {"setup": "load"},
            "died: killed by signal 9 (SIGKILL)",
        ),
        (
            "import nothing_like_it\ndef f(): pass",
            {"from_source": True},
            "f cannot be loaded: ModuleNotFoundError: No module named 'nothing_like_it'",
        ),
        ("def g(): pass", {"from_source": True}, "app.py holds no function 'f'"),
    ],
)
async def test_a_worker_that_cannot_start_says_why_once(
    stage: Any, make_spec: Any, source: str, options: dict[str, Any], said: str
) -> None:
    spec = make_spec(source, **options)
    with pytest.raises(WorkerFailed) as failed:
        await stage.engine.warm(spec)
    assert said in failed.value.message
    started, *reasons = stage.lines("system")
    assert re.fullmatch(r"worker w-\w{8} started \(process \d+\)", started)
    assert reasons == [failed.value.message]
    assert stage.states() == ["starting", "failed"]
    assert stage.engine.workers() == []


async def test_the_traceback_of_a_failed_start_is_in_the_log_and_the_error(
    stage: Any, make_spec: Any
) -> None:
    spec = make_spec("def load(): print('half'); 1 / 0\ndef f(_): pass", setup="load")
    with pytest.raises(WorkerFailed) as failed:
        await stage.call(spec)
    assert failed.value.data["log"][0] == "half"
    assert failed.value.data["log"][-1] == "ZeroDivisionError: division by zero"
    assert stage.lines() == ["half", "\n".join(failed.value.data["log"][1:])]


async def test_sources_that_cannot_be_unpacked_are_told(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(): return 1")
    (spec.folder / "sources.zip").write_bytes(b"PK nothing")
    with pytest.raises(WorkerFailed, match=r"files of revision .* cannot be unpacked: "):
        await stage.engine.warm(spec)


async def test_a_start_that_takes_too_long(stage: Any, make_spec: Any) -> None:
    source = "import time\ndef load(): time.sleep(60)\ndef f(_): pass"
    spec = make_spec(source, setup="load", startup_timeout=0.3)
    with pytest.raises(StartupTimeout, match=r"'f' was not ready within 0\.3 s"):
        await stage.engine.warm(spec)


async def test_a_missing_interpreter_is_a_failed_worker(stage: Any, make_spec: Any) -> None:
    from dataclasses import replace

    spec = make_spec("def f(): pass")
    gone = replace(spec.environment, python=Path("/no/such/python"))
    with pytest.raises(WorkerFailed, match="no worker of 'f' could be started"):
        await stage.engine.warm(replace(spec, environment=gone))


async def test_a_worker_that_dies_in_a_call_is_replaced(stage: Any, make_spec: Any) -> None:
    source = (
        "import os, signal\ndef f(die=False):\n    if die: os.kill(os.getpid(), 11)\n    return 1"
    )
    spec = make_spec(source)
    with pytest.raises(WorkerFailed, match=r"killed by signal 11 \(SIGSEGV\)"):
        await stage.call(spec, {"die": True})
    assert await stage.json(spec) == 1
    died = [e for e in stage.entries if e.source == "system" and e.level == "ERROR"]
    assert len(died) == 1 and "died" in died[0].message


async def test_a_stream_of_a_worker_that_dies_breaks_off(stage: Any, make_spec: Any) -> None:
    reply = await stage.call(make_spec("import os\ndef f():\n    yield 'a'\n    os._exit(5)"))
    assert await anext(reply.body) == b"a"
    with pytest.raises(WorkerFailed, match="exit code 5"):
        await anext(reply.body)


async def test_a_call_past_its_time_is_told_and_interrupted(stage: Any, make_spec: Any) -> None:
    spec = make_spec(SLEEP, request_timeout=0.2, max_concurrency=1)
    with pytest.raises(RequestTimeout, match=r"did not answer within 0\.2 s"):
        await stage.call(spec)
    (before,) = stage.engine.workers()
    assert await stage.json(spec, {"s": 0}) == 0
    assert [w.id for w in stage.engine.workers()] == [before.id]


async def test_a_call_that_cannot_be_interrupted_costs_its_worker(
    stage: Any, make_spec: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fal_serverless.backend.engine.worker.CANCEL_GRACE", 0.1)
    source = (
        "import time\ndef f(stuck=True):\n    while stuck:\n        try: time.sleep(60)\n"
        "        except BaseException: pass\n    return 1"
    )
    spec = make_spec(source, request_timeout=0.2, max_concurrency=1)
    with pytest.raises(RequestTimeout):
        await stage.call(spec)
    assert await stage.json(spec, {"stuck": False}) == 1
    assert any("does not end" in line for line in stage.lines("system"))


async def test_a_caller_who_leaves_a_call_that_does_not_end_blocks_its_worker_no_longer(
    stage: Any, make_spec: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fal_serverless.backend.engine.worker.CANCEL_GRACE", 0.1)
    source = (
        "import time\ndef f(stuck=True):\n    if stuck: print('begins')\n"
        "    while stuck:\n        try: time.sleep(60)\n"
        "        except BaseException: pass\n    return 1"
    )
    spec = make_spec(source, request_timeout=0.3, max_concurrency=1)
    task = asyncio.create_task(stage.call(spec))
    await until(lambda: stage.lines() == ["begins"])
    task.cancel()
    async with asyncio.timeout(10):
        assert await stage.json(spec, {"stuck": False}) == 1


@pytest.mark.parametrize("prefix", ["", "async "])
async def test_a_caller_who_leaves_ends_the_call(
    stage: Any, make_spec: Any, until: Any, prefix: str
) -> None:
    sleep = "await asyncio.sleep(60)" if prefix else "time.sleep(60)"
    source = (
        f"import asyncio, time\n{prefix}def f(wait=True):\n    if not wait: return 1\n"
        f"    print('begins')\n    try: {sleep}\n    finally: print('ends')"
    )
    spec = make_spec(source, max_concurrency=1)
    task = asyncio.create_task(stage.call(spec))
    await until(lambda: stage.lines() == ["begins"])
    task.cancel()
    await asyncio.wait([task])
    assert await stage.json(spec, {"wait": False}) == 1
    assert stage.lines() == ["begins", "ends"]


async def test_many_callers_who_leave_do_no_harm(stage: Any, make_spec: Any) -> None:
    source = "import time\ndef f(n):\n    print('x' * 100)\n    time.sleep(0.001)\n    return n"
    spec = make_spec(source, max_concurrency=1)
    await stage.engine.warm(spec)
    for number in range(150):
        task = asyncio.create_task(stage.call(spec, {"n": number}))
        await asyncio.sleep(0.0001 * (number % 17))
        task.cancel()
        await asyncio.wait([task])
    assert await stage.json(spec, {"n": "last"}) == "last"
    assert len({record.id for record in stage.records}) == 1


async def test_stop_lets_the_call_finish(stage: Any, make_spec: Any, until: Any) -> None:
    spec = make_spec(SLEEP)
    call = asyncio.create_task(stage.json(spec, {"s": 0.3}))
    await until(lambda: stage.lines() == ["begins"])
    (worker,) = stage.engine.workers()
    await stage.engine.stop_worker(worker.id, "somebody")
    assert await call == 0.3
    assert stage.engine.workers() == []
    assert stage.states()[-2:] == ["draining", "stopped"]


async def test_a_drain_has_an_end(make_stage: Any, make_spec: Any, until: Any) -> None:
    stage = make_stage(drain_timeout=0.1)
    call = asyncio.create_task(stage.call(make_spec(SLEEP)))
    await until(lambda: stage.lines() == ["begins"])
    await stage.engine.stop_worker(stage.engine.workers()[0].id, "somebody")
    with pytest.raises(WorkerFailed, match="SIGTERM"):
        await call


async def test_stopping_one_that_starts(stage: Any, make_spec: Any, until: Any) -> None:
    source = "import time\ndef load(): print('l'); time.sleep(60)\ndef f(_): pass"
    warm = asyncio.create_task(stage.engine.warm(make_spec(source, setup="load")))
    await until(lambda: len(stage.engine.workers()) == 1)
    await stage.engine.stop_worker(stage.engine.workers()[0].id, "somebody")
    with pytest.raises(WorkerFailed, match="stopped before it was ready"):
        await warm
    assert stage.states()[-1] == "stopped"


async def test_a_function_sees_little_of_the_backend(stage: Any, make_spec: Any) -> None:
    source = (
        "import os, resource, sys, tempfile\n"
        "def f():\n"
        "    status = open('/proc/self/status').read() if sys.platform == 'linux' else ''\n"
        "    return {'cwd': os.getcwd(), 'tmp': tempfile.gettempdir(), 'env': dict(os.environ),\n"
        "            'stdin': sys.stdin.read(), 'core': resource.getrlimit(resource.RLIMIT_CORE),\n"
        "            'session': os.getsid(0), 'privs': 'NoNewPrivs:\\t1' in status}"
    )
    seen = await stage.json(make_spec(source))
    assert seen["cwd"].startswith(str(stage.run_dir)) and seen["tmp"].startswith(str(stage.run_dir))
    assert "SECRET_OF_THE_BACKEND" not in seen["env"]
    assert (seen["stdin"], seen["core"]) == ("", [0, 0])
    assert seen["session"] != os.getsid(0)
    assert seen["privs"] or sys.platform != "linux"


async def test_files_beside_the_source_can_be_read_and_imported(stage: Any, make_spec: Any) -> None:
    source = (
        "def f():\n    import near, os\n"
        "    return near.X + open(os.path.dirname(near.__file__) + '/data.txt').read()"
    )
    files = {"near.py": "X = 'x'", "data.txt": "data"}
    assert await stage.json(make_spec(source, files=files)) == "xdata"


async def test_modules_of_ours_do_not_stand_in_the_way(stage: Any, make_spec: Any) -> None:
    source = "def f():\n    import channel, output, main\n    return [channel.X, output.X, main.X]"
    files = {f"{name}.py": "X = 1" for name in ("channel", "output", "main")}
    assert await stage.json(make_spec(source, files=files)) == [1, 1, 1]


async def test_the_users_own_copies_win_for_the_user(stage: Any, make_spec: Any) -> None:
    source = "def f():\n    import cloudpickle, msgspec\n    return [cloudpickle.X, msgspec.X]"
    files = {"cloudpickle.py": "X = 'mine'", "msgspec.py": "X = 'mine'"}
    assert await stage.json(make_spec(source, files=files)) == ["mine", "mine"]


async def test_what_becomes_of_a_worker_is_in_the_log_with_the_reason(
    stage: Any, make_spec: Any, until: Any
) -> None:
    spec = make_spec("def f(): pass", keep_alive=0.05)
    await stage.call(spec)
    await until(lambda: len(stage.lines("system")) == 3)
    started, ready, stopped = (line.split(" ", 2)[2] for line in stage.lines("system"))
    assert re.fullmatch(r"started \(process \d+\)", started)
    assert re.fullmatch(r"is ready in \d+ ms \(load \d+ ms, setup 0 ms\)", ready)
    assert stopped == "stopped: idle for 0.05 s; 'fn-f' is scaled to zero"
    assert {e.revision for e in stage.entries} == {spec.revision}


async def test_who_stopped_a_worker_is_in_the_log(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def f(): pass")
    reply = await stage.call(spec)
    await stage.engine.stop_worker(reply.worker, "anna")
    assert stage.lines("system")[-1] == f"worker {reply.worker} stopped: by anna"
    reply = await stage.call(spec)
    await stage.engine.retire(spec.revision, "its revision was deleted by anna")
    said = f"worker {reply.worker} stopped: its revision was deleted by anna"
    assert stage.lines("system")[-1] == said
