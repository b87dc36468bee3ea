"""One child process of the engine: how it is started, heard and ended.

It has a session and a process group of its own, a folder that is removed with it, a channel, and
its raw output in lines. What goes over the channel is not known here.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from fal_serverless.backend.engine import limits, programs, survivors
from fal_serverless.backend.engine.frames import Link
from fal_serverless.backend.engine.pipe import Pipe
from fal_serverless.backend.engine.programs import Program, Spawn
from fal_serverless.backend.engine.tracebacks import Entry, Joiner
from fal_serverless.backend.logs.rows import pack_raw
from fal_serverless.models import Level

LONGEST_LINE = 1 << 20
"""Bytes; more is cut into pieces."""
QUIET = 1.0
"""Seconds after which a line goes that nothing was added to and that has no end."""
SOON = 0.1
"""Seconds after which a traceback goes that nothing was added to."""
PIPE_GRACE = 0.5
"""Seconds that output may still come after the end: a grandchild can hold the pipe for ever."""

MOST_HELD = 256 * 1024
"""Bytes of a pipe's lines that may be on their way and not kept; beyond that it is not read."""

Caller = tuple[str, str]
"""A request's id, and the alias it came by; '': nobody knows."""

Whose = Callable[[], Caller]
"""The request that what is written now belongs to."""

Hear = Callable[[int, bytes, Callable[[int], None], Caller], None]
"""How many lines, the lines as `logs.rows` packs them, who is told when they are kept, and whose
they are."""


@dataclass(frozen=True)
class Start:
    """What a child is started with."""

    python: Path
    folder: Path
    """Its own, named after it. Working directory and TMPDIR are below; all goes with it."""
    environ: Mapping[str, str]
    """Without TMPDIR and the mark."""
    orders: Mapping[str, Any]
    """For its supervisor; see `runtime/child.py`."""

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def whole_environ(self) -> dict[str, str]:
        own = {"TMPDIR": str(self.folder / "tmp"), survivors.MARK: self.folder.name}
        return {**self.environ, **own}


class Given(NamedTuple):
    """The descriptors that a program is started with."""

    channel: int
    stdout: int
    stderr: int


Fork = Callable[[Start, Given], Awaitable[Program | None]]
"""Starts one by a fork; None: none could be had, and what was given is unused."""


class Process:
    """A started child. `ended` is awaited by whoever owns it."""

    def __init__(self, process: Program, folder: Path, outputs: tuple[Lines, ...]) -> None:
        self._process = process
        self._folder = folder
        self._outputs = outputs
        self.note = ""
        """Why its supervisor ended it; '' when it did not. Known when it has ended."""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> int:
        """Its exit code, negative for a signal, when it and all of its group are gone."""
        code = await self._process.wait()
        self.signal(signal.SIGKILL)
        if code < 0:
            # Its supervisor may be what was killed.
            await asyncio.to_thread(survivors.sweep, [self._folder])
        for output in self._outputs:
            output.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(PIPE_GRACE):
                for output in self._outputs:
                    await output.closed.wait()
        for output in self._outputs:
            output.close()
        with suppress(OSError):
            self.note = (self._folder / limits.NOTE).read_text()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return code

    def signal(self, number: signal.Signals) -> None:
        """To the whole process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


NOBODY: Caller = ("", "")


def _nobodys() -> Caller:
    return NOBODY


class Lines:
    """What comes through one pipe, which is read no faster than its lines are kept.

    Our own, not asyncio's for processes: those report the end of a process only when its pipes
    are closed, and a grandchild may hold them for ever.
    """

    def __init__(self, level: Level, hear: Hear, whose: Whose = _nobodys) -> None:
        self._hear = hear
        self._whose = whose
        self._level: Level = level
        self._joiner = Joiner(level) if level == "STDERR" else None
        self._rest = bytearray()
        """Of a line whose end has not come."""
        self._said_by = NOBODY
        """Whose what came last is, and with it what waits."""
        self._timer: asyncio.TimerHandle | None = None
        """For what waits for more."""
        self._grew = 0.0
        """When it did last, by the event loop's clock."""
        self._pipe: Pipe | None = None
        self._held = 0
        """Bytes that are not kept yet."""
        self._is_paused = False
        self._is_ending = False
        self.closed = asyncio.Event()

    def opened(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def data_received(self, data: bytes) -> None:
        self._rest += data
        self._said_by = self._whose()
        # Only what is new can end a line, and a line may come byte by byte.
        if b"\n" in data or len(self._rest) > LONGEST_LINE:
            self._tell(self._whole_lines())
        if self._rest or (self._joiner is not None and self._joiner.holds):
            loop = asyncio.get_running_loop()
            self._grew = loop.time()
            if self._timer is None:
                self._timer = loop.call_later(SOON, self._look)

    def _whole_lines(self) -> list[bytes]:
        *lines, rest = bytes(self._rest).split(b"\n")
        # Something is left, so that the line's end makes no line of its own.
        end = max(len(rest) - 1, 0) // LONGEST_LINE * LONGEST_LINE
        if end:
            lines.append(rest[:end])
        self._rest = bytearray(rest[end:])
        return lines

    def _look(self) -> None:
        """Let go what has waited for more long enough."""
        self._timer = None
        loop = asyncio.get_running_loop()
        quiet = loop.time() - self._grew
        if quiet >= QUIET:
            self._tell_rest()
        elif quiet >= SOON and self._joiner is not None:
            self._put(self._joiner.release())
        if self._rest or (self._joiner is not None and self._joiner.holds):
            self._timer = loop.call_later(SOON, self._look)

    def _tell_rest(self) -> None:
        if self._rest:
            rest, self._rest = bytes(self._rest), bytearray()
            self._tell([rest])
        if self._joiner is not None:
            self._put(self._joiner.release())

    def connection_lost(self) -> None:
        self._tell_rest()
        if self._timer is not None:
            self._timer.cancel()
        self.closed.set()

    def end(self) -> None:
        """Read what is left: there will be no more of it."""
        self._is_ending = True
        self._go_on()

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe.close()

    def _tell(self, lines: list[bytes]) -> None:
        pieces = [piece for line in lines for piece in _pieces(line.rstrip(b"\r"))]
        if self._joiner is None:
            self._put([(self._level, piece) for piece in pieces])
        else:
            self._put(self._joiner.feed(pieces))

    def _put(self, entries: list[Entry]) -> None:
        if not entries:
            return
        now = time.time()
        packed = b"".join(
            pack_raw(level, now, [text for _, text in same], self._said_by[0])
            for level, same in groupby(entries, itemgetter(0))
        )
        self._held += len(packed)
        if self._held >= MOST_HELD and not self._is_ending and self._pipe is not None:
            self._is_paused = True
            self._pipe.pause()
        self._hear(len(entries), packed, self._eased, self._said_by)

    def _eased(self, size: int) -> None:
        self._held -= size
        if self._held < MOST_HELD // 2:
            self._go_on()

    def _go_on(self) -> None:
        if self._is_paused and self._pipe is not None:
            self._is_paused = False
            self._pipe.resume()


def _pieces(line: bytes) -> list[bytes]:
    if len(line) <= LONGEST_LINE:
        return [line]
    return [line[begin : begin + LONGEST_LINE] for begin in range(0, len(line), LONGEST_LINE)]


async def start(what: Start, link: Link, hear: Hear, whose: Whose, fork: Fork) -> Process:
    """Start the worker's program. Call it in the event loop's own thread.

    The child dies with the thread that started it (PR_SET_PDEATHSIG counts threads).
    """
    for folder in (what.folder, what.work, what.folder / "tmp"):
        folder.mkdir(parents=True, mode=0o700)
    outputs = (Lines("STDOUT", hear, whose), Lines("STDERR", hear, whose))
    ours, theirs = socket.socketpair()
    opened = [theirs.detach()]
    try:
        await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        opened.extend(Pipe(output, link.take_in).writing for output in outputs)
        given = Given(*opened)
        process = await fork(what, given) or await _spawn(what, given)
    except BaseException:
        link.close()
        shutil.rmtree(what.folder, ignore_errors=True)
        raise
    finally:
        for descriptor in opened:
            os.close(descriptor)
    survivors.record(what.folder, process.pid)
    return Process(process, what.folder, outputs)


async def _spawn(what: Start, given: Given) -> Program:
    arguments = programs.command(what.python, "worker", given.channel, what.orders)
    return await programs.spawn(
        Spawn(arguments, what.work, what.whole_environ, given.stdout, given.stderr, given.channel)
    )


def ending(code: int) -> str:
    """`exit code 3`, `killed by signal 9 (SIGKILL)`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    return f"killed by signal {-code}{name}"


def memory(pid: int) -> int | None:
    """Resident bytes of one process; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return None
