"""How often workers were started, how that went and how long it took."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fal_serverless.backend.traffic.durations import Histogram
from fal_serverless.models import Worker, WorkerState

GONE = ""
"""The name under which starts of revisions count that are no more."""


@dataclass
class Started:
    """Starts of the workers of one revision."""

    ready: int = 0
    failed: int = 0
    """Never got ready; one that was stopped before it could is none."""
    seconds: Histogram = field(default_factory=Histogram)
    """Until it was ready: loading and setup."""

    def add(self, more: Started) -> None:
        self.ready += more.ready
        self.failed += more.failed
        self.seconds.total += more.seconds.total
        self.seconds.counts = [
            a + b for a, b in zip(self.seconds.counts, more.seconds.counts, strict=True)
        ]


class Starts:
    """Hears of every worker whose state is another."""

    def __init__(self) -> None:
        self._coming: set[str] = set()
        self.started: dict[str, Started] = {}
        """By revision."""

    def heard(self, worker: Worker) -> None:
        if worker.state == "starting":
            self._coming.add(worker.id)
        elif worker.id in self._coming:
            self._coming.discard(worker.id)
            self._over(worker, worker.state)

    def _over(self, worker: Worker, state: WorkerState) -> None:
        started = self.started.setdefault(worker.revision, Started())
        if state == "failed":
            started.failed += 1
        elif worker.cold_start.load or state in ("ready", "busy"):
            started.ready += 1
            started.seconds.add(worker.cold_start.load + worker.cold_start.setup)

    def keep(self, is_known: Callable[[str], bool]) -> None:
        """Count what is no more under one name."""
        for revision in [each for each in self.started if each and not is_known(each)]:
            self.started.setdefault(GONE, Started()).add(self.started.pop(revision))
