"""Who runs a call, who waits, and how many workers there are."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.backend.engine import worker as worker_module
from fal_serverless.errors import NotFound, QueueFull, RequestTimeout, WorkerFailed

HOLD = (
    "import os, time\n"
    "def f(go):\n    print('begins')\n    while not os.path.exists(go): time.sleep(0.005)\n"
    "    return os.getpid()"
)


def begin(stage: Any, spec: Any, go: Path) -> asyncio.Task[Any]:
    return asyncio.create_task(stage.json(spec, {"go": str(go)}))


def live(stage: Any) -> int:
    return sum(1 for worker in stage.engine.workers() if worker.state in ("ready", "busy"))


async def test_one_more_worker_for_each_call_up_to_the_limit(
    stage: Any, make_spec: Any, until: Any, tmp_path: Path
) -> None:
    spec = make_spec(HOLD, max_concurrency=2)
    go = tmp_path / "go"
    calls = [begin(stage, spec, go) for _ in range(5)]
    await until(lambda: len(stage.lines()) == 2)
    assert sorted(worker.running for worker in stage.engine.workers()) == [1, 1]
    go.touch()
    assert len(set(await asyncio.gather(*calls))) == 2


async def test_calls_one_after_another_need_one_worker(stage: Any, make_spec: Any) -> None:
    spec = make_spec("import os\ndef f(): return os.getpid()", max_concurrency=4)
    assert len({await stage.json(spec) for _ in range(20)}) == 1


async def test_a_worker_runs_as_many_as_it_may(
    stage: Any, make_spec: Any, until: Any, tmp_path: Path
) -> None:
    spec = make_spec(HOLD, max_concurrency=1, max_multiplexing=3)
    go = tmp_path / "go"
    calls = [begin(stage, spec, go) for _ in range(4)]
    await until(lambda: len(stage.lines()) == 3)
    assert [worker.running for worker in stage.engine.workers()] == [3]
    go.touch()
    assert len(set(await asyncio.gather(*calls))) == 1


async def test_nobody_waits_behind_a_slow_call_while_another_is_idle(
    stage: Any, make_spec: Any, until: Any, tmp_path: Path
) -> None:
    spec = make_spec(HOLD, max_concurrency=2)
    slow, fast = tmp_path / "slow", tmp_path / "fast"
    fast.touch()
    held = begin(stage, spec, slow)
    await until(lambda: len(stage.lines()) == 1)
    pids = [await begin(stage, spec, fast) for _ in range(10)]
    assert len(set(pids)) == 1
    slow.touch()
    assert await held not in pids


async def test_a_full_queue_refuses_at_once(
    make_stage: Any, make_spec: Any, until: Any, tmp_path: Path
) -> None:
    stage = make_stage(queue_size=2)
    spec = make_spec(HOLD, max_concurrency=1)
    go = tmp_path / "go"
    running = begin(stage, spec, go)
    await until(lambda: len(stage.lines()) == 1)
    waiting = [begin(stage, spec, go) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="2 calls waiting"):
        await begin(stage, spec, go)
    go.touch()
    await asyncio.gather(running, *waiting)


async def test_who_leaves_the_queue_leaves_no_hole(
    stage: Any, make_spec: Any, until: Any, tmp_path: Path
) -> None:
    spec = make_spec(HOLD, max_concurrency=1)
    go = tmp_path / "go"
    running = begin(stage, spec, go)
    await until(lambda: len(stage.lines()) == 1)
    waiting = [begin(stage, spec, go) for _ in range(6)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    go.touch()
    await asyncio.gather(running, *waiting[1::2])
    await until(lambda: [w.running for w in stage.engine.workers()] == [0])
    assert stage.lines() == ["begins"] * 4


async def test_a_call_that_does_not_end_takes_none_along_that_still_may(
    stage: Any, make_spec: Any, until: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "CANCEL_GRACE", 0.05)
    spec = make_spec(HOLD, max_concurrency=1, max_multiplexing=2, request_timeout=1.5)
    stuck = begin(stage, spec, tmp_path / "never")
    with pytest.raises(RequestTimeout):
        await stuck
    go = tmp_path / "go"
    other = begin(stage, spec, go)
    await until(lambda: any("a call in it does not end" in s for s in stage.lines("system")))
    go.touch()
    assert await other


async def test_who_leaves_as_a_place_is_given_leaves_the_place(stage: Any, make_spec: Any) -> None:
    pool = await stage.engine.made_pool(make_spec("def f(): pass", max_concurrency=1))
    worker = (await pool.acquire()).worker
    waiting = asyncio.ensure_future(pool.acquire())
    await asyncio.sleep(0)
    worker.give()
    assert worker.running == 1
    waiting.cancel()
    await asyncio.wait((waiting,))
    assert worker.running == 0


async def test_of_idle_workers_those_that_are_to_be_kept_stay(
    stage: Any, make_spec: Any, until: Any, tmp_path: Path
) -> None:
    spec, go = make_spec(HOLD, max_concurrency=2, keep_alive=0), tmp_path / "go"
    stage.engine.keep(spec, 1)
    calls = [begin(stage, spec, go) for _ in range(2)]
    await until(lambda: len(stage.lines()) == 2)
    go.touch()
    await asyncio.gather(*calls)
    await until(lambda: len(stage.engine.workers()) == 1)
    assert stage.states().count("stopped") == 1 and live(stage) == 1
    assert stage.states().count("starting") == 2


async def test_idle_workers_go_and_every_call_restarts_the_clock(
    stage: Any, make_spec: Any, until: Any
) -> None:
    spec = make_spec("import os\ndef f(): return os.getpid()", keep_alive=0.4)
    first = await stage.json(spec)
    for _ in range(4):
        await asyncio.sleep(0.2)
        assert await stage.json(spec) == first
    await until(lambda: stage.engine.workers() == [])
    assert stage.states()[-2:] == ["draining", "stopped"]
    assert await stage.json(spec) != first


async def test_no_keep_alive_is_a_worker_per_call(stage: Any, make_spec: Any) -> None:
    spec = make_spec("import os\ndef f(): return os.getpid()", keep_alive=0)
    assert len({await stage.json(spec) for _ in range(3)}) == 3


async def test_kept_workers_stay_and_come_back(stage: Any, make_spec: Any, until: Any) -> None:
    source = "import os\ndef f(die=False):\n    if die: os._exit(1)\n    return os.getpid()"
    spec = make_spec(source, keep_alive=0.05, max_concurrency=3)
    stage.engine.keep(spec, 2)
    await until(lambda: live(stage) == 2)
    await asyncio.sleep(0.2)
    assert live(stage) == 2
    with pytest.raises(WorkerFailed):
        await stage.call(spec, {"die": True})
    assert live(stage) == 1
    await until(lambda: live(stage) == 2)
    stage.engine.keep(spec, 0)
    await until(lambda: stage.engine.workers() == [])


async def test_a_kept_worker_that_cannot_start_is_not_tried_for_ever(
    stage: Any, make_spec: Any, until: Any
) -> None:
    spec = make_spec("def load(): 1 / 0\ndef f(_): pass", setup="load")
    stage.engine.keep(spec, 1)
    await until(lambda: stage.states().count("failed") == 1)
    await asyncio.sleep(0.3)
    assert stage.states().count("starting") == 1


async def test_all_who_wait_learn_that_no_worker_can_start(stage: Any, make_spec: Any) -> None:
    spec = make_spec("def load(): 1 / 0\ndef f(_): pass", setup="load", max_concurrency=1)
    calls = [asyncio.create_task(stage.call(spec)) for _ in range(5)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(r, WorkerFailed) and "ZeroDivisionError" in r.message for r in results)
    assert stage.states().count("starting") == 1


async def test_retire_lets_finish_what_waits_and_runs(
    stage: Any, make_spec: Any, until: Any, tmp_path: Path
) -> None:
    spec = make_spec(HOLD, max_concurrency=1)
    go = tmp_path / "go"
    calls = [begin(stage, spec, go) for _ in range(3)]
    await until(lambda: len(stage.lines()) == 1)
    retired = asyncio.create_task(stage.engine.retire(spec.revision))
    await asyncio.sleep(0.05)
    assert not retired.done()
    go.touch()
    assert len(set(await asyncio.gather(*calls))) == 1
    await retired
    assert stage.states()[-1] == "stopped"
    assert await stage.json(spec, {"go": str(go)})


async def test_a_worker_that_is_not_there_cannot_be_stopped(stage: Any) -> None:
    with pytest.raises(NotFound, match="no worker 'w-1'"):
        await stage.engine.stop_worker("w-1", "somebody")


async def test_what_changes_is_told_but_not_for_every_call(
    stage: Any, make_spec: Any, until: Any
) -> None:
    spec = make_spec("def f(): pass", max_concurrency=1)
    for _ in range(200):
        await stage.call(spec)
    await until(lambda: stage.states()[-1] == "ready")
    assert len(stage.records) < 30
    await until(lambda: stage.records[-1].requests == 200)


async def test_it_is_fast_enough(stage: Any, make_spec: Any) -> None:
    """A guard against a mistake that costs a factor, not a benchmark."""
    spec = make_spec("def f(text): return text")
    await stage.engine.warm(spec)

    async def many() -> None:
        for _ in range(40):
            await stage.call(spec, b'{"text":"x"}')

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(many() for _ in range(32)))
    assert asyncio.get_running_loop().time() - began < 3


async def test_one_that_gets_ready_and_dies_again_and_again_is_started_ever_later(
    stage: Any, make_spec: Any, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fal_serverless.backend.engine.pool.BACKOFF_FIRST", 0.1)
    source = (
        "import os, threading\n"
        "def load(): threading.Timer(0.1, os._exit, (3,)).start()\n"
        "def f(_): pass"
    )
    stage.engine.keep(make_spec(source, setup="load"), 1)
    await until(lambda: stage.states().count("starting") == 4)
    began = [r.started_at.timestamp() for r in stage.records if r.state == "starting"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(began)]
    assert gaps[0] >= 0.2 and gaps[1] >= 0.4 and gaps[2] >= 0.8
    assert "ready" in stage.states()
