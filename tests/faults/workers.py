"""Workers that behave badly: what they do must cost nobody but their own callers."""

from __future__ import annotations

import asyncio

from fal_serverless.models import Answer, LogQuery
from faults import leftovers
from faults.stage import Stage
from faults.suite import fault


async def _bad_call(stage: Stage, name: str) -> Answer:
    """A call that behaves badly, and then one that does not: it must be answered."""
    await stage.open()
    await stage.serve(name)
    async with stage.client() as client:
        bad = await client.invoke(name, b'{"bad": true}')
        stage.expect("\n" not in bad.body.decode().strip(), f"in many lines: {bad.body[:400]!r}")
        fine = await client.invoke(name, b'{"bad": false}')
        stage.expect((fine.status, fine.body) == (200, b'"fine"'), f"afterwards: {fine}"[:400])
    return bad


async def _is_said(stage: Stage, name: str, status: int, words: str) -> None:
    """The caller gets the status, the log a line with the reason."""
    bad = await _bad_call(stage, name)
    stage.expect(bad.status == status, f"{name}: {bad.status} {bad.body[:400]!r}")
    async with stage.client() as client:
        told = await client.logs(LogQuery(label=name, level="ERROR", sources=("system",)))
    said = [entry.message for entry in told]
    stage.expect(any(words in line for line in said), f"{name} says in its log: {said}")
    await stage.settle()


@fault("worker eats memory", 2)
async def eats(stage: Stage) -> None:
    await _is_said(stage, "eats", 502, "out of memory")


@fault("worker spins and holds the GIL", 2)
async def spins(stage: Stage) -> None:
    await _is_said(stage, "spins", 504, "1 s")


@fault("worker ignores every signal", 2)
async def ignores(stage: Stage) -> None:
    await _is_said(stage, "ignores", 504, "1 s")


@fault("worker closes its socket and all its files", 2)
async def closes(stage: Stage) -> None:
    await _is_said(stage, "closes", 502, "died")


@fault("worker forks for ever", 2)
async def forks(stage: Stage) -> None:
    await _is_said(stage, "forks", 502, "too many processes")


@fault("worker ignores SIGTERM when the backend stops", 1)
async def ignores_stop(stage: Stage) -> None:
    await stage.open(FAL_SERVERLESS_DRAIN_TIMEOUT="1")
    await stage.serve("ignores")
    async with stage.client() as client:
        bad = asyncio.create_task(client.invoke("ignores", b'{"bad": true}'))
        while not any(w.function == "ignores" and w.running for w in await client.workers()):
            await asyncio.sleep(0.02)
    await stage.stop()
    await asyncio.gather(bad, return_exceptions=True)
    left = await leftovers.of_stopped(stage.home, stage.port)
    stage.outcome.leftover += left
    await stage.start()
    await stage.settle()
