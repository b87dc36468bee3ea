"""The backend's figures: what is counted, joined with what is registered and what runs."""

from __future__ import annotations

import asyncio
import math
import platform
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from fal_serverless import __version__
from fal_serverless.backend.engine import Load
from fal_serverless.backend.logs.store import LogStore
from fal_serverless.backend.metrics.exposition import Page
from fal_serverless.backend.metrics.process import write_process
from fal_serverless.backend.registry import Registry
from fal_serverless.backend.traffic import Endpoint, Meter, Started, Starts
from fal_serverless.backend.traffic import Load as Presence
from fal_serverless.backend.traffic.durations import up_to
from fal_serverless.backend.traffic.line import STEPS
from fal_serverless.backend.traffic.meter import ALL
from fal_serverless.errors import BadInput
from fal_serverless.models import FunctionPulse, Pulse, Series

SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25),
    *(0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0),
)
"""Ranges of the duration of calls that Prometheus is told of."""
AT_ONCE = 10
"""Functions that are written before calls may go on."""
TIDY = 60
"""Ticks between two looks for endpoints that are no more."""
LONGEST = max(step * count for step, count in STEPS.items())
"""Seconds that are remembered."""
MOST_PARTS = 120
"""Into how many parts the past of each function may be divided."""

Owner = tuple[str, str]
"""User and function; '' for a function that is not registered, as those called from Python."""


class Figures:
    """For the event loop's thread; `tick` once a second."""

    def __init__(
        self,
        meter: Meter,
        starts: Starts,
        registry: Registry,
        loads: Callable[[], list[Load]],
        logs: LogStore,
    ) -> None:
        self._meter = meter
        self._starts = starts
        self._registry = registry
        self._loads = loads
        self._logs = logs
        self._began = time.time()
        self._ticks = 0

    async def tick(self) -> None:
        self._ticks += 1
        if self._ticks % TIDY == 0:
            self._tidy()
        await self._meter.tick(
            Presence(*self._owner(load), sum(load.workers.values()), load.waiting)
            for load in self._loads()
        )

    def _tidy(self) -> None:
        self._meter.keep(self._exists)
        self._starts.keep(lambda revision: self._registry.stored(revision) is not None)

    def _exists(self, endpoint: Endpoint) -> bool:
        found = self._registry.find(endpoint.user, endpoint.label)
        return found is not None and found.function == endpoint.function

    def _owner(self, load: Load) -> Owner:
        return load.spec.user, self._function(load.spec.revision)

    def _function(self, revision: str) -> str:
        stored = self._registry.stored(revision)
        return stored.function if stored is not None else ALL

    # For Prometheus

    async def page(self, user: str | None) -> str:
        """Of one user's functions, or of all; the process' own figures in any case."""
        self._tidy()
        page = Page()
        page.family("fal_build_info", "gauge", "Always 1.")
        page.sample(1, {"version": __version__, "python": platform.python_version()})
        await self._write_calls(page, user)
        self._write_workers(page, user)
        self._write_starts(page, user)
        page.family("fal_log_entries_total", "counter", "Entries written to the log.")
        page.sample(self._logs.kept)
        page.family("fal_log_dropped_total", "counter", "Log lines left out since the start.")
        page.sample(self._logs.dropped)
        write_process(page, self._began)
        return page.text()

    async def _write_calls(self, page: Page, user: str | None) -> None:
        mine = [
            (tally, _labels(*name))
            for name, tally in self._meter.tallies.items()
            if user in (None, name[0])
        ]
        page.family("fal_requests_total", "counter", "Calls answered, by the class of the status.")
        for tally, labels in mine:
            for hundreds, count in sorted(tally.by_class().items()):
                # Whoever hung up too early got none.
                status = f"{hundreds}xx" if hundreds else "none"
                page.sample(count, {**labels, "status": status})
        page.family("fal_request_duration_seconds", "histogram", "From request to answer.")
        for place, (tally, labels) in enumerate(mine):
            counts = tally.durations()
            within = up_to(counts, [bound * 1000 for bound in SECONDS])
            buckets = [*zip(SECONDS, within, strict=True), (math.inf, sum(counts.values()))]
            page.histogram(buckets, tally.milliseconds / 1000, labels)
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)
        page.family("fal_cold_start_seconds", "histogram", "What calls waited for, for a worker.")
        for name, cold in self._meter.cold.items():
            if user in (None, name[0]):
                for part, histogram in cold.parts.items():
                    labels = {**_labels(*name), "part": part}
                    page.histogram(histogram.cumulative(), histogram.total, labels)

    def _write_workers(self, page: Page, user: str | None) -> None:
        states: Counter[tuple[Owner, str]] = Counter()
        waiting: Counter[Owner] = Counter()
        for load in self._loads():
            if user in (None, load.spec.user):
                owner = self._owner(load)
                waiting[owner] += load.waiting
                for state, count in load.workers.items():
                    states[owner, state] += count
        page.family("fal_queue_depth", "gauge", "Calls that wait for a place in a worker.")
        for owner, count in waiting.items():
            page.sample(count, _labels(*owner))
        page.family("fal_workers", "gauge", "Workers, by state.")
        for (owner, state), count in states.items():
            page.sample(count, {**_labels(*owner), "state": state})

    def _write_starts(self, page: Page, user: str | None) -> None:
        started = dict(self._started(user))
        page.family("fal_worker_starts_total", "counter", "Workers started, by how that went.")
        for owner, each in started.items():
            for result, count in (("ready", each.ready), ("failed", each.failed)):
                page.sample(count, {**_labels(*owner), "result": result})
        page.family("fal_worker_start_seconds", "histogram", "Until a worker was ready.")
        for owner, each in started.items():
            page.histogram(each.seconds.cumulative(), each.seconds.total, _labels(*owner))

    def _started(self, user: str | None) -> Iterator[tuple[Owner, Started]]:
        """Of registered functions; without a user, of what is no more and of others, too."""
        found: dict[Owner, Started] = {}
        for revision, started in self._starts.started.items():
            stored = self._registry.stored(revision) if revision else None
            if user is not None and (stored is None or stored.user != user):
                continue
            owner = (stored.user, stored.function) if stored is not None else ("", "")
            found.setdefault(owner, Started()).add(started)
        yield from found.items()

    # For people

    async def pulse(self, user: str, seconds: int, function: str, parts: int) -> Pulse:
        """The last `seconds` of one function ('': all), and in `parts` of each. Raises BadInput."""
        if not 1 <= seconds <= LONGEST:
            raise BadInput(f"seconds must be from 1 to {LONGEST}, not {seconds}")
        if not 0 <= parts <= MOST_PARTS:
            raise BadInput(f"parts must be from 0 to {MOST_PARTS}, not {parts}")
        step = min(step for step, count in STEPS.items() if step * count >= seconds)
        count = self._meter.steps(step, -(-seconds // step))
        functions: list[FunctionPulse] = []
        for name in self._meter.seen(user):
            functions.append(self._function_pulse(user, name, step, count, parts))
            if len(functions) % AT_ONCE == 0:
                await asyncio.sleep(0)
        series = self._series(user, function, step, count)
        traffic = self._meter.traffic(user, function)
        return Pulse(seconds, step, function, series, tuple(functions), traffic)

    def _series(self, user: str, function: str, step: int, count: int) -> Series:
        def past(name: str) -> array[float]:
            return self._meter.past(user, function, name, step, count)

        passed = self._meter.passed(step)
        return Series(
            requests=_per_second(past("requests"), step, passed),
            errors=_per_second(past("errors"), step, passed),
            p50_ms=_told(past("p50")),
            p99_ms=_told(past("p99")),
            cold_starts=_rounded(past("cold_starts")),
            workers=_rounded(past("workers")),
            waiting=_rounded(past("waiting")),
        )

    def _function_pulse(
        self, user: str, name: str, step: int, count: int, parts: int
    ) -> FunctionPulse:
        def past(figure: str) -> array[float]:
            return self._meter.past(user, name, figure, step, count)

        requests, errors = past("requests"), past("errors")
        passed = self._meter.passed(step)
        return FunctionPulse(
            name=name,
            traffic=self._meter.traffic(user, name),
            calls=round(sum(requests)),
            errors=round(sum(errors)),
            cold_starts=round(sum(past("cold_starts"))),
            workers=round(self._meter.past(user, name, "workers", 1, 1)[-1]),
            waiting=round(self._meter.past(user, name, "waiting", 1, 1)[-1]),
            requests=_divided(requests, parts, step, passed),
            failed=_divided(errors, parts, step, passed),
        )


def _labels(user: str, function: str, endpoint: str | None = None) -> dict[str, str]:
    labels = {"user": user, "function": function}
    return labels if endpoint is None else {**labels, "endpoint": endpoint}


def _per_second(counts: array[float], step: int, passed: int) -> tuple[float, ...]:
    """Of the last step only `passed` seconds are over."""
    found = [count / step for count in counts]
    found[-1] = counts[-1] / passed
    return _rounded(found)


def _divided(counts: array[float], parts: int, step: int, passed: int) -> tuple[float, ...]:
    """Per second, in about so many equal parts."""
    if not parts:
        return ()
    size = -(-len(counts) // parts)
    found = []
    for stop in range(len(counts), 0, -size):
        part = counts[max(stop - size, 0) : stop]
        seconds = len(part) * step - (step - passed if stop == len(counts) else 0)
        found.append(sum(part) / seconds)
    return _rounded(reversed(found))


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(value, 3) for value in values)


def _told(values: Iterable[float]) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(value) else round(value, 2) for value in values)
