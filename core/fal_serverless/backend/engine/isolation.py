"""What can workers have of their own on this machine: addresses for servers, process namespaces?

Tried once per process, by a small program that does what a worker and its supervisor will do.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
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


@dataclass(frozen=True)
class Namespace:
    """How it is made sure that nothing of a worker outlives it."""

    kind: Literal["root", "user", ""]
    """A process namespace as root makes it, or anybody in a namespace of users; '' for none."""
    why: str = ""
    """Why not one of those that stand before it."""

    def describe(self) -> str:
        if self.kind:
            return "each worker's processes are in a namespace of their own, and end with it"
        return (
            "each worker's processes are found and ended by its supervisor; not by a namespace "
            f"because {self.why}"
        )


@dataclass(frozen=True)
class Isolation:
    """All of it."""

    method: Method
    namespace: Namespace

    def describe(self) -> str:
        return f"{self.method.describe()}; {self.namespace.describe()}"


def start() -> Callable[[], Isolation]:
    """Begin to try. What is returned waits for the result."""
    if sys.platform != "linux":
        why = f"{sys.platform} has none"
        found = Isolation(Method("patch", why, own_hosts=False), Namespace("", why))
        return known(found)
    return _start()


def known(found: Isolation) -> Callable[[], Isolation]:
    """The same shape for what need not be tried."""
    return lambda: found


@functools.cache
def _start() -> Callable[[], Isolation]:
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", str(PROBE), PROBE_HOST],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={},
        text=True,
    )
    finish = functools.cache(lambda: _finish(program))
    one = threading.Lock()

    def found() -> Isolation:
        # Workers that start at once ask at once, and only one of them may read what it says.
        with one:
            return finish()

    return found


def _finish(program: subprocess.Popen[str]) -> Isolation:
    try:
        said, _ = program.communicate(timeout=PROBE_TIMEOUT)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        return _nothing(f"the trial did not end within {PROBE_TIMEOUT:g} s")
    return decide(said)


def _nothing(why: str) -> Isolation:
    return Isolation(Method("patch", why), Namespace("", why))


def decide(said: str) -> Isolation:
    """From what the trial printed."""
    try:
        found = msgspec.json.decode(said, type=_Trial)
    except msgspec.MsgspecError:
        lines = said.strip().splitlines() or ["it said nothing"]
        return _nothing(f"the trial failed: {lines[-1]}")
    moves, namespace = found.moves, found.namespace
    return Isolation(
        Method(moves.way or "patch", moves.why), Namespace(namespace.way, namespace.why)
    )


class _Moves(msgspec.Struct):
    way: Literal["socket", "memory", ""]
    why: str


class _Namespace(msgspec.Struct):
    way: Literal["root", "user", ""]
    why: str


class _Trial(msgspec.Struct):
    """What the trial prints."""

    moves: _Moves
    namespace: _Namespace
