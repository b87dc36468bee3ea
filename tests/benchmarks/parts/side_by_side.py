"""The same echo by everybody: how fast, how large, how soon."""

from __future__ import annotations

from benchmarks import calling, processes
from benchmarks.figures import Figures, Key
from benchmarks.parts.part import Course
from benchmarks.parts.runs import MANY, failures_of, prepared, record, started, timed
from benchmarks.peers import PEERS, Peer
from benchmarks.tables import Table, megabytes, millis, times, whole

CONNECTIONS = (1, MANY)
BASES = ("fastapi_def", "raw_asgi")
"""Peers that the others are told as multiples of."""
MEMBERS = tuple(peer.name for peer in PEERS)


def _wanted(course: Course) -> list[Peer]:
    return [peer for peer in PEERS if course.wants_member("echo", peer.name)]


def measure(course: Course, figures: Figures) -> None:
    peers = prepared(_wanted(course), course, figures)
    for number in range(course.rounds):
        for peer in peers:
            course.say(f"round {number + 1}: {peer.name}")
            with failures_of(figures, peer.name):
                _round(peer, course, figures)


def _round(peer: Peer, course: Course, figures: Figures) -> None:
    with started(peer) as (running, seconds):
        calling.verify(running.place)
        seen = {count: timed(running.place, course, count) for count in CONNECTIONS}
        memory = processes.memory(*running.pids)
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
