"""The parts of the benchmark, in the order they are measured and printed."""

from typing import Protocol

from benchmarks.figures import Figures
from benchmarks.parts import cold, growth, idle, logs, printing, side_by_side
from benchmarks.parts.part import Course
from benchmarks.tables import Table


class Part(Protocol):
    MEMBERS: tuple[str, ...]
    """What of it can be named by itself."""

    def measure(self, course: Course, figures: Figures) -> None: ...

    def table(self, figures: Figures) -> Table: ...


PARTS: dict[str, Part] = {
    "echo": side_by_side,
    "growth": growth,
    "logs": logs,
    "printing": printing,
    "cold": cold,
    "idle": idle,
}

__all__ = ["PARTS", "Part"]
