"""What a backend takes that nobody calls, and how soon it is there: without and with functions."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass

from benchmarks import calling, processes
from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun
from benchmarks.parts.part import Course
from benchmarks.parts.runs import failures_of
from benchmarks.peers.ours import House, Wanted, asked
from benchmarks.tables import Table, megabytes, millis, percent, times, whole
from fal_serverless.client import Client
from running import RunningBackend

COUNTS = (0, 100)
"""Functions served, each with an alias; none runs."""
MEMBERS = tuple(f"idle.{count}" for count in COUNTS)
SETTLE = 2.0
"""Seconds after the first answer that are part of the start, not of being idle."""
WATCHED = 5.0
"""Seconds over which the processor time is taken."""
START_TIMEOUT = 30.0


@dataclass(frozen=True)
class Idle:
    """One start of a backend, and then nothing."""

    start: float
    """Seconds from the program's start to its first answer."""
    cpu: float
    """Share of one core."""
    memory: processes.Memory


def measure(course: Course, figures: Figures) -> None:
    houses = {}
    for count in COUNTS:
        name = f"idle.{count}"
        if course.wants_member("idle", name):
            course.say(f"preparing {name}")
            with failures_of(figures, name):
                houses[count] = _house(course, count)
    for number in range(course.rounds):
        for count, house in houses.items():
            course.say(f"round {number + 1}: idle.{count}")
            with failures_of(figures, f"idle.{count}"):
                _record(figures, f"idle.{count}", _idle(house, count))


def _house(course: Course, count: int) -> House:
    house = House(course.shop.room(f"idle.{count}"))
    house.fill([Wanted("served.py", "echo", label) for label in _labels(count)])
    return house


def _labels(count: int) -> list[str]:
    return [f"echo-{number}" for number in range(count)]


def _idle(house: House, count: int) -> Idle:
    began = time.perf_counter()
    with house.running() as backend:
        start = _first_answer(backend, began)
        time.sleep(SETTLE)
        cpu = _share(backend.process.pid)
        memory = processes.memory(backend.process.pid)
        # Only now: what is asked takes memory and time as well.
        _verify(house, backend, count)
    return Idle(start, cpu, memory)


def _first_answer(backend: RunningBackend, began: float) -> float:
    if not processes.wait_until(lambda: _is_healthy(backend.port), START_TIMEOUT):
        raise BadRun(f"/healthz did not answer within {START_TIMEOUT:g} s")
    return time.perf_counter() - began


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _share(pid: int) -> float:
    before, began = processes.cpu_seconds(pid), time.perf_counter()
    time.sleep(WATCHED)
    return (processes.cpu_seconds(pid) - before) / (time.perf_counter() - began)


def _verify(house: House, backend: RunningBackend, count: int) -> None:
    """That it was idle, and that it has so many functions, which answer."""
    status = asked(backend, Client.status)
    if (status.functions, status.workers) != (count, 0):
        raise BadRun(
            f"{status.functions} functions and {status.workers} workers, not {count} and 0"
        )
    labels = _labels(count)
    for label in {*labels[:1], *labels[-1:]}:
        calling.verify(house.place(backend, label))


def _record(figures: Figures, name: str, idle: Idle) -> None:
    figures.add(name, "start", idle.start)
    figures.add(name, "cpu", idle.cpu)
    figures.add(name, "rss", idle.memory.rss)
    figures.add(name, "processes", idle.memory.processes)
    if idle.memory.pss is not None:
        figures.add(name, "pss", idle.memory.pss)


def table(figures: Figures) -> Table:
    headings = ["", "RSS", "vs none", "PSS", "CPU", "start", "vs none", "processes"]
    rows = [
        _row(count, figures) for count in COUNTS if Key(f"idle.{count}", "rss") in figures.values
    ]
    note = f"CPU is the share of one core over {WATCHED:g} s."
    return Table("A backend that nobody calls", headings, rows, note)


def _row(count: int, figures: Figures) -> list[str]:
    def at(figure: str) -> float | None:
        return figures.median(Key(f"idle.{count}", figure))

    def ratio(figure: str) -> str:
        return times(figures.ratio(Key(f"idle.{count}", figure), Key("idle.0", figure)))

    size = [megabytes(at("rss")), ratio("rss"), megabytes(at("pss")), percent(at("cpu"))]
    return [
        f"{count} functions",
        *size,
        millis(at("start")),
        ratio("start"),
        whole(at("processes")),
    ]
