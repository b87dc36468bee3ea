"""How is a program of ours started by its file, and waited for?

By `subprocess` and a descriptor of the process where the kernel has those: uvloop would let some of
the backend's own descriptors through. Elsewhere by asyncio.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

CHILD = Path(__file__).parent / "runtime" / "child.py"


class Program(Protocol):
    """One that runs, however it was started."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""


@dataclass(frozen=True)
class Spawn:
    """What a program is started with; a session of its own comes with it, and no input."""

    arguments: Sequence[str]
    work: Path
    """Its working directory."""
    environ: Mapping[str, str]
    stdout: int
    """A descriptor, or one of subprocess's numbers."""
    stderr: int
    passed: int
    """The one other descriptor that it has."""


def command(python: Path, what: str, descriptor: int, orders: Mapping[str, Any]) -> list[str]:
    """`what`: "worker" or "template"; see `runtime/child.py`."""
    start = [str(python), "-I", "-X", "faulthandler", str(CHILD)]
    return [*start, what, str(descriptor), json.dumps(orders)]


async def spawn(what: Spawn) -> Program:
    """Raises OSError. Call it in the event loop's own thread: the program dies with its thread."""
    if _has_pidfd():
        return _spawn(what)
    return await asyncio.create_subprocess_exec(*what.arguments, **_options(what))


def _spawn(what: Spawn) -> Spawned:
    return Spawned(subprocess.Popen(what.arguments, **_options(what)))


def _options(what: Spawn) -> dict[str, Any]:
    return {
        "stdin": subprocess.DEVNULL,
        "stdout": what.stdout,
        "stderr": what.stderr,
        "cwd": what.work,
        "env": what.environ,
        "pass_fds": (what.passed,),
        "start_new_session": True,
    }


@functools.cache
def _has_pidfd() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


class Spawned:
    """A child of ours."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._code: asyncio.Future[int] = self._loop.create_future()
        self._descriptor = os.pidfd_open(process.pid)
        self._loop.add_reader(self._descriptor, self._ended)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    def _ended(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._code.set_result(self._process.wait())
