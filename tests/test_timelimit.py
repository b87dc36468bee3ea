"""A time limit ends what takes for ever, and leaves signals and timers as they were."""

from __future__ import annotations

import asyncio
import re
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

import pytest

from fal_serverless.timelimit import TimeLimit, TooSlow

LONG = "a" * 60 + "!"
"""Which `for_ever` looks through for longer than anybody lives."""


def for_ever() -> None:
    re.search("(a+)+$", LONG)


def work(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Nobody else's timer (pytest's own is one); afterwards all must be as before."""
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    handler = signal.getsignal(signal.SIGALRM)
    try:
        yield
        assert signal.getsignal(signal.SIGALRM) == handler
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def test_an_expression_that_takes_for_ever_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(TooSlow, match="no end"), TimeLimit(0.05, "no end"):
        for_ever()
    assert time.monotonic() - began < 5


def test_what_is_quick_is_let_alone() -> None:
    with TimeLimit(5):
        found = re.search("a+", LONG)
    assert found


def test_another_error_passes() -> None:
    with pytest.raises(KeyError), TimeLimit(5):
        raise KeyError("other")


def test_work_in_several_parts_is_counted_together() -> None:
    limit = TimeLimit(0.1)
    with pytest.raises(TooSlow):
        for _ in range(100):
            with limit:
                work(0.02)


def test_only_work_counts_not_the_time_of_others() -> None:
    with TimeLimit(0.05):
        time.sleep(0.2)
    with pytest.raises(TooSlow), TimeLimit(0.05, clock=time.monotonic):
        time.sleep(0.2)


def test_the_shorter_of_two_limits_ends_the_work() -> None:
    with TimeLimit(50, "outer"), pytest.raises(TooSlow, match="inner"), TimeLimit(0.05, "inner"):
        for_ever()
    with (
        pytest.raises(TooSlow, match="outer"),
        TimeLimit(0.05, "outer"),
        TimeLimit(0.2, "inner"),
    ):
        for_ever()


def test_a_limit_over_many_others_has_its_turn() -> None:
    began = time.monotonic()
    with pytest.raises(TooSlow, match="outer"), TimeLimit(0.1, "outer"):
        while time.monotonic() < began + 5:
            with TimeLimit(1, "inner"):
                work(0.03)


def test_a_timer_of_somebody_else_rings_later_but_rings() -> None:
    rung: list[float] = []

    def heard(_number: int, _frame: FrameType | None) -> None:
        rung.append(time.monotonic())

    before = signal.signal(signal.SIGALRM, heard)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with TimeLimit(5):
            work(0.1)
            assert not rung
        assert rung
        signal.setitimer(signal.ITIMER_REAL, 60)
        with TimeLimit(5):
            work(0.01)
        assert 59 < signal.setitimer(signal.ITIMER_REAL, 0)[0] < 60
    finally:
        signal.signal(signal.SIGALRM, before)


def test_elsewhere_than_in_the_main_thread_nothing_is_set() -> None:
    seen: list[object] = []

    def run() -> None:
        with TimeLimit(5):
            seen.append(signal.getsignal(signal.SIGALRM))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGALRM)]


def test_without_signals_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:
        without.delattr(signal, "setitimer")
        with TimeLimit(0.01):
            work(0.05)


async def test_the_event_loop_goes_on_after_it() -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, stopped.set)
    try:
        with pytest.raises(TooSlow), TimeLimit(0.05):
            for_ever()
        signal.raise_signal(signal.SIGUSR1)
        await asyncio.wait_for(stopped.wait(), 5)
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


@pytest.mark.parametrize("seconds", [n / 20_000 for n in range(1, 40)])
def test_it_may_end_at_any_step(seconds: float) -> None:
    """Also where the work is over and the limit is being left."""
    for _ in range(20):
        try:
            with TimeLimit(seconds, clock=time.monotonic):
                work(seconds - 0.0003)
        except TooSlow:
            pass
