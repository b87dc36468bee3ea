"""How much of the machine may one worker use? What its machine type says, as far as it can be done.

| machine type | memory | processors |
|---|---|---|
| XS | 512 MB | 0.5 |
| S, the default | 8 GB | 4 |
| M | 16 GB | 8 |
| L | 32 GB | 16 |
| XL | 64 GB | 32 |
| GPU, GPU-… | all | all |

A limit over what the machine has is none. Where the settings name a cgroup, the kernel sees to the
limits; elsewhere the worker's supervisor looks at its memory several times a second, and the worker
is bound to as many processors as its share comes to, rounded up. Where neither can be done, a line
in the log says so. On Linux a worker that has more than 1,000 processes is ended, too.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fal_serverless.backend.engine import survivors

MB, GB = 1 << 20, 1 << 30
MOST_PROCESSES = 1000
"""Of one worker: who has more forks for ever."""
PERIOD = 100_000
"""Microseconds in which a share of the processors is counted."""
NOTE = "ended"
"""File in a worker's folder by which its supervisor says why it ended it."""
OUT_OF_MEMORY = "out of memory"
"""What stands in it then."""
MOUNT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """What one worker may use."""

    memory: int | None = None
    """Bytes; None: all there is."""
    cpus: float | None = None
    """Processors; None: all there are."""

    def __str__(self) -> str:
        memory = "all memory" if self.memory is None else size(self.memory)
        cpus = "all processors" if self.cpus is None else f"{self.cpus:g} processors"
        return f"{memory}, {cpus}"


MACHINES = {
    "XS": Machine(512 * MB, 0.5),
    "S": Machine(8 * GB, 4),
    "M": Machine(16 * GB, 8),
    "L": Machine(32 * GB, 16),
    "XL": Machine(64 * GB, 32),
}


def size(number: int) -> str:
    return f"{number // GB} GB" if number >= GB else f"{number // MB} MB"


@dataclass(frozen=True)
class Room:
    """What one worker is given to live in."""

    machine_type: str
    machine: Machine
    """Without limits that are over what there is."""
    folder: Path
    """The worker's own."""
    cgroups: tuple[Path, ...] = ()
    cores: tuple[int, ...] = ()
    """Numbers of the processors it is bound to; none: to no one."""
    is_watched: bool = False
    """Its supervisor counts its processes, and …"""
    is_weighed: bool = False
    """… looks at its memory."""
    unenforced: str = ""
    """What cannot be done about its limits; '' for nothing."""

    @property
    def out_of_memory(self) -> str:
        """How a worker ended that took more than it may."""
        most = size(self.machine.memory or 0)
        return f"killed: out of memory (machine type {self.machine_type} has {most})"

    def ended(self, note: str) -> str:
        """The same, by the note of the supervisor that ended it."""
        return self.out_of_memory if note == OUT_OF_MEMORY else f"killed: {note}"

    @property
    def orders(self) -> dict[str, Any]:
        """For its supervisor."""
        if not (self.cgroups or self.cores or self.is_watched):
            return {}
        watched = {
            "memory": self.machine.memory if self.is_weighed else None,
            "processes": MOST_PROCESSES,
            "note": str(self.folder / NOTE),
        }
        joined = {"cgroups": [str(path) for path in self.cgroups], "cores": list(self.cores)}
        return {"limits": joined | (watched if self.is_watched else {})}

    @property
    def environ(self) -> dict[str, str]:
        """Libraries that start a thread per processor start as many as there is room for."""
        if self.machine.cpus is None:
            return {}
        return {"OMP_NUM_THREADS": str(max(1, round(self.machine.cpus)))}


class Limits:
    """The rooms of one backend's workers."""

    def __init__(
        self,
        run_dir: Path,
        cgroup: str = "",
        mount: Path = MOUNT,
        platform: str = sys.platform,
        there_is: Machine | None = None,
    ) -> None:
        """`cgroup`: as `/fal`, under which workers get theirs. Raises OSError when it cannot be."""
        self._run_dir = run_dir
        self._linux = platform == "linux"
        self._there_is = there_is or all_there_is()
        self._cgroups = _Cgroups(mount, cgroup, run_dir) if cgroup else None
        self._cores = itertools.cycle(_usable_cores())

    def describe(self) -> str:
        if self._cgroups is not None:
            return f"machine types are limits of the kernel ({self._cgroups.describe()})"
        if self._linux:
            return "machine types are limits that each worker's supervisor sees to"
        return "machine types are no limits here"

    def claim(self, worker: str, machine_type: str) -> Room:
        """Room for a worker that is about to start. Raises OSError."""
        machine = within(MACHINES.get(machine_type, Machine()), self._there_is)
        room = Room(machine_type, machine, self._run_dir / worker, is_watched=self._linux)
        if machine == Machine():
            return room
        if self._cgroups is not None:
            return replace(room, cgroups=self._cgroups.make(worker, machine))
        if not self._linux:
            said = f"machine type {machine_type} ({machine}) is not enforced on this system"
            return replace(room, unenforced=said)
        return replace(room, cores=self._bind(machine), is_weighed=machine.memory is not None)

    def release(self, room: Room) -> bool:
        """When its worker is gone; whether the kernel ended something for want of memory."""
        if self._cgroups is None or not room.cgroups:
            return False
        ran_out = any(_out_of_memory(path) for path in room.cgroups)
        self._cgroups.remove(room.cgroups)
        return ran_out

    def close(self) -> None:
        if self._cgroups is not None:
            self._cgroups.close()

    def _bind(self, machine: Machine) -> tuple[int, ...]:
        """The next so many processors, so that workers do not all get the same."""
        if machine.cpus is None:
            return ()
        return tuple(sorted(itertools.islice(self._cores, -int(-machine.cpus // 1))))


def within(machine: Machine, there_is: Machine) -> Machine:
    """Without what is no limit on a machine of that size."""
    memory, cpus = machine.memory, machine.cpus
    if memory is not None and there_is.memory is not None and memory >= there_is.memory:
        memory = None
    if cpus is not None and there_is.cpus is not None and cpus >= there_is.cpus:
        cpus = None
    return Machine(memory, cpus)


def all_there_is() -> Machine:
    """This machine."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(memory, len(_usable_cores()))


def _usable_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


# Cgroups


class _Cgroups:
    """The folders under one cgroup, of version 2 or 1 (one for memory and one for processors)."""

    def __init__(self, mount: Path, name: str, run_dir: Path) -> None:
        relative = name.strip("/")
        self._is_two = (mount / "cgroup.controllers").exists()
        tops = [mount] if self._is_two else [mount / "memory", mount / "cpu"]
        own = f"backend-{survivors.fingerprint(run_dir)}"
        self._bases = [top / relative / own for top in tops]
        self._name = name
        for top, base in zip(tops, self._bases, strict=True):
            if not top.is_dir():
                raise FileNotFoundError(f"there is no {top}")
            self._open(top, base)

    def describe(self) -> str:
        return f"cgroup {self._name}, version {2 if self._is_two else 1}"

    def _open(self, top: Path, base: Path) -> None:
        base.mkdir(parents=True, exist_ok=True)
        for left_over in base.glob("w-*"):
            self._remove(left_over)
        if self._is_two:
            for level in (*reversed(base.relative_to(top).parents), base.relative_to(top)):
                _hand_down(top / level / "cgroup.subtree_control")

    def make(self, worker: str, machine: Machine) -> tuple[Path, ...]:
        made = tuple(base / worker for base in self._bases)
        for folder in made:
            folder.mkdir(exist_ok=True)
        write = self._write_two if self._is_two else self._write_one
        write(made, machine)
        return made

    def _write_two(self, made: tuple[Path, ...], machine: Machine) -> None:
        (folder,) = made
        if machine.memory is not None:
            (folder / "memory.max").write_text(str(machine.memory))
            with suppress(OSError):
                (folder / "memory.swap.max").write_text("0")
        if machine.cpus is not None:
            (folder / "cpu.max").write_text(f"{round(machine.cpus * PERIOD)} {PERIOD}")

    def _write_one(self, made: tuple[Path, ...], machine: Machine) -> None:
        memory, cpu = made
        if machine.memory is not None:
            (memory / "memory.limit_in_bytes").write_text(str(machine.memory))
        if machine.cpus is not None:
            (cpu / "cpu.cfs_period_us").write_text(str(PERIOD))
            (cpu / "cpu.cfs_quota_us").write_text(str(round(machine.cpus * PERIOD)))

    def remove(self, made: tuple[Path, ...]) -> None:
        for folder in made:
            self._remove(folder)

    def _remove(self, folder: Path) -> None:
        """With whatever is still in it."""
        survivors.end_all(_members(folder))
        with suppress(OSError):
            folder.rmdir()

    def close(self) -> None:
        for base in self._bases:
            with suppress(OSError):
                base.rmdir()


def _hand_down(control: Path) -> None:
    """Let the cgroups below have limits, if that is not so already."""
    have = control.read_text().split() if control.exists() else []
    if not {"memory", "cpu"} <= set(have):
        control.write_text("+memory +cpu")


def _members(folder: Path) -> Callable[[], list[int]]:
    def listed() -> list[int]:
        with suppress(OSError):
            return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
        return []

    return listed


def _out_of_memory(folder: Path) -> bool:
    for name in ("memory.events", "memory.oom_control"):
        with suppress(OSError):
            for line in (folder / name).read_text().splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill":
                    return int(count) > 0
    return False
