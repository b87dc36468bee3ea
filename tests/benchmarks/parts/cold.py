"""How soon a function answers that is scaled to zero, its environment being there.

Beside it the bare interpreter that its workers run in, which is the least a new process can cost,
and a backend that has no templates to fork workers from. All by turns within a round.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from dataclasses import dataclass

from benchmarks import calling
from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun, Place
from benchmarks.parts.part import Course
from benchmarks.parts.runs import failures_of
from benchmarks.peers.ours import House, Wanted, asked
from benchmarks.processes import wait_until
from benchmarks.tables import Table, megabytes, millis, times, whole
from fal_serverless.client import Client
from running import RunningBackend

MEMBERS: tuple[str, ...] = ()

CALLS = 15
"""Of each kind in a round."""
UNCOUNTED = 3
"""Calls before them: the first makes the template, and it needs a while."""
LABEL = "cold"
NO_TEMPLATES = {"FAL_SERVERLESS_TEMPLATES": "0"}
PATIENCE = 15.0
"""Seconds for a worker to go, or a template to come."""

KINDS = {
    "cold.python": "python -c pass",
    "cold.call": "ours, request to answer",
    "cold.spawned": "ours, without templates",
}


@dataclass(frozen=True)
class Stage:
    """A running backend with the function in it."""

    backend: RunningBackend
    place: Place

    def call(self) -> tuple[float, str]:
        """Seconds of a call that finds no worker, and the interpreter that ran it."""
        if not wait_until(lambda: not asked(self.backend, Client.workers), PATIENCE, 0.02):
            raise BadRun(f"a worker without calls did not go within {PATIENCE:g} s")
        began = time.perf_counter()
        status, answer = calling.ask(self.place, b"{}", self.place.targets[0])
        seconds = time.perf_counter() - began
        return seconds, interpreter_of(status, answer)


def interpreter_of(status: int, answer: bytes) -> str:
    """The path that was answered. Raises BadRun for anything else."""
    if status == 200:
        path = json.loads(answer)
        if isinstance(path, str) and path.startswith("/"):
            return path
    raise BadRun(f"not the path of an interpreter: {status} {answer[:200]!r}")


def measure(course: Course, figures: Figures) -> None:
    with failures_of(figures, "cold"):
        course.say("preparing cold starts")
        houses = [_house(course, name) for name in ("cold", "cold.spawned")]
        for number in range(course.rounds):
            course.say(f"round {number + 1}: cold starts")
            with failures_of(figures, "cold"):
                _round(*houses, figures)


def _house(course: Course, name: str) -> House:
    house = House(course.shop.room(name))
    house.fill([Wanted("served.py", "cold", LABEL)])
    return house


def _round(warm: House, bare: House, figures: Figures) -> None:
    with warm.running() as backend, bare.running(**NO_TEMPLATES) as plain:
        ours = Stage(backend, warm.place(backend, LABEL))
        spawned = Stage(plain, bare.place(plain, LABEL))
        python = _prepared(ours, spawned)
        seen: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for _ in range(CALLS):
            seen["cold.python"].append(_bare(python))
            seen["cold.call"].append(ours.call()[0])
            seen["cold.spawned"].append(spawned.call()[0])
        status = asked(backend, Client.status)
        _check(status.templates, asked(plain, Client.status).templates)
    for kind, seconds in seen.items():
        figures.add(kind, "seconds", statistics.median(seconds))
        figures.add(kind, "slowest", max(seconds))
    figures.add("cold.call", "templates", status.templates)
    figures.add("cold.call", "template_bytes", status.template_bytes)


def _prepared(ours: Stage, spawned: Stage) -> str:
    """The interpreter of the workers, when the template stands ready."""
    _, python = ours.call()
    spawned.call()
    if not wait_until(lambda: asked(ours.backend, Client.status).templates > 0, PATIENCE, 0.02):
        raise BadRun(f"no template within {PATIENCE:g} s")
    for _ in range(UNCOUNTED):
        ours.call()
        spawned.call()
    return python


def _bare(python: str) -> float:
    began = time.perf_counter()
    subprocess.run([python, "-c", "pass"], check=True)
    return time.perf_counter() - began


def _check(templates: int, none: int) -> None:
    if not templates or none:
        raise BadRun(f"{templates} templates; {none} where none are allowed")


def table(figures: Figures) -> Table:
    headings = ["", "median", "vs python", "slowest"]
    rows = [_row(kind, figures) for kind in KINDS if Key(kind, "seconds") in figures.values]
    return Table("Cold start of a function scaled to zero", headings, rows, _note(figures))


def _row(kind: str, figures: Figures) -> list[str]:
    seconds = Key(kind, "seconds")
    ratio = figures.ratio(seconds, Key("cold.python", "seconds"))
    slowest = figures.median(Key(kind, "slowest"))
    return [KINDS[kind], millis(figures.median(seconds)), times(ratio), millis(slowest)]


def _note(figures: Figures) -> str:
    count = figures.median(Key("cold.call", "templates"))
    size = figures.median(Key("cold.call", "template_bytes"))
    if count is None:
        return ""
    return f"{CALLS} calls of each a round. Templates: {whole(count)}, {megabytes(size)} (RSS)."
