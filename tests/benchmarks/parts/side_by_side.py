"""The same echo by everybody: how fast, how large, how soon."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from benchmarks import calling, load, processes
from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun, Place
from benchmarks.parts.part import Course
from benchmarks.peers import PEERS, Peer
from benchmarks.peers.peer import Absent, Running
from benchmarks.tables import Table, megabytes, millis, times, whole
from fal_serverless.errors import FalError

CONNECTIONS = (1, 32)
BASES = ("fastapi_def", "raw_asgi")
"""Peers that the others are told as multiples of."""
TEXT = "hello"


@contextmanager
def started(peer: Peer) -> Iterator[tuple[Running, float]]:
    """A peer that answers rightly, and the seconds it took."""
    began = time.perf_counter()
    running = peer.start()
    try:
        yield running, calling.first_answer(running.place, began)
    finally:
        running.stop()


def prepared(peers: Iterable[Peer], course: Course, figures: Figures) -> list[Peer]:
    """Those that can be measured here."""
    found = []
    for peer in peers:
        course.say(f"preparing {peer.name}")
        try:
            peer.prepare(course.shop)
        except Absent as absent:
            figures.absent[peer.name] = str(absent)
        except FalError as error:
            figures.failures[peer.name] = error.message
        else:
            found.append(peer)
    return found


def timed(place: Place, course: Course, connections: int, text: str = TEXT) -> load.Measured:
    """A run that found everything warm."""
    echo = calling.echo_of(text, place)
    load.run(place, echo, connections, course.warm_up)
    return load.run(place, echo, connections, course.seconds)


def record(figures: Figures, name: str, measured: load.Measured, connections: int) -> None:
    figures.add(name, f"rate@{connections}", measured.rate)
    figures.add(name, f"p50@{connections}", measured.p50)
    figures.add(name, f"p99@{connections}", measured.p99)


MEMBERS = tuple(peer.name for peer in PEERS)


def _wanted(course: Course) -> list[Peer]:
    return [peer for peer in PEERS if course.wants_member("echo", peer.name)]


def measure(course: Course, figures: Figures) -> None:
    peers = prepared(_wanted(course), course, figures)
    for number in range(course.rounds):
        for peer in peers:
            course.say(f"round {number + 1}: {peer.name}")
            try:
                _round(peer, course, figures)
            except BadRun as bad:
                figures.failures[peer.name] = str(bad)


def _round(peer: Peer, course: Course, figures: Figures) -> None:
    with started(peer) as (running, seconds):
        calling.verify(running.place)
        seen = {count: timed(running.place, course, count) for count in CONNECTIONS}
        memory = processes.memory(*running.pids)
    # All of a round or nothing: ratios are taken between values of the same round.
    figures.add(peer.name, "start", seconds)
    for connections, measured in seen.items():
        record(figures, peer.name, measured, connections)
    figures.add(peer.name, "rss", memory.rss)
    if memory.pss is not None:
        figures.add(peer.name, "pss", memory.pss)


def table(figures: Figures) -> Table:
    headings = ["", "req/s, 32", "p50", "p99", "vs FastAPI", "vs raw ASGI"]
    headings += ["req/s, 1", "p50", "p99", "RSS", "PSS", "start"]
    rows = [_row(peer, figures) for peer in PEERS if Key(peer.name, "start") in figures.values]
    return Table("The same echo, side by side", headings, rows)


def _row(peer: Peer, figures: Figures) -> list[str]:
    def at(figure: str) -> float | None:
        return figures.median(Key(peer.name, figure))

    rate = Key(peer.name, "rate@32")
    ratios = [times(figures.ratio(rate, Key(base, "rate@32"))) for base in BASES]
    many = [whole(at("rate@32")), millis(at("p50@32")), millis(at("p99@32")), *ratios]
    one = [whole(at("rate@1")), millis(at("p50@1")), millis(at("p99@1"))]
    size = [megabytes(at("rss")), megabytes(at("pss")), millis(at("start"))]
    return [peer.title, *many, *one, *size]
