"""What every part of the benchmark is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from benchmarks.peers.peer import Shop


@dataclass(frozen=True)
class Course:
    """How a run goes."""

    rounds: int
    seconds: float
    """Of one timed run of the load."""
    only: frozenset[str]
    """Names of parts and peers; empty: all."""
    shop: Shop
    warm_up: float = 1
    """Seconds of the same load before each timed run: a worker that went is back."""
    _began: float = field(default_factory=time.monotonic)

    def wants(self, part: str, members: Collection[str] = ()) -> bool:
        """Whether a part is measured: it was named, or one of its members."""
        return not self.only or part in self.only or not self.only.isdisjoint(members)

    def wants_member(self, part: str, member: str) -> bool:
        return self.wants(part) or member in self.only

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f}s  {what}", file=sys.stderr, flush=True)
