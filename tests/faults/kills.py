"""kill -9, at random points of whatever goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fal_serverless.client import Client
from fal_serverless.errors import FalError
from fal_serverless.models import LogQuery, Worker
from faults import leftovers
from faults.ledger import BODY
from faults.stage import Stage
from faults.suite import fault

LONGEST = {"serve": 0.35, "rollback": 0.05, "key": 0.03, "revoke": 0.03, "auth": 0.03}
"""Seconds in which a change is about done: the kill comes at a random time within."""


async def _in_the_middle(stage: Stage, client: Client, kind: str) -> asyncio.Task[FalError | None]:
    """A change that has begun so long ago."""
    change = asyncio.create_task(stage.ledger.change(kind, client))
    await asyncio.sleep(stage.chance.uniform(0, LONGEST[kind]))
    return change


async def _crashes(stage: Stage, kinds: tuple[str, ...], rounds: int) -> None:
    async with await stage.open() as client:
        await stage.ledger.change("key", client)
    for number in range(rounds):
        async with stage.client() as client:
            change = await _in_the_middle(stage, client, kinds[number % len(kinds)])
            stage.crash()
            await change
        await stage.start()
        await stage.settle()


@fault("kill -9 backend in a serve", 6, quick=True)
async def backend_in_serve(stage: Stage) -> None:
    await _crashes(stage, ("serve",), 1)


@fault("kill -9 backend in a rollback", 2)
async def backend_in_rollback(stage: Stage) -> None:
    await _crashes(stage, ("rollback",), 4)


@fault("kill -9 backend in a key or auth change", 2)
async def backend_in_key_change(stage: Stage) -> None:
    await _crashes(stage, ("key", "auth", "key", "revoke"), 4)


@fault("kill -9 backend while it builds", 2)
async def backend_in_build(stage: Stage) -> None:
    await stage.open()
    build = asyncio.create_task(stage.serve("built"))
    await asyncio.sleep(stage.chance.uniform(0.05, 0.5))
    stage.crash()
    await asyncio.gather(build, return_exceptions=True)
    await stage.start()
    await stage.serve("built")
    await answers(stage, "built")
    await stage.settle()


@fault("kill -9 uv in a serve", 3)
async def uv_in_serve(stage: Stage) -> None:
    await stage.open()
    build = asyncio.create_task(stage.serve("built"))
    await asyncio.sleep(stage.chance.uniform(0.0, 0.3))
    while not build.done() and not stage.kill("bin/uv"):
        await asyncio.sleep(0.002)
    (came,) = await asyncio.gather(build, return_exceptions=True)
    if isinstance(came, FalError):
        stage.expect("\n" not in came.message, f"said in many lines: {came.message}")
        stage.expect(came.code == "build_failed", f"{came.code}: {came.message}")
    await stage.serve("built")
    await answers(stage, "built")
    await stage.settle()


@fault("kill -9 worker in a serve or rollback", 3)
async def worker_in_change(stage: Stage) -> None:
    await _kills_beside(stage, "serve", "worker")
    await _kills_beside(stage, "rollback", "worker")


@fault("kill -9 supervisor in a serve or rollback", 3, quick=True)
async def supervisor_in_change(stage: Stage) -> None:
    await _kills_beside(stage, "serve", "supervisor")
    await _kills_beside(stage, "rollback", "supervisor")


async def _kills_beside(stage: Stage, kind: str, role: str) -> None:
    """A process of the function that is being changed; the other endpoint's are spared."""
    if stage.backend is None:
        await stage.open()
    async with stage.client() as client:
        change = await _in_the_middle(stage, client, kind)
        found = roles(stage)[role]
        # Afterwards: one that is found while it starts is told apart when it has.
        victims = sorted(found - await _family_of(stage, client, "steady"))
        doomed: set[int] = set()
        if victims:
            victim = stage.chance.choice(victims)
            every = leftovers.processes(stage.home)
            # A worker outlives its supervisor by a moment.
            doomed = {victim, *(pid for pid in every if leftovers.parent(pid) == victim)}
            end(victim)
        error = await change
        if error is not None:
            stage.expect("\n" not in error.message, f"said in many lines: {error.message}")
        # A call that it is given until it is known to be dead is one that it had; and of one that
        # starts nobody knows the process yet.
        while any(
            worker.state == "starting"
            or (worker.pid and (worker.pid in doomed or not _is_there(worker.pid)))
            for worker in await client.workers()
        ):
            await asyncio.sleep(0.02)
    await stage.settle()


@fault("kill -9 template process in cold starts", 3)
async def template(stage: Stage) -> None:
    await stage.open()
    await stage.serve("cold")
    for _ in range(4):
        calls = asyncio.create_task(answers(stage, "cold"))
        await asyncio.sleep(stage.chance.uniform(0, 0.03))
        for pid in roles(stage)["template"]:
            end(pid)
        await calls
    await stage.settle()


@fault("kill -9 log store in log writes", 3, quick=True)
async def log_store(stage: Stage) -> None:
    await stage.open()
    await stage.serve("talks")
    count, first = 2000, 0
    for _ in range(3):
        talking = asyncio.create_task(_talk(stage, first, count))
        await asyncio.sleep(stage.chance.uniform(0, 0.1))
        stage.kill("fal_serverless.backend.logs")
        await talking
        first += count
    await _lines_are_there(stage, first)
    await stage.settle()


@fault("kill -9 backend in log writes", 3)
async def backend_in_log_write(stage: Stage) -> None:
    """What a reader was shown is there afterwards, in the same order and once."""
    await stage.open()
    await stage.serve("talks")
    talking = asyncio.create_task(_talk(stage, 0, 5000))
    await asyncio.sleep(stage.chance.uniform(0.02, 0.3))
    async with stage.client() as client:
        shown = await client.logs(LogQuery(label="talks", lines=10_000))
    stage.crash()
    await asyncio.gather(talking, return_exceptions=True)
    await stage.start()
    async with stage.client() as client:
        kept = await client.logs(LogQuery(label="talks", lines=20_000))
    there = {entry.id: entry.message for entry in kept}
    lost = [entry for entry in shown if there.get(entry.id) != entry.message]
    stage.expect(not lost, f"{len(lost)} lines that were shown are lost")
    said = [entry.message for entry in kept if entry.message.startswith("line ")]
    stage.expect(said == [f"line {n}" for n in range(len(said))], "lines are missing in between")
    await stage.settle()


@fault("kill -9 further gateway in a rollback", 3)
async def gateway(stage: Stage) -> None:
    """A call that the killed gateway had is cut; no other one is."""
    await stage.open(FAL_SERVERLESS_GATEWAYS="2")
    assert stage.others is not None
    for _ in range(3):
        async with stage.client() as client:
            change = await _in_the_middle(stage, client, "rollback")
            stage.others.is_down = True
            killed = stage.kill("fal_serverless.backend.gateways")
            error = await change
            # The control API may have been asked through it.
            stage.expect(error is None or error.code == "unreachable", f"rollback: {error}")
        await _until(stage, lambda killed=killed: killed not in leftovers.processes(stage.home))
        await _until(stage, lambda: bool(roles(stage)["gateway"]))
        await stage.others.heard()
        stage.others.is_down = False
        await stage.settle()


async def answers(stage: Stage, label: str) -> None:
    async with stage.client() as client:
        answer = await client.invoke(label, BODY)
        stage.expect((answer.status, answer.body) == (200, b"7"), f"{label}: {answer}"[:400])


async def _talk(stage: Stage, first: int, count: int) -> None:
    async with stage.client() as client:
        body = f'{{"first": {first}, "count": {count}}}'.encode()
        answer = await client.invoke("talks", body)
        stage.expect(answer.status == 200, f"talks: {answer}"[:400])


async def _lines_are_there(stage: Stage, count: int) -> None:
    """Each once, in order."""
    async with stage.client() as client:
        numbers = []
        async for entry in client.tail(LogQuery(label="talks", lines=4 * count)):
            if entry.message.startswith("line "):
                numbers.append(int(entry.message.split()[1]))
            if numbers and numbers[-1] == count - 1:
                break
    stage.expect(numbers == list(range(count)), f"{len(set(numbers))} of {count} lines are there")


def roles(stage: Stage) -> dict[str, set[int]]:
    """Processes of the engine and gateways by what they are.

    What was forked from a template has its words: only its place tells them apart.
    """
    assert stage.backend is not None
    found: dict[str, set[int]] = {
        role: set() for role in ("worker", "supervisor", "template", "gateway")
    }
    every = leftovers.processes(stage.home)
    parents = {leftovers.parent(pid) for pid in every}
    for pid, words in every.items():
        is_ours = leftovers.parent(pid) == stage.backend.process.pid
        if "fal_serverless.backend.gateways" in words:
            found["gateway"].add(pid)
        elif "child.py template" in words and is_ours:
            found["template"].add(pid)
        elif "child.py" in words:
            found["supervisor" if pid in parents else "worker"].add(pid)
    return found


async def _all_started(client: Client, function: str) -> list[Worker]:
    """A function's workers, when the process of each is known."""
    while True:
        workers = [each for each in await client.workers() if each.function == function]
        if not any(each.state == "starting" for each in workers):
            return workers
        await asyncio.sleep(0.01)


async def _family_of(stage: Stage, client: Client, function: str) -> set[int]:
    """A function's workers, all that is above them up to the backend, and who forks them."""
    spared = set(roles(stage)["template"])
    assert stage.backend is not None
    workers = await _all_started(client, function)
    for worker in workers:
        pid = worker.pid or 0
        while pid > 1 and pid != stage.backend.process.pid:
            spared.add(pid)
            pid = leftovers.parent(pid)
    return spared


def _is_there(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def _until(stage: Stage, holds: Callable[[], bool], seconds: float = 15) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not holds():
        if loop.time() > until:
            stage.expect(False, "it did not come to be in time")
            return
        await asyncio.sleep(0.02)
