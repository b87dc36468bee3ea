"""What can be taken back: the last moves of pointers and changes of auth. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from fal_serverless.models import AuthMode
from fal_tui.naming import short

KEPT = 50
"""Steps that are remembered."""


@dataclass(frozen=True)
class PointerMoved:
    alias: str
    before: str
    """Revision it pointed at."""
    after: str

    @property
    def words(self) -> str:
        return f"{self.alias} back to {short(self.before)}"


@dataclass(frozen=True)
class AuthChanged:
    label: str
    before: AuthMode
    after: AuthMode
    name: str
    """How the label is called."""

    @property
    def words(self) -> str:
        return f"{self.name} back to {self.before}"


Step = PointerMoved | AuthChanged


class Undo:
    """A bounded stack of steps."""

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def push(self, step: Step) -> None:
        self._steps = [*self._steps, step][-KEPT:]

    @property
    def last(self) -> Step | None:
        return self._steps[-1] if self._steps else None

    def drop(self, step: Step) -> None:
        """Forget a step once it was undone; of equal ones the last, which is the one that was."""
        for place in reversed(range(len(self._steps))):
            if self._steps[place] == step:
                del self._steps[place]
                return
