"""How far is a serve? Which phase runs, since when, and how long the others took."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import monotonic
from typing import ClassVar

from rich.text import Text
from textual.widget import Widget

from fal_serverless.models import PHASES, Phase
from fal_tui.logs.printable import printable

TICK = 0.1
"""Seconds between two looks at the clock."""

HALF = 4.0
"""Seconds after which the bar of a running phase is half full."""


@dataclass(frozen=True)
class Step:
    phase: Phase
    began: float
    """By the monotonic clock."""
    ended: float | None = None
    message: str = ""


@dataclass(frozen=True)
class Progress:
    """All steps so far. Immutable: every change makes another."""

    steps: tuple[Step, ...] = ()
    failed: bool = False

    @property
    def running(self) -> bool:
        return bool(self.steps) and self.steps[-1].ended is None

    def enter(self, phase: Phase, message: str, now: float) -> Progress:
        """A phase begins, so the one before is done; the same again only says something else."""
        if self.running and self.steps[-1].phase == phase:
            return replace(self, steps=(*self.steps[:-1], replace(self.steps[-1], message=message)))
        done = self.end(now)
        return Progress((*done.steps, Step(phase, now, message=message)))

    def end(self, now: float, *, failed: bool = False) -> Progress:
        if not self.running:
            return replace(self, failed=failed)
        return Progress((*self.steps[:-1], replace(self.steps[-1], ended=now)), failed)

    @property
    def finished(self) -> int:
        """Phases that are behind, in order; one that was skipped counts as behind."""
        reached = [PHASES.index(step.phase) for step in self.steps if step.phase in PHASES]
        if not reached:
            return 0
        return max(reached) if self.running or self.failed else max(reached) + 1

    def seconds(self, now: float) -> float:
        """Since the beginning, or until the end."""
        if not self.steps:
            return 0.0
        last = self.steps[-1].ended
        return (now if last is None else last) - self.steps[0].began


class Phases(Widget):
    """A bar, and one line for each phase."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "phases--done",
        "phases--running",
        "phases--failed",
        "phases--coming",
        "phases--aside",
    }

    DEFAULT_CSS = """
    Phases {
        height: 6;
        text-wrap: nowrap; text-overflow: ellipsis;
        & > .phases--done { color: $text-success; }
        & > .phases--running { color: $text-warning; text-style: bold; }
        & > .phases--failed { color: $text-error; text-style: bold; }
        & > .phases--coming { color: $text-disabled; }
        & > .phases--aside { color: $text-muted; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.progress = Progress()

    def on_mount(self) -> None:
        self.set_interval(TICK, self._tick)

    def show(self, progress: Progress) -> None:
        self.progress = progress
        self.refresh()

    def _tick(self) -> None:
        if self.progress.running:
            self.refresh()

    def render(self) -> Text:
        now = monotonic()
        steps = {step.phase: step for step in self.progress.steps}
        lines = [self._line(phase, steps.get(phase), now) for phase in PHASES]
        return Text("\n").join([self._bar(now), *lines])

    def _bar(self, now: float) -> Text:
        """One piece for each phase; the one that runs fills ever slower, as nobody knows when."""
        progress = self.progress
        count = f" {progress.finished} of {len(PHASES)}  {progress.seconds(now):.1f} s"
        width = max((self.size.width - len(count) - 2) // len(PHASES) - 1, 2)
        bar = Text()
        for place, _ in enumerate(PHASES):
            if place < progress.finished:
                bar.append_text(self._styled("━" * width, "done"))
            elif place == progress.finished and progress.steps:
                bar.append_text(self._piece(width, now))
            else:
                bar.append_text(self._styled("━" * width, "coming"))
            bar.append(" ")
        return bar.append_text(self._styled(count, "aside"))

    def _piece(self, width: int, now: float) -> Text:
        """Of the phase that runs, or failed."""
        if not self.progress.running:
            return self._styled("━" * width, "failed")
        past = now - self.progress.steps[-1].began
        full = max(1, int(width * past / (past + HALF)))
        text = self._styled("━" * full, "running")
        return text.append_text(self._styled("━" * (width - full), "coming"))

    def _line(self, phase: Phase, step: Step | None, now: float) -> Text:
        if step is None:
            return self._styled(f"· {phase}", "coming")
        failed = self.progress.failed and step is self.progress.steps[-1]
        sign, name = ("✗", "failed") if failed else ("✓", "done")
        if step.ended is None:
            sign, name = "◐", "running"
        took = (now if step.ended is None else step.ended) - step.began
        text = self._styled(f"{sign} {phase:<12}{took:>6.1f} s", name)
        return text.append_text(self._styled(f"  {printable(step.message)}", "aside"))

    def _styled(self, text: str, name: str) -> Text:
        style = self.get_component_rich_style(f"phases--{name}")
        return Text(text, style)
