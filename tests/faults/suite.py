"""All faults there are, one try of one, and the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from faults.stage import Outcome, Stage, stage

Act = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    name: str
    act: Act
    times: int
    is_quick: bool
    """It is tried once in the tests of every day."""


FAULTS: dict[str, Fault] = {}


def fault(name: str, times: int = 2, *, quick: bool = False) -> Callable[[Act], Act]:
    def add(act: Act) -> Act:
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name, act, times, quick)
        return act

    return add


async def attempt(one: Fault, seed: str) -> Outcome:
    async with stage(f"{seed} {one.name}") as made:
        await one.act(made)
    return made.outcome


@dataclass
class Row:
    """What all tries of one fault came to."""

    name: str
    tried: int = 0
    lost: int = 0
    leftover: int = 0
    failed: int = 0
    answered: int = 0
    cut: int = 0
    seconds: float = 0.0
    skipped: str = ""

    def add(self, outcome: Outcome, seconds: float) -> None:
        self.tried += 1
        self.lost += len(outcome.lost)
        self.leftover += len(outcome.leftover)
        self.failed += len(outcome.failed)
        self.answered += outcome.answered
        self.cut += outcome.cut
        self.seconds += seconds


HEAD = ("fault", "tried", "lost", "leftover", "calls of others", "failed", "while none ran")


def markdown(rows: list[Row]) -> str:
    lines = ["| " + " | ".join(HEAD) + " |", "|---" + "|---:" * (len(HEAD) - 1) + "|"]
    for row in rows:
        if row.skipped:
            lines.append(f"| {row.name} | not tried: {row.skipped} | | | | | |")
            continue
        cells = (row.name, row.tried, row.lost, row.leftover, row.answered, row.failed, row.cut)
        lines.append(
            "| "
            + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells)
            + " |"
        )
    return "\n".join(lines)
