"""Calls that were sent to a worker ahead of their turn: none is lost, held up or run twice."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fal_serverless.backend.engine import Call
from fal_serverless.backend.engine import pool as pools
from fal_serverless.backend.engine.exchange import Exchange, meta_of
from fal_serverless.backend.engine.pool import AHEAD, LARGEST_AHEAD, Pool
from fal_serverless.errors import QueueFull, RequestTimeout, WorkerFailed

PLAIN = (
    "import os, sys, time\n"
    "def f(n=0, go='', seconds=0.0, spin=0.0):\n"
    "    print('begins', n)\n"
    "    time.sleep(seconds)\n"
    "    while go and not os.path.exists(go): time.sleep(0.005)\n"
    "    sys.setswitchinterval(30 if spin else 0.005)\n"
    "    until = time.perf_counter() + spin\n"
    "    while time.perf_counter() < until: pass\n"
    "    return [n, os.getpid()]"
)
ASYNC = (
    "import asyncio, os\n"
    "async def f(n=0, go='', seconds=0.0):\n"
    "    print('begins', n)\n"
    "    await asyncio.sleep(seconds)\n"
    "    while go and not os.path.exists(go): await asyncio.sleep(0.005)\n"
    "    return [n, os.getpid()]"
)
both = pytest.mark.parametrize("source", [PLAIN, ASYNC], ids=["plain", "async"])

Task = asyncio.Task[Any]


@contextmanager
def quick() -> Iterator[None]:
    """Calls count as short, even where this machine has other things to do."""
    before, pools.SHORT = pools.SHORT, 60.0
    try:
        yield
    finally:
        pools.SHORT = before


@dataclass
class Crew:
    """The workers of one function, all of them up, and each has shown how long a call takes."""

    stage: Any
    spec: Any
    pool: Pool
    until: Any

    def send(self, *bodies: Any) -> list[Task]:
        """All at once, in this order."""
        return [asyncio.create_task(self.stage.json(self.spec, body)) for body in bodies]

    async def send_ahead(self, *bodies: Any) -> list[Task]:
        """As `send`, however long that takes."""
        with quick():
            tasks = self.send(*bodies)
            await asyncio.sleep(0)
        return tasks

    @property
    def ahead(self) -> list[int]:
        return [worker.ahead for worker in self.pool.workers]

    @property
    def pids(self) -> list[int]:
        return [worker.record().pid or 0 for worker in self.pool.workers]

    async def begun(self, *numbers: int) -> None:
        await self.until(lambda: {f"begins {n}" for n in numbers} <= set(self.stage.lines()))

    def order(self) -> list[int]:
        """Numbers of the calls that began, but for those without one."""
        return [n for n in (int(line.split()[1]) for line in self.stage.lines()) if n]

    async def settled(self) -> None:
        """Nothing runs or waits any more, and everybody knows."""
        await self.until(
            lambda: all(
                (w.running, w.ahead, w.wanted_back, w.state) == (0, 0, 0, "ready")
                for w in self.pool.workers
            )
        )


@pytest.fixture
def hire(make_stage: Any, make_spec: Any, until: Any) -> Any:
    async def make(source: str = PLAIN, workers: int = 1, options: Any = None, **more: Any) -> Crew:
        stage = make_stage(**more)
        spec = make_spec(source, max_concurrency=workers, **(options or {}))
        await asyncio.gather(*(stage.json(spec) for _ in range(workers)))
        crew = Crew(stage, spec, stage.engine.pool(spec), until)
        async with asyncio.timeout(20):
            while any(worker.typical == math.inf for worker in crew.pool.workers):
                await asyncio.gather(*crew.send(*[{}] * workers))
        # Nobody is about to take calls back for those that are idle.
        await until(lambda: crew.pool._evening is None)
        assert len(crew.pool.workers) == workers
        return crew

    return make


def held(n: int, go: Path) -> dict[str, Any]:
    return {"n": n, "go": str(go)}


def short(first: int, last: int) -> list[dict[str, Any]]:
    return [{"n": n} for n in range(first, last + 1)]


class Made:
    """A call that the test gives to a worker itself, past the pool."""

    def __init__(self, n: int, **more: Any) -> None:
        body = msgspec.json.encode({"n": n, **more})
        self._answered = asyncio.Event()
        meta = meta_of(Call("r-1", content_type="application/json"))
        self.exchange = Exchange("r-1", "", meta, body, lambda _: self._answered.set())

    async def number(self) -> int:
        async with asyncio.timeout(5):
            await self._answered.wait()
        return int(msgspec.json.decode(self.exchange.reply().body)[0])


async def results(tasks: list[Task]) -> list[Any]:
    async with asyncio.timeout(20):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def numbers(tasks: list[Task], within: float = 5) -> list[int]:
    """Of calls that are answered soon, whatever else runs."""
    async with asyncio.timeout(within):
        return [answer[0] for answer in await asyncio.gather(*tasks)]


# Which ones go


async def test_calls_go_ahead_where_they_are_short(hire: Any) -> None:
    crew = await hire(workers=2)
    went = [0, 0]
    async with asyncio.timeout(20):
        while not all(went):
            calls = crew.send(*short(1, 20))
            await asyncio.sleep(0)
            went = crew.ahead
            await asyncio.gather(*calls)
    assert max(went) <= AHEAD
    await crew.settled()


async def test_calls_wait_in_the_pool_where_they_are_long(hire: Any, tmp_path: Path) -> None:
    crew = await hire()
    await asyncio.gather(*crew.send(*[{"seconds": 0.02}] * 20))
    go = tmp_path / "go"
    calls = crew.send(held(1, go), *short(2, 6))
    await asyncio.sleep(0)
    assert crew.ahead == [0]
    go.touch()
    assert await numbers(calls) == list(range(1, 7))


async def test_a_large_call_waits_in_the_pool_and_so_do_those_behind_it(
    hire: Any, tmp_path: Path
) -> None:
    crew = await hire()
    go = tmp_path / "go"
    large = b'{"n": 3}' + b" " * LARGEST_AHEAD
    calls = await crew.send_ahead(held(1, go), {"n": 2}, large, {"n": 4})
    assert crew.ahead == [1]
    go.touch()
    assert await numbers(calls) == [1, 2, 3, 4]
    assert crew.order() == [1, 2, 3, 4]


# Back from behind a slow one


@both
async def test_what_waits_behind_a_slow_call_goes_to_a_worker_that_is_idle(
    hire: Any, tmp_path: Path, source: str
) -> None:
    crew = await hire(source, 2)
    slow, fast = tmp_path / "slow", tmp_path / "fast"
    calls = await crew.send_ahead(held(1, slow), held(2, fast), *short(3, 10))
    assert crew.ahead == [4, 4]
    await crew.begun(1, 2)
    fast.touch()
    assert await numbers(calls[1:], within=1) == list(range(2, 11))
    assert not calls[0].done()
    slow.touch()
    await calls[0]
    await crew.settled()


@both
async def test_what_comes_back_runs_once(hire: Any, tmp_path: Path, source: str) -> None:
    crew = await hire(source, 2)
    slow, fast = tmp_path / "slow", tmp_path / "fast"
    calls = await crew.send_ahead(held(1, slow), held(2, fast), *short(3, 26))
    await crew.begun(1, 2)
    fast.touch()
    await numbers(calls[1:])
    slow.touch()
    await calls[0]
    assert sorted(crew.order()) == list(range(1, 27))


@both
async def test_what_comes_back_keeps_its_order(hire: Any, tmp_path: Path, source: str) -> None:
    crew = await hire(source, 2)
    slow, fast = tmp_path / "slow", tmp_path / "fast"
    calls = await crew.send_ahead(held(1, slow), held(2, fast), *short(3, 26))
    await crew.begun(1, 2)
    fast.touch()
    await numbers(calls[1:])
    slow.touch()
    await calls[0]
    for one in (range(3, 27, 2), range(4, 27, 2)):
        assert [n for n in crew.order() if n in one] == list(one)


async def test_a_worker_that_is_kept_for_no_time_takes_what_waits_behind_a_slow_call_first(
    make_stage: Any, make_spec: Any, until: Any, tmp_path: Path
) -> None:
    stage = make_stage()
    spec = make_spec(PLAIN, max_concurrency=2, keep_alive=0)
    await stage.engine.warm(spec)
    crew = Crew(stage, spec, stage.engine.pool(spec), until)
    gate, go, never = tmp_path / "gate", tmp_path / "go", tmp_path / "never"
    calls = crew.send(held(1, gate), held(2, gate), held(3, never), held(4, go))
    await crew.begun(1, 2)
    gate.touch()
    await crew.begun(3, 4)
    calls += await crew.send_ahead(*short(5, 12))
    assert crew.ahead == [4, 4]
    go.touch()
    slow = calls.pop(2)
    assert await numbers(calls) == [1, 2, *range(4, 13)]
    assert not slow.done()
    never.touch()
    await slow


async def test_a_worker_that_starts_anew_takes_what_waits_behind_a_slow_call(
    hire: Any, tmp_path: Path
) -> None:
    crew = await hire(workers=2)
    go = tmp_path / "go"
    calls = await crew.send_ahead(held(1, go), held(2, go), {"n": 3})
    await crew.begun(1, 2)
    os.kill(crew.pids[crew.ahead.index(0)], signal.SIGKILL)
    async with asyncio.timeout(5):
        assert (await calls[2])[0] == 3
    go.touch()
    assert sum(isinstance(result, WorkerFailed) for result in await results(calls)) == 1


async def test_a_call_that_comes_back_when_its_turn_had_come_leaves_the_worker_ready(
    hire: Any,
) -> None:
    crew = await hire(workers=2, options={"keep_alive": 0.8})
    # Of those that are idle the other is the one that is taken.
    worker = min(crew.pool.workers, key=lambda worker: worker.idle_since)
    first, second = Made(1, spin=0.2), Made(2)
    worker.begin(first.exchange)
    await crew.begun(1)
    # The first holds the interpreter, so its worker hears of what follows when it has answered.
    worker.begin(second.exchange)
    worker.withdraw(1)
    assert [await first.number(), await second.number()] == [1, 2]
    await crew.until(lambda: not crew.pool.workers)


# Death


@both
async def test_of_a_worker_that_is_killed_only_what_ran_fails(
    hire: Any, tmp_path: Path, source: str
) -> None:
    crew = await hire(source)
    calls = await crew.send_ahead(held(1, tmp_path / "never"), *short(2, 9))
    await crew.begun(1)
    (pid,) = crew.pids
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerFailed, match="SIGKILL"):
        await calls[0]
    answers = await asyncio.gather(*calls[1:])
    assert crew.order() == list(range(1, 10))
    assert [n for n, _ in answers] == list(range(2, 10))
    assert pid not in {pid for _, pid in answers}
    await crew.settled()


async def test_what_waited_in_a_dead_worker_keeps_its_order_in_one_that_is_idle(
    hire: Any, tmp_path: Path
) -> None:
    crew = await hire(workers=2)
    one, other = crew.pool.workers
    calls = [Made(1, go=str(tmp_path / "never")), *(Made(n) for n in range(2, 8))]
    for call in calls:
        one.begin(call.exchange)
    await crew.begun(1)
    with quick():
        os.kill(one.record().pid, signal.SIGKILL)
        assert [await call.number() for call in calls[1:]] == list(range(2, 8))
    assert crew.order() == list(range(1, 8))
    assert {call.exchange.worker for call in calls[1:]} == {other}


async def test_who_stops_a_worker_that_dies_does_not_wait_for_what_waited_in_it(
    hire: Any, tmp_path: Path
) -> None:
    crew = await hire(drain_timeout=60)
    calls = await crew.send_ahead(held(1, tmp_path / "never"), *short(2, 3))
    await crew.begun(1)
    (worker,) = crew.pool.workers
    stopping = asyncio.create_task(crew.stage.engine.stop_worker(worker.id, "somebody"))
    await crew.until(lambda: worker.state == "draining")
    os.kill(crew.pids[0], signal.SIGKILL)
    async with asyncio.timeout(5):
        await stopping
    assert [type(r) for r in await results(calls)] == [WorkerFailed, list, list]


# Time limits


async def test_the_time_of_a_call_counts_from_its_turn(hire: Any) -> None:
    crew = await hire(options={"request_timeout": 0.7})
    calls = await crew.send_ahead(*({"n": n, "seconds": 0.3} for n in range(1, 4)))
    assert crew.ahead == [2]
    assert [answer[0] for answer in await asyncio.gather(*calls)] == [1, 2, 3]


async def test_a_call_that_waited_has_a_limit_from_its_turn_on(hire: Any) -> None:
    crew = await hire(options={"request_timeout": 0.8})
    calls = await crew.send_ahead({"n": 1, "seconds": 0.3}, {"n": 2, "seconds": 60}, {"n": 3})
    assert [type(r) for r in await results(calls)] == [list, RequestTimeout, list]
    await crew.settled()


@both
async def test_behind_a_call_past_its_time_the_next_is_answered(hire: Any, source: str) -> None:
    crew = await hire(source, options={"request_timeout": 0.3})
    calls = await crew.send_ahead({"n": 1, "seconds": 60}, *short(2, 5))
    assert [type(r) for r in await results(calls)] == [RequestTimeout, *[list] * 4]
    assert len({record.id for record in crew.stage.records}) == 1


# Callers who leave


@both
async def test_a_caller_who_leaves_before_his_turn_holds_up_nobody(
    hire: Any, tmp_path: Path, source: str
) -> None:
    crew = await hire(source)
    go = tmp_path / "go"
    leaves = {"seconds": 60}
    calls = await crew.send_ahead(held(1, go), leaves, {"n": 3}, leaves, {"n": 5}, leaves)
    await crew.begun(1)
    for call in calls[1::2]:
        call.cancel()
    await asyncio.wait(calls[1::2])
    go.touch()
    assert await numbers(calls[::2]) == [1, 3, 5]
    await crew.settled()


async def test_callers_who_leave_while_their_calls_come_back_are_forgotten(
    hire: Any, tmp_path: Path
) -> None:
    crew = await hire(workers=2)
    go = tmp_path / "go"
    calls = await crew.send_ahead(held(1, go), held(2, go), *short(3, 12))
    await crew.begun(1, 2)
    for worker in crew.pool.workers:
        worker.withdraw(AHEAD)
    assert [worker.wanted_back for worker in crew.pool.workers] == [5, 5]
    for call in calls[2:]:
        call.cancel()
    await crew.until(lambda: crew.ahead == [0, 0])
    go.touch()
    await asyncio.gather(*calls[:2])
    await crew.settled()
    assert sorted(crew.order()) == [1, 2]


# The queue's limit


@pytest.mark.parametrize("size", [2, AHEAD, 20])
async def test_a_full_queue_counts_what_went_ahead(hire: Any, tmp_path: Path, size: int) -> None:
    crew = await hire(queue_size=size)
    go = tmp_path / "go"
    calls = await crew.send_ahead(held(1, go), *short(2, size + 2))
    with pytest.raises(QueueFull, match=f"has {size} calls waiting"):
        await calls.pop()
    assert crew.ahead == [min(size, AHEAD)]
    go.touch()
    assert await numbers(calls) == list(range(1, size + 2))


async def test_a_queue_is_full_for_all_workers_together(hire: Any, tmp_path: Path) -> None:
    crew = await hire(workers=3, queue_size=4)
    go = tmp_path / "go"
    calls = await crew.send_ahead(*(held(n, go) for n in range(1, 4)), *short(4, 9))
    await asyncio.sleep(0)
    go.touch()
    told = [type(result) for result in await results(calls)]
    assert told == [list] * 7 + [QueueFull] * 2


# Ends


@both
async def test_stopping_a_worker_loses_nothing_that_waits_in_it(
    hire: Any, tmp_path: Path, source: str
) -> None:
    crew = await hire(source)
    go = tmp_path / "go"
    calls = await crew.send_ahead(held(1, go), *short(2, 6))
    (worker,) = crew.pool.workers
    stopping = asyncio.create_task(crew.stage.engine.stop_worker(worker.id, "somebody"))
    await crew.until(lambda: worker.state == "draining")
    go.touch()
    assert await numbers(calls) == list(range(1, 7))
    await stopping


async def test_what_waits_in_a_worker_whose_drain_ends_runs_in_another(
    hire: Any, tmp_path: Path
) -> None:
    crew = await hire(drain_timeout=0.1)
    calls = await crew.send_ahead(held(1, tmp_path / "never"), *short(2, 6))
    (worker,) = crew.pool.workers
    await crew.stage.engine.stop_worker(worker.id, "somebody")
    assert [type(r) for r in await results(calls)] == [WorkerFailed, *[list] * 5]


@both
async def test_retiring_lets_finish_what_went_ahead(hire: Any, tmp_path: Path, source: str) -> None:
    crew = await hire(source)
    go = tmp_path / "go"
    calls = await crew.send_ahead(held(1, go), *short(2, 20))
    retired = asyncio.create_task(crew.stage.engine.retire(crew.spec.revision))
    await crew.begun(1)
    assert not retired.done()
    go.touch()
    assert await numbers(calls) == list(range(1, 21))
    await retired


async def test_retiring_lets_finish_what_is_on_its_way_back(hire: Any) -> None:
    crew = await hire(workers=2)
    worker, _ = crew.pool.workers
    first, second = Made(1, spin=0.3), Made(2)
    worker.begin(first.exchange)
    await crew.begun(1)
    worker.begin(second.exchange)
    worker.withdraw(1)
    retired = asyncio.create_task(crew.stage.engine.retire(crew.spec.revision))
    assert [await first.number(), await second.number()] == [1, 2]
    await retired


async def test_what_went_ahead_in_a_revision_that_ends_is_told_and_starts_no_worker(
    hire: Any, tmp_path: Path
) -> None:
    crew = await hire(drain_timeout=0.1)
    calls = await crew.send_ahead(held(1, tmp_path / "never"), *short(2, 20))
    await crew.stage.engine.retire(crew.spec.revision)
    assert {type(result) for result in await results(calls)} == {WorkerFailed}
    assert crew.pool.workers == []
    assert crew.stage.states().count("starting") == 1


async def test_a_call_for_a_revision_that_has_ended_is_told_so(hire: Any) -> None:
    crew = await hire()
    await crew.stage.engine.retire(crew.spec.revision)
    late = Made(1)
    with pytest.raises(WorkerFailed, match="stopped"):
        crew.pool.submit(late.exchange)
    assert crew.pool.workers == []


# All at once


@both
async def test_in_a_storm_each_caller_gets_his_answer_or_one_error(hire: Any, source: str) -> None:
    crew = await hire(source, 3, options={"keep_alive": 60})
    dice = random.Random(7)
    count, calls = 0, 4000
    told: list[type[object]] = []

    async def caller() -> None:
        nonlocal count
        while count < calls:
            count += 1
            number = count
            if number % 500 == 0:
                with suppress(IndexError, ProcessLookupError):
                    os.kill(dice.choice([pid for pid in crew.pids if pid]), signal.SIGKILL)
            seconds = 0.03 if dice.random() < 0.02 else dice.random() / 1000
            (call,) = crew.send({"n": number, "seconds": seconds})
            if dice.random() < 0.1:
                await asyncio.sleep(dice.random() / 100)
                call.cancel()
            (result,) = await results([call])
            told.append(type(result))
            if isinstance(result, list):
                assert result[0] == number

    async with asyncio.timeout(30):
        await asyncio.gather(*(caller() for _ in range(64)))
    await crew.settled()
    assert set(told) == {list, WorkerFailed, asyncio.CancelledError}
    # Of a worker that is killed one call runs.
    assert told.count(WorkerFailed) <= calls // 500
    assert len(crew.order()) == len(set(crew.order()))
