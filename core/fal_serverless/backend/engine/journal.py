"""What a worker says: lines that know their revision, worker and calls, and its record's news.

Lines come in blocks and go on in blocks; they are not looked into. The last ones are kept for the
error that ends the worker.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fal_serverless.backend.engine import frames
from fal_serverless.backend.engine.process import Caller
from fal_serverless.backend.engine.spec import Spec
from fal_serverless.backend.logs.rows import Block, LogRow, last_texts
from fal_serverless.models import Level

KEPT_LINES = 50
"""Lines of the function that travel with the error when its worker fails."""
QUIET = 0.1
"""Seconds between two tellings of a state that flips with every call."""
LONGEST_KEPT = 4 * 1024
"""Characters of one of those."""
MOST_KEPT = 1 << 20
"""Bytes of blocks kept for them, if they are more than one."""
STEP = 256 * 1024
"""Bytes of lines that are told to be kept at once; a part of what a worker may send unheard."""

Eased = Callable[[int], None]
"""So many bytes of somebody's lines are kept."""


@dataclass(frozen=True)
class Sink:
    """Where what workers say goes, in order."""

    put: Callable[[LogRow], object]
    lines: Callable[[Block, Eased], object]
    """Calls what it is given when the lines are kept, with their size."""
    dropped: Callable[[int], object] = lambda _: None
    """So many lines are missing."""


class Journal:
    """The log of one worker."""

    def __init__(
        self, spec: Spec, worker: str, sink: Sink, tell_kept: Callable[[int], object]
    ) -> None:
        """`tell_kept`: tells the worker how many more bytes of its lines are kept."""
        self._spec = spec
        self._worker = worker
        self._sink = sink
        self._tell_kept = tell_kept
        self._kept = 0
        """Bytes that the worker was not told of yet."""
        self._recent: deque[tuple[int, bytes]] = deque()
        """The last blocks, and how many lines each has."""
        self._recent_lines = 0
        self._recent_size = 0
        self._aliases: dict[str, str] = {}

    def recent(self) -> list[str]:
        """The function's last lines, oldest first."""
        texts = [text for _, packed in self._recent for text in last_texts(packed, KEPT_LINES)]
        lines = [line for text in texts for line in text.split("\n")]
        return [_cut(line) for line in lines[-KEPT_LINES:]]

    def call_begins(self, request_id: str, alias: str) -> None:
        if alias:
            self._aliases[request_id] = alias

    def call_ends(self, request_id: str) -> None:
        self._aliases.pop(request_id, None)

    def say(self, level: Level, text: str) -> None:
        """A line of ours."""
        now = round(time.time() * 1_000_000)
        spec = self._spec
        where = (spec.user, spec.function, "", spec.revision, self._worker, "")
        self._sink.put((now, level, "system", text, *where))

    def lines(self, payload: bytes) -> None:
        """A LOG frame."""
        packed = payload[frames.META.size :]
        self._heard(frames.number(payload), packed, self._eased, {**self._aliases})

    def dropped(self, payload: bytes) -> None:
        """A DROPPED frame: its lines are missing here."""
        count = frames.number(payload)
        self._sink.dropped(count)
        self.say("WARNING", f"… {count} line{'s' if count > 1 else ''} dropped …")

    def heard(self, count: int, packed: bytes, eased: Eased, caller: Caller) -> None:
        """A block of lines that came through a pipe, all of one call or none."""
        request_id, alias = caller
        self._heard(count, packed, eased, {request_id: alias} if alias else {})

    def _heard(self, count: int, packed: bytes, eased: Eased, aliases: dict[str, str]) -> None:
        self._remember(count, packed)
        spec = self._spec
        block = (spec.user, spec.function, spec.revision, self._worker, aliases, packed)
        self._sink.lines(block, eased)

    def _remember(self, count: int, packed: bytes) -> None:
        self._recent.append((count, packed))
        self._recent_lines += count
        self._recent_size += len(packed)
        while self._may_forget(*self._recent[0]):
            gone, old = self._recent.popleft()
            self._recent_lines -= gone
            self._recent_size -= len(old)

    def _may_forget(self, count: int, packed: bytes) -> bool:
        """The oldest block."""
        enough = self._recent_lines - count >= KEPT_LINES
        return enough or (self._recent_size > MOST_KEPT and len(self._recent) > 1)

    def _eased(self, size: int) -> None:
        self._kept += size
        if self._kept >= STEP:
            self._tell_kept(self._kept)
            self._kept = 0


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_KEPT else text[:LONGEST_KEPT] + " …"


class Herald:
    """Tells news at once, and news of little weight at most every `QUIET` seconds."""

    def __init__(self, tell: Callable[[], object]) -> None:
        self._tell = tell
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell()

    def soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(QUIET, self.now)
