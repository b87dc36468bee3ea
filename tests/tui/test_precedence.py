"""What is made in the background waits for keys, but not for ever."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from fal_tui.precedence import CALM, COLLECT, COLLECT_AT_LAST, LONGEST, NEVER, Precedence


async def test_nothing_waits_without_a_key() -> None:
    precedence = Precedence()
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "another")
    await precedence.breathe()
    assert turns == ["another"]


async def test_work_waits_until_the_key_has_its_frame() -> None:
    precedence = Precedence()
    precedence.pressed()
    breathing = asyncio.create_task(precedence.breathe())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not breathing.done()
    precedence.drawn()
    await breathing


async def test_a_key_without_a_frame_holds_nobody_up_for_long() -> None:
    precedence = Precedence()
    precedence.pressed()
    began = asyncio.get_running_loop().time()
    await precedence.breathe()
    assert asyncio.get_running_loop().time() - began >= LONGEST / 2


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_garbage_is_looked_for_when_it_is_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    now, collected = [1000.0], list[float]()
    monkeypatch.setattr(gc, "collect", lambda: collected.append(now[0]))
    precedence = Precedence(lambda: now[0])
    precedence.take_over_collecting()
    assert gc.get_threshold()[2] == NEVER
    for _ in range(int(COLLECT_AT_LAST) + 2):
        now[0] += 1
        precedence.pressed()
        precedence.collect()
    assert len(collected) == 1
    for _ in range(int(COLLECT + CALM) + 2):
        now[0] += 1
        precedence.collect()
    assert len(collected) == 2
    precedence.give_back_collecting()
    assert gc.get_threshold()[2] < NEVER
