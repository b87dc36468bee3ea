"""Real backends for tests: started as a process, waited for, stopped or killed."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fal_serverless import config
from fal_serverless.client import Client

FUNCTIONS = Path(__file__).parent / "functions"
"""Files as users write them."""


@dataclass
class Reluctant:
    """In place of what starts programs: fails twice, as with `errno`, and then does as `real`."""

    real: Callable[..., Awaitable[Any]]
    errno: int
    tries: int = 0

    async def __call__(self, *arguments: object, **options: object) -> Any:
        self.tries += 1
        if self.tries < 3:
            raise OSError(self.errno, os.strerror(self.errno))
        return await self.real(*arguments, **options)


@dataclass
class RunningBackend:
    """A backend in a process of its own."""

    home: Path
    process: subprocess.Popen[str]
    url: str
    env: dict[str, str] = field(repr=False)
    """For programs that shall use this backend as their embedded one."""
    said: list[str] = field(default_factory=list, repr=False)
    """Lines that it wrote to its standard error."""

    @property
    def config(self) -> config.Config:
        return config.load(self.env)

    @property
    def key(self) -> str:
        return self.config.context("local").key

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, key: str | None = None) -> Client:
        return Client(self.url, self.key if key is None else key)

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """As `backend stop` does, without waiting for it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """As `backend stop` does; returns the exit code."""
        self.end()
        return self.process.wait(timeout=30)


def stores_on(folder: Path) -> list[int]:
    """The log stores that run on a folder."""
    return [pid for pid, words in _programs("fal_serverless.backend.logs") if str(folder) in words]


def children_of(parent: int, module: str) -> list[int]:
    """Programs of ours that a process has started."""
    found = []
    for pid, _ in _programs(module):
        with suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == parent and stat[0] != "Z":
                found.append(pid)
    return found


def _programs(module: str) -> Iterator[tuple[int, list[str]]]:
    """Those that run a module, with their words."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if module in words:
                yield int(path.parent.name), words


StartBackend = Callable[..., RunningBackend]


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def _end_with_us() -> None:
    """A test run that is killed has no time to stop its backends."""
    LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def start_backend(
    home: Path,
    port: int = 0,
    program: Sequence[str] = ("-m", "fal_serverless.backend"),
    **settings: str,
) -> RunningBackend:
    """Start one and wait until it says where it listens. `program`: what Python runs."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
    env |= {"FAL_SERVERLESS_HOME": str(home), **settings}
    process = subprocess.Popen(
        [sys.executable, *program],
        env=env | {"FAL_SERVERLESS_PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # No terminal of whoever runs the tests is its own.
        start_new_session=True,
        preexec_fn=_end_with_us if sys.platform == "linux" else None,
    )
    assert process.stderr is not None
    heard: list[str] = []
    for line in process.stderr:
        heard.append(line)
        if "listening on" in line:
            # A full pipe would stop the backend.
            threading.Thread(target=heard.extend, args=(process.stderr,), daemon=True).start()
            return RunningBackend(home, process, line.split()[-1], env, heard)
    raise AssertionError(f"the backend did not start: {''.join(heard)}")
