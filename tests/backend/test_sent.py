"""Functions that were sent to be called: how long they are kept, and what callers hear."""

from __future__ import annotations

import asyncio
import os
import pickle
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fal_serverless import isolated
from fal_serverless.backend.bundles import BundleStore
from fal_serverless.backend.engine import LocalEngine, Sink
from fal_serverless.backend.environment import EnvironmentStore
from fal_serverless.backend.logs.store import LogStore
from fal_serverless.backend.sent import MOST_IDLE, MOST_LINES, Outbox, SentFunctions
from fal_serverless.config import Settings
from fal_serverless.errors import InvalidOption, NotFound
from fal_serverless.models import CallEvent, LogEntry
from fal_serverless.source import sending


@dataclass
class Stage:
    sent: SentFunctions
    engine: LocalEngine
    folder: Path

    async def send(self, function: Any) -> sending.Sendable:
        made = sending.sendable(function)
        await self.sent.keep("1", made.digest, made.pack())
        return made

    async def call(self, made: sending.Sendable, *args: Any) -> list[CallEvent]:
        content = sending.arguments(made.name, args, {})
        return [e async for e in self.sent.call(self.sent.find("1", made.digest), content)]

    def kept(self) -> list[str]:
        return [folder.name for folder in self.folder.iterdir()]


@pytest.fixture
async def make_stage(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callable[[float], Stage]]:
    shared = tmp_path_factory.getbasetemp() / "of sent functions"
    logs = LogStore(tmp_path / "logs", 1 << 30, 1)
    environments = EnvironmentStore(shared / "envs", shared / "cache", os.environ, "never")
    sink = Sink(logs.put, logs.lines)
    engine = LocalEngine(Settings(), tmp_path / "run", os.environ, sink, lambda worker: None)
    made: list[SentFunctions] = []

    def make(idle: float, fresh: float = 60) -> Stage:
        folder = tmp_path / "sent"
        made.append(SentFunctions(BundleStore(folder), environments, engine, logs, idle, fresh))
        return Stage(made[-1], engine, folder)

    yield make
    await engine.close(0)
    for one in made:
        one.close()
    await logs.close()
    assert list((tmp_path / "sent").iterdir()) == []


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while True:
            if holds():
                return
            await asyncio.sleep(0.005)


def say(word: str) -> str:
    print(word)
    return word.upper()


async def test_a_call_gives_lines_and_then_the_result(
    make_stage: Callable[[float], Stage],
) -> None:
    stage = make_stage(60)
    made = await stage.send(isolated(say))
    told = [e for e in await stage.call(made, "tea") if e.entry is None or e.entry.source == "user"]
    assert [(e.kind, e.entry.message if e.entry else "") for e in told] == [
        ("log", "tea"), ("returned", ""),
    ]  # fmt: skip
    assert pickle.loads(told[-1].content) == "TEA"


async def test_an_idle_function_goes_and_has_to_be_sent_again(
    make_stage: Callable[[float], Stage],
) -> None:
    stage = make_stage(0.05)
    made = await stage.send(isolated(keep_alive=0)(say))
    assert len(stage.kept()) == 1
    await stage.call(made, "tea")
    await until(lambda: not stage.kept())
    with pytest.raises(NotFound, match="was idle for too long"):
        stage.sent.find("1", made.digest)
    assert stage.engine.workers() == []
    await stage.send(isolated(keep_alive=0)(say))
    assert (await stage.call(made, "tea"))[-1].kind == "returned"


async def test_a_call_that_ends_late_does_not_take_what_was_sent_anew_away(
    make_stage: Callable[[float], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, begun, may_end = make_stage(0.01), asyncio.Event(), asyncio.Event()

    async def call(*_: object) -> object:
        begun.set()
        try:
            return await asyncio.Future()
        finally:
            await may_end.wait()

    monkeypatch.setattr(stage.engine, "call", call)
    made = await stage.send(isolated(keep_alive=0)(say))
    calling = asyncio.ensure_future(stage.call(made, "tea"))
    await begun.wait()
    calling.cancel()
    await until(lambda: not stage.kept())
    monkeypatch.setattr(stage.sent, "_idle", 60)
    again = await stage.send(isolated(keep_alive=0)(say))
    kept = stage.sent.revisions("1")
    may_end.set()
    await asyncio.wait((calling,))
    assert stage.sent.revisions("1") == kept
    stage.sent.find("1", again.digest)


async def test_a_function_that_runs_is_not_idle(
    make_stage: Callable[[float], Stage], tmp_path: Path
) -> None:
    def wait_for(path: Path) -> str:
        import time

        while not path.exists():
            time.sleep(0.01)
        return "done"

    stage = make_stage(0.01)
    made = await stage.send(isolated(keep_alive=0)(wait_for))
    running = asyncio.ensure_future(stage.call(made, tmp_path / "go"))
    await until(lambda: bool(stage.sent.uses()))
    await asyncio.sleep(0.1)
    assert len(stage.kept()) == 1
    (tmp_path / "go").touch()
    assert pickle.loads((await running)[-1].content) == "done"


async def test_many_functions_do_not_pile_up(make_stage: Callable[..., Stage]) -> None:
    stage = make_stage(60, fresh=-1)
    first = await stage.send(isolated(say))
    for number in range(MOST_IDLE - 1):
        await stage.send(isolated(keep_alive=number)(say))
    stage.sent.find("1", first.digest)
    last = await stage.send(isolated(keep_alive=99)(say))
    await until(lambda: len(stage.kept()) == MOST_IDLE)
    for made in (first, last):
        stage.sent.find("1", made.digest)
    assert len(stage.sent.revisions("1")) == MOST_IDLE


async def test_functions_belong_to_users(make_stage: Callable[[float], Stage]) -> None:
    stage = make_stage(60)
    made = await stage.send(isolated(say))
    with pytest.raises(NotFound):
        stage.sent.find("2", made.digest)
    assert len(stage.sent.revisions("1")) == 1 and stage.sent.revisions("2") == set()


async def test_the_same_sent_twice_is_kept_once(make_stage: Callable[[float], Stage]) -> None:
    stage = make_stage(60)
    await asyncio.gather(*(stage.send(isolated(say)) for _ in range(4)))
    assert len(stage.kept()) == 1


async def test_a_server_cannot_be_called_whoever_sends_it(
    make_stage: Callable[[float], Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make_stage(60)
    monkeypatch.setattr(sending, "_check", lambda function, name: None)
    with pytest.raises(InvalidOption, match="a server on port 8080"):
        await stage.send(isolated(exposed_port=8080)(say))
    assert stage.kept() == []


def entry(number: int, request_id: str = "") -> LogEntry:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    return LogEntry(number, now, "STDOUT", "user", str(number), "1", request_id=request_id)


async def test_a_slow_reader_of_lines_is_told_what_was_left_out() -> None:
    out = Outbox("r")
    for number in range(MOST_LINES + 5):
        out.hear(entry(number, "r"))
    out.hear(entry(-1, "of another call"))
    await out.send(CallEvent("returned"))
    heard = []
    while (event := out.take()) is not None:
        heard.append(event.entry.message if event.entry else event.kind)
    assert (heard[0], heard[MOST_LINES - 1]) == ("0", str(MOST_LINES - 1))
    assert heard[MOST_LINES:] == ["… 5 lines are left out here; the log has them", "returned"]


def test_both_ends_agree_on_what_is_in_a_stream() -> None:
    from fal_serverless import outcome
    from fal_serverless.backend import sent
    from fal_serverless.backend.engine.runtime import loading, pickled

    assert (sent.ITEM, sent.FAILURE) == (pickled.ITEM, pickled.FAILURE)
    assert outcome._CLASS_ID == loading._CLASS_ID


async def test_content_waits_for_its_reader() -> None:
    out = Outbox("r")
    sending_all = asyncio.ensure_future(_send(out, 20))
    await asyncio.sleep(0)
    assert not sending_all.done()
    taken = 0
    while taken < 20:
        taken += out.take() is not None
        await asyncio.sleep(0)
    await sending_all


async def _send(out: Outbox, count: int) -> None:
    for _ in range(count):
        await out.send(CallEvent("part", content=b"x"))
