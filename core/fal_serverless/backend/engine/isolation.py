"""Which way of moving a function's server to an address of its own works on this machine?

Tried once per process, by a small program that does what a worker and its supervisor will do.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

PROBE = Path(__file__).parent / "runtime" / "probe.py"
PROBE_HOST = "127.64.0.1"
"""No worker is given it."""
PROBE_TIMEOUT = 10.0


@dataclass(frozen=True)
class Method:
    """How servers are moved."""

    name: Literal["socket", "memory", "patch"]
    """By seccomp's notifications with the server's socket in hand, by them with nothing but its
    memory, or by a patch of Python's `socket`."""
    why: str = ""
    """Why not one of those that stand before it."""
    own_hosts: bool = True
    """Whether each worker can have an address of its own, beside 127.0.0.1."""

    @property
    def by_kernel(self) -> bool:
        return self.name != "patch"

    def describe(self) -> str:
        where = "an address in 127.64.0.0/10" if self.own_hosts else "a port of 127.0.0.1"
        if self.by_kernel:
            how = "seccomp (any program)"
            if self.name == "memory":
                how += f", by changing memory because sockets cannot be had ({self.why})"
            return f"each worker's servers are moved to {where} by {how}"
        return (
            f"each worker's server is moved to {where} by a patch of Python's socket.bind; a "
            f"server that is not Python's own gets the real port, one at a time; not by seccomp "
            f"because {self.why}"
        )


def start() -> Callable[[], Method]:
    """Begin to try. What is returned waits for the result."""
    if sys.platform != "linux":
        method = Method("patch", f"{sys.platform} has none", own_hosts=False)
        return lambda: method
    return _start()


@functools.cache
def _start() -> Callable[[], Method]:
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROBE), PROBE_HOST],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={},
        text=True,
    )
    return functools.cache(lambda: _finish(program))


def _finish(program: subprocess.Popen[str]) -> Method:
    try:
        said, _ = program.communicate(timeout=PROBE_TIMEOUT)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        return Method("patch", f"the trial did not end within {PROBE_TIMEOUT:g} s")
    return decide(said)


def decide(said: str) -> Method:
    """From what the trial printed."""
    try:
        found = msgspec.json.decode(said, type=_Trial)
    except msgspec.MsgspecError:
        lines = said.strip().splitlines() or ["it said nothing"]
        return Method("patch", f"the trial failed: {lines[-1]}")
    return Method(found.method or "patch", found.why)


class _Trial(msgspec.Struct):
    """What the trial prints."""

    method: Literal["socket", "memory", ""]
    why: str
