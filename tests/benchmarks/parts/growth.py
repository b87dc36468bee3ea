"""How the cost of a call grows: with the endpoints that there are, and with what is sent."""

from __future__ import annotations

from dataclasses import replace

from benchmarks import calling, load
from benchmarks.figures import Figures, Key
from benchmarks.load import Place
from benchmarks.parts.part import Course
from benchmarks.parts.runs import MANY, failures_of, prepared, record, started, timed
from benchmarks.peers.ours import LABEL, Ours, Wanted
from benchmarks.peers.programs import RAW_ASGI
from benchmarks.tables import NOTHING, Table, millis, tenths, times, whole

MEMBERS = ("endpoints", "body")

ENDPOINTS = (1, 10, 100, 1000)
"""Of one backend that has the most of them, so many are called."""
BODIES = {"1kB": 1_000, "10kB": 10_000, "100kB": 100_000}
"""Bytes sent, and as many come back."""
SERVED, RAW = "body", "body_raw"
RATE = f"rate@{MANY}"


def text_of(size: int) -> str:
    """What makes a body of so many bytes."""
    return "x" * (size - len('{"text": ""}'))


def measure(course: Course, figures: Figures) -> None:
    if course.wants_member("growth", "endpoints"):
        _endpoints(course, figures)
    if course.wants_member("growth", "body"):
        _bodies(course, figures)


def _endpoints(course: Course, figures: Figures) -> None:
    wanted = Wanted("served.py", "echo", LABEL)
    peers = prepared([Ours("endpoints", "", wanted, max(ENDPOINTS))], course, figures)
    for number in range(course.rounds if peers else 0):
        course.say(f"round {number + 1}: endpoints")
        with failures_of(figures, "endpoints"), started(peers[0]) as (running, _):
            calling.verify(running.place)
            # Up and down by turns: what a backend becomes with time is nobody's advantage.
            counts = ENDPOINTS[::-1] if number % 2 else ENDPOINTS
            seen = {count: timed(_first(running.place, count), course, MANY) for count in counts}
            for count, measured in seen.items():
                record(figures, f"endpoints.{count}", measured, MANY)


def _first(place: Place, count: int) -> Place:
    return replace(place, targets=place.targets[:count])


def _bodies(course: Course, figures: Figures) -> None:
    ours = Ours(SERVED, "", Wanted("served.py", "echo", LABEL))
    peers = prepared([ours, replace(RAW_ASGI, name=RAW)], course, figures)
    for number in range(course.rounds if len(peers) == 2 else 0):
        course.say(f"round {number + 1}: bodies")
        with failures_of(figures, SERVED):
            with started(peers[0]) as (served, _), started(peers[1]) as (raw, _):
                places = {SERVED: served.place, RAW: raw.place}
                seen = _bodies_at(places, course)
            for name, measured in seen.items():
                record(figures, name, measured, MANY)


def _bodies_at(places: dict[str, Place], course: Course) -> dict[str, load.Measured]:
    """By figure; who is compared is measured one right after the other."""
    for place in places.values():
        calling.verify(place)
    return {
        f"{peer}.{body}": timed(place, course, MANY, text_of(size))
        for body, size in BODIES.items()
        for peer, place in places.items()
    }


def table(figures: Figures) -> Table:
    headings = ["", f"req/s, {MANY}", "p50", "p99", "MB/s", "vs 1", "vs raw ASGI"]
    rows = [_endpoints_row(count, figures) for count in ENDPOINTS]
    rows += [_body_row(peer, body, figures) for body in BODIES for peer in (SERVED, RAW)]
    note = "MB/s go in, and as many come out."
    return Table("How it grows", headings, [row for row in rows if row[1] != NOTHING], note)


def _endpoints_row(count: int, figures: Figures) -> list[str]:
    name = f"endpoints.{count}"
    ratio = figures.ratio(Key(name, RATE), Key("endpoints.1", RATE))
    title = f"{count:,} endpoint{'s' if count > 1 else ''}"
    return [title, *_speed(name, figures), NOTHING, times(ratio), NOTHING]


def _body_row(peer: str, body: str, figures: Figures) -> list[str]:
    name = f"{peer}.{body}"
    rate = figures.median(Key(name, RATE))
    volume = None if rate is None else rate * BODIES[body] / 1e6
    ratio = figures.ratio(Key(name, RATE), Key(f"{RAW}.{body}", RATE))
    title = f"{body.removesuffix('kB')} kB body, {'ours' if peer == SERVED else 'raw ASGI'}"
    return [title, *_speed(name, figures), tenths(volume), NOTHING, times(ratio)]


def _speed(name: str, figures: Figures) -> list[str]:
    p50, p99 = (figures.median(Key(name, f"{part}@{MANY}")) for part in ("p50", "p99"))
    return [whole(figures.median(Key(name, RATE))), millis(p50), millis(p99)]
