"""How parts measure: peers that answer rightly, loads that find everything warm, what went wrong.

All of a round counts or nothing of it: ratios are taken between values of the same round.
"""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from benchmarks import calling, load
from benchmarks.figures import Figures
from benchmarks.load import BadRun, Place
from benchmarks.parts.part import Course
from benchmarks.peers import Peer
from benchmarks.peers.peer import Absent, Running
from fal_serverless.errors import FalError

TEXT = "hello"
MANY = 32
"""Connections of a load."""


@contextmanager
def failures_of(figures: Figures, name: str) -> Iterator[None]:
    """What goes wrong in the block is told as a failure of `name`; the run goes on."""
    try:
        yield
    except (BadRun, OSError, http.client.HTTPException, subprocess.SubprocessError) as error:
        figures.failures[name] = str(error) or type(error).__name__
    except FalError as error:
        figures.failures[name] = error.message


def prepared(peers: Iterable[Peer], course: Course, figures: Figures) -> list[Peer]:
    """Those that can be measured here."""
    found = []
    for peer in peers:
        course.say(f"preparing {peer.name}")
        with failures_of(figures, peer.name):
            try:
                peer.prepare(course.shop)
            except Absent as absent:
                figures.absent[peer.name] = str(absent)
            else:
                found.append(peer)
    return found


@contextmanager
def started(peer: Peer) -> Iterator[tuple[Running, float]]:
    """A peer that answers rightly, and the seconds it took."""
    began = time.perf_counter()
    running = peer.start()
    try:
        yield running, calling.first_answer(running.place, began)
    finally:
        running.stop()


def timed(place: Place, course: Course, connections: int, text: str = TEXT) -> load.Measured:
    """A run that found everything warm. Raises BadRun, also when a target was never called."""
    echo = calling.echo_of(text, place)
    load.run(place, echo, connections, course.warm_up)
    measured = load.run(place, echo, connections, course.seconds)
    if measured.requests < len(place.targets):
        raise BadRun(f"{measured.requests} calls do not reach {len(place.targets)} endpoints")
    return measured


def record(figures: Figures, name: str, measured: load.Measured, connections: int) -> None:
    figures.add(name, f"rate@{connections}", measured.rate)
    figures.add(name, f"p50@{connections}", measured.p50)
    figures.add(name, f"p99@{connections}", measured.p99)
