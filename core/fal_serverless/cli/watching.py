"""`function serve --watch`: serve again when the file, or a local module it reaches, changes.

Only Python files are looked at, and by content: what a serve writes on its way cannot start the
next one.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless.cli import output
from fal_serverless.errors import FalError

if TYPE_CHECKING:
    from fal_serverless.cli.serving import Order
    from fal_serverless.cli.session import Session

POLL = 0.25
"""Seconds between two looks."""
QUIET = 0.15
"""Seconds without a further change until one counts as finished."""

Snapshot = Mapping[str, str]
"""Name of a file -> hash of its content; '' when it is not there."""


async def watch(session: Session, order: Order) -> None:
    """Serve, then again on each change, until interrupted. A failed serve ends nothing."""
    look = Look(order.path)
    while True:
        seen = look.snapshot()
        await _serve(session, order)
        output.say(f"Watching {', '.join(sorted(seen))}")
        changed = await _next_change(look, seen)
        output.say(f"Changed: {', '.join(changed)}")


async def _serve(session: Session, order: Order) -> None:
    from fal_serverless.cli.serving import serve_once

    started = time.perf_counter()
    try:
        served = await serve_once(session, order)
    except FalError as exc:
        output.error(exc.message)
        return
    what = order.alias or order.name
    seconds = time.perf_counter() - started
    output.say(f"deployed {what} → {output.short(served.revision.id)} in {seconds:.2f} s")


async def _next_change(look: Look, seen: Snapshot) -> list[str]:
    """Waits until files differ from `seen` and rest; the names of those that do."""
    while True:
        await asyncio.sleep(POLL)
        now = look.snapshot()
        if now == seen:
            continue
        while True:
            await asyncio.sleep(QUIET)
            later = look.snapshot()
            if later == now:
                break
            now = later
        if now != seen:
            return differing(seen, now)


def differing(before: Snapshot, after: Snapshot) -> list[str]:
    names = sorted({*before, *after})
    return [name for name in names if before.get(name, "") != after.get(name, "")]


@dataclass
class Look:
    """Reads what is watched; a file is read again only when its size or time has changed."""

    path: Path
    _known: dict[Path, tuple[tuple[int, int], str]] = field(default_factory=dict)
    """File -> (its size and time, its hash)."""
    _last: dict[str, Path] = field(default_factory=dict)
    """Names and files of the last look that could be taken."""

    def snapshot(self) -> Snapshot:
        return {name: self._hash(path) for name, path in self._files().items()}

    def _files(self) -> dict[str, Path]:
        """With a file that is gone or broken for a moment, those of before."""
        from fal_serverless import source

        try:
            source.scan(self.path)
            found = source.reached(self.path)
        except (FalError, OSError):
            found = {self.path.name: self.path, **self._last}
        self._last = {name: path for name, path in found.items() if path.suffix == ".py"}
        return self._last

    def _hash(self, path: Path) -> str:
        try:
            stat = path.stat()
            mark = (stat.st_size, stat.st_mtime_ns)
            known = self._known.get(path)
            if known is None or known[0] != mark:
                known = (mark, hashlib.sha256(path.read_bytes()).hexdigest())
                self._known[path] = known
            return known[1]
        except OSError:
            return ""
