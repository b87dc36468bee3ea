"""What is measured: a program that answers the same call with the same echo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.load import Place

APPS = Path(__file__).parent / "apps"
"""The peers' own programs, run by interpreters that have the peers installed."""


class Absent(Exception):
    """A peer cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Shop:
    """What peers are made with."""

    cache: Path
    """Environments, kept from run to run."""
    folder: Path
    """For one run; gone afterwards."""
    build: bool
    """Environments of the heavy peers are made when missing."""

    def room(self, name: str) -> Path:
        """A folder of a peer's own."""
        room = self.folder / name
        room.mkdir(exist_ok=True)
        return room


@dataclass(frozen=True)
class Running:
    """A peer that was started; it may not answer yet."""

    pids: tuple[int, ...]
    """All its processes are these and those below them."""
    place: Place
    stop: Callable[[], object]


class Peer(Protocol):
    @property
    def name(self) -> str:
        """For `--only` and figures."""

    @property
    def title(self) -> str:
        """For tables."""

    def prepare(self, shop: Shop) -> None:
        """All that is done once, before the first start. Raises Absent."""

    def start(self) -> Running: ...
