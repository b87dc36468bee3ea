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
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fal_serverless.backend.engine.frames import Link
from fal_serverless.models import Level

CHILD = Path(__file__).parent / "runtime" / "child.py"
BLOCK = 256 * 1024
"""Bytes read from a pipe at once."""
LONGEST_LINE = 64 * 1024
"""Bytes; more is cut into pieces."""
PIPE_GRACE = 0.5
"""Seconds that output may still come after the end: a grandchild can hold the pipe for ever."""

Hear = Callable[[Level, str], None]


@dataclass(frozen=True)
class Start:
    """What a child is started with."""

    python: Path
    folder: Path
    """Its own: working directory and TMPDIR are below, and all is removed with it."""
    environ: Mapping[str, str]
    """Without TMPDIR."""


class Process:
    """A started child. `ended` is awaited by whoever owns it."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, hear: Hear) -> None:
        self._process = process
        self._folder = folder
        self._pipes = [
            asyncio.ensure_future(_hear(process.stdout, "STDOUT", hear)),
            asyncio.ensure_future(_hear(process.stderr, "STDERR", hear)),
        ]

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ended(self) -> int:
        """Its exit code, negative for a signal, when it and all of its group are gone."""
        code = await self._process.wait()
        self.signal(signal.SIGKILL)
        await asyncio.wait(self._pipes, timeout=PIPE_GRACE)
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
        return code

    def signal(self, number: signal.Signals) -> None:
        """To the whole process group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


async def start(what: Start, link: Link, hear: Hear) -> Process:
    """Start the worker's program. Call it in the event loop's own thread.

    The child dies with the thread that started it (PR_SET_PDEATHSIG counts threads).
    """
    work, temporary = what.folder / "work", what.folder / "tmp"
    for folder in (work, temporary):
        folder.mkdir(parents=True, mode=0o700)
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    try:
        await loop.create_unix_connection(lambda: link, sock=ours)
        process = await asyncio.create_subprocess_exec(
            str(what.python),
            *("-I", "-X", "faulthandler", str(CHILD), str(theirs.fileno())),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=work,
            env={**what.environ, "TMPDIR": str(temporary)},
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            limit=BLOCK,
        )
    except BaseException:
        ours.close()
        shutil.rmtree(what.folder, ignore_errors=True)
        raise
    finally:
        theirs.close()
    return Process(process, what.folder, hear)


def ending(code: int) -> str:
    """`exit code 3`, `killed by signal 9 (SIGKILL)`."""
    if code >= 0:
        return f"exit code {code}"
    try:
        name = f" ({signal.Signals(-code).name})"
    except ValueError:
        name = ""
    return f"killed by signal {-code}{name}"


async def _hear(stream: asyncio.StreamReader | None, level: Level, hear: Hear) -> None:
    assert stream is not None
    async for line in _lines(stream):
        hear(level, line.rstrip(b"\r").decode("utf-8", "replace"))


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    while block := await stream.read(BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            for start_at in range(0, max(1, len(line)), LONGEST_LINE):
                yield line[start_at : start_at + LONGEST_LINE]
        while len(rest) >= LONGEST_LINE:
            yield rest[:LONGEST_LINE]
            rest = rest[LONGEST_LINE:]
    if rest:
        yield rest
