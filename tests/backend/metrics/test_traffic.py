"""Counting: what is kept of calls, step by step, and for how long."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import pytest

from fal_serverless.backend.traffic import Endpoint, Load, Meter, Starts
from fal_serverless.backend.traffic.durations import BOUNDS, bucket, quantile, up_to
from fal_serverless.backend.traffic.line import Gathered, Line, Point, Ring
from fal_serverless.backend.traffic.meter import MOST_LINES
from fal_serverless.models import ColdStart, Worker, WorkerState
from tui.fake_backend import START


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def pass_seconds(meter: Meter, clock: Clock, count: int, *loads: Load) -> None:
    for _ in range(count):
        clock.now += 1
        await meter.tick(loads)


def test_the_ranges_of_durations_grow_by_an_eighth_at_most() -> None:
    assert list(BOUNDS) == sorted(set(BOUNDS))
    assert all(b / a < 1.15 for a, b in pairwise(BOUNDS))


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_quantile_of_counts_is_near_that_of_the_durations(share: float) -> None:
    durations = [0.3 + 1.01**n for n in range(700)]
    counts: dict[int, int] = {}
    for each in durations:
        counts[bucket(each)] = counts.get(bucket(each), 0) + 1
    found = quantile(counts, share)
    exact = statistics.quantiles(durations, n=100)[round(share * 100) - 1]
    assert found == pytest.approx(exact, rel=0.13)


def test_no_calls_have_no_median_and_the_longest_has_an_end() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({bucket(1e12): 1}, 0.5) == BOUNDS[-1]


def test_counts_up_to_a_bound_take_in_what_is_exactly_that_long() -> None:
    assert up_to({bucket(5.0): 2, bucket(5.1): 1}, [4.5, 5.0, 10.0]) == [0, 2, 3]


def test_a_ring_forgets_what_is_older_and_knows_what_was_nothing() -> None:
    ring = Ring(5)
    for step in (10, 11, 14):
        ring.put(step, Point(requests=step, p50=1.0))
    assert list(ring.read("requests", 8, 16)) == [0, 0, 10, 11, 0, 0, 14, 0, 0]
    ring.put(17, Point(requests=17))
    assert list(ring.read("requests", 12, 17)) == [0, 0, 14, 0, 0, 17]
    assert math.isnan(ring.read("p50", 16, 16)[0])
    ring.put(1000, Point(requests=1))
    assert list(ring.read("requests", 995, 1000)) == [0, 0, 0, 0, 0, 1]


def test_steps_that_are_not_over_are_seen_already() -> None:
    line = Line()
    line.fold(1203, 1, Gathered(requests=4, durations={bucket(10): 4}))
    assert line.read("requests", 10, 2, 1204)[-1] == 4
    assert line.read("requests", 60, 2, 1204)[-1] == 4
    assert line.read("p50", 60, 1, 1204)[0] == pytest.approx(10, rel=0.13)


def test_longer_steps_have_all_that_shorter_ones_had() -> None:
    line = Line()
    for second in range(1200, 1500):
        line.fold(second, 1, Gathered(requests=2, workers=second % 7))
    assert list(line.read("requests", 10, 30, 1499)) == [20] * 30
    assert list(line.read("requests", 60, 5, 1499)) == [120] * 5
    assert list(line.read("workers", 60, 5, 1499)) == [6] * 5
    assert list(line.read("requests", 60, 2, 1600)) == [0, 0]


async def test_traffic_counts_the_last_minute_only() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("1", "f", "call", 200, 10)
    await pass_seconds(meter, clock, 59)
    meter.count("1", "f", "call", 500, 30)
    both = meter.traffic("1", "f")
    assert (both.requests, both.errors, both.error_percent) == (2, 1, 50.0)
    assert both.p50_ms == pytest.approx(10, rel=0.13)
    assert both.p99_ms == pytest.approx(30, rel=0.13)
    await pass_seconds(meter, clock, 30)
    assert meter.traffic("1", "f").requests == 1
    await pass_seconds(meter, clock, 60)
    assert meter.traffic("1", "f") == meter.traffic("1", "g")


async def test_a_call_counts_at_once_and_only_once() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("1", "f", "call", 200, 1)
    assert meter.traffic("1").requests == 1
    await pass_seconds(meter, clock, 2)
    assert meter.traffic("1").requests == meter.traffic("1", "f").requests == 1


async def test_a_user_sees_the_sum_of_his_functions_only() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("1", "f", "call", 200, 1)
    meter.count("1", "g", "g", 200, 1)
    meter.count("2", "f", "call", 200, 1)
    await pass_seconds(meter, clock, 1, Load("1", "f", 2, 5), Load("1", "g", 1, 1))
    assert meter.traffic("1").requests == 2
    assert meter.past("1", "", "workers", 1, 1)[0] == 3
    assert meter.past("1", "", "waiting", 1, 1)[0] == 6
    assert meter.seen("2") == ["f"]


async def test_what_is_of_no_function_counts_for_its_user() -> None:
    clock = Clock()
    meter = Meter(clock)
    await pass_seconds(meter, clock, 1, Load("1", "", 1, 0), Load("1", "f", 1, 0))
    assert meter.past("1", "", "workers", 1, 1)[0] == 2
    assert meter.seen("1") == ["f"]


async def test_seconds_without_a_tick_share_their_calls() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("1", "f", "call", 200, 1)
    meter.count("1", "f", "call", 200, 1)
    clock.now += 2
    await meter.tick()
    assert list(meter.past("1", "f", "requests", 1, 3)) == [0, 1, 1]


async def test_the_past_begins_with_the_start() -> None:
    clock = Clock()
    meter = Meter(clock)
    await pass_seconds(meter, clock, 9)
    assert (meter.steps(1, 300), meter.steps(1, 5), meter.steps(60, 360)) == (10, 5, 1)


async def test_a_cold_start_counts_in_its_second_and_its_parts() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("1", "f", "call", 200, 900, ColdStart(queue=0.1, load=0.4, setup=0.3))
    await pass_seconds(meter, clock, 2)
    assert list(meter.past("1", "f", "cold_starts", 1, 2)) == [1, 0]
    parts = meter.cold["1", "f"].parts
    assert {name: part.total for name, part in parts.items()} == {
        "queue": 0.1,
        "environment": 0.0,
        "load": 0.4,
        "setup": 0.3,
    }


async def test_endpoints_that_are_no_more_are_forgotten() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("1", "f", "call", 200, 1)
    meter.count("1", "f", "prod", 200, 1)
    meter.count("1", "g", "g", 200, 1, ColdStart())
    await pass_seconds(meter, clock, 1)
    meter.keep(lambda endpoint: endpoint.label == "prod")
    assert set(meter.tallies) == {Endpoint("1", "f", "prod")}
    assert meter.seen("1") == ["f"] and not meter.cold
    meter.count("1", "g", "g", 200, 1)
    assert meter.traffic("1", "g").requests == 1


async def test_the_functions_that_are_remembered_are_bounded() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("1", "first", "first", 200, 1)
    await pass_seconds(meter, clock, 1)
    for number in range(MOST_LINES):
        meter.count("1", f"f{number}", "x", 200, 1)
    await pass_seconds(meter, clock, 1)
    known = meter.seen("1")
    assert len(known) == MOST_LINES and "first" not in known
    assert meter.past("1", "", "requests", 1, 1)[0] == MOST_LINES


def worker(state: WorkerState, load: float = 0.0, id: str = "w", revision: str = "r") -> Worker:
    return Worker(id, "f", revision, state, 1, "unix", START, cold_start=ColdStart(load=load))


def test_a_start_is_counted_once_by_how_it_went() -> None:
    starts = Starts()
    for state in ("starting", "ready", "busy", "ready", "stopped"):
        starts.heard(worker(state, 0.0 if state == "starting" else 0.25))  # type: ignore[arg-type]
    for state in ("starting", "failed"):
        starts.heard(worker(state, id="other"))  # type: ignore[arg-type]
    for state in ("starting", "stopped"):
        starts.heard(worker(state, id="third"))  # type: ignore[arg-type]
    found = starts.started["r"]
    assert (found.ready, found.failed, found.seconds.total) == (1, 1, 0.25)


def test_starts_of_what_is_no_more_count_together() -> None:
    starts = Starts()
    for name in ("a", "b", "c"):
        starts.heard(worker("starting", id=name, revision=name))
        starts.heard(worker("ready", 1.0, id=name, revision=name))
    starts.keep(lambda revision: revision == "c")
    assert {name: each.ready for name, each in starts.started.items()} == {"": 2, "c": 1}
    assert starts.started[""].seconds.count == 2
