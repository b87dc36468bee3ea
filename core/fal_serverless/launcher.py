"""Finds, starts and stops the embedded backend, which is a program of its own.

The backend writes `backend.json` when it answers and removes it when it ends; this module only
reads it, and never trusts it alone: a recorded process must live and say by `/healthz`, or by its
command line, that it is the one. What the backend does is not known here.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fal_serverless import config as configuration
from fal_serverless.config import Config, Context
from fal_serverless.errors import BadAnswer, FalError, Unreachable
from fal_serverless.models import from_json

if TYPE_CHECKING:
    from fal_serverless.client import Client

MODULE = "fal_serverless.backend"
START_WAIT = 30.0
"""Seconds a backend may take to answer."""
STOP_MARGIN = 10.0
"""Seconds over the drain time until a backend that was told to stop is killed."""
POLL = 0.02
"""Seconds between two looks."""
LOG_LINES = 5
"""Of its log, quoted when a backend ends early."""
LEAST_FREE = 1024**2
"""Bytes of a disk below which it is to blame for a log without a word."""


@dataclass(frozen=True)
class BackendInfo:
    """What a running backend says of itself in `backend.json`."""

    pid: int
    port: int
    url: str
    """Base URL for clients on this machine."""
    version: str
    started_at: datetime
    host: str = "127.0.0.1"
    domain: str = "localhost"
    tls_cert: str = ""
    """File with its certificate; '': it speaks no TLS."""


async def running(config: Config) -> BackendInfo | None:
    """The embedded backend, when it runs and answers."""
    info = recorded(config)
    if info is None or not _alive(info.pid):
        return None
    return info if await _answers(info) else None


def recorded(config: Config) -> BackendInfo | None:
    """What `backend.json` says, whether true or left over; None without a readable one."""
    try:
        return from_json(BackendInfo, json.loads(config.paths.backend.read_text()))
    except (OSError, ValueError, BadAnswer):
        return None


async def ensure(config: Config, *, wait: float = START_WAIT) -> BackendInfo:
    """The running backend; started in the background, as `config` has it, when there is none.

    Two callers at once start one. Raises Unreachable with the last lines of its log when it ends
    early, or does not answer within `wait` seconds; StateFailed when its folder cannot be used.
    """
    found = await running(config)
    if found is not None:
        return found
    with configuration.using_state(config.paths.state):
        return await _ensured(config, time.monotonic() + wait)


async def _ensured(config: Config, deadline: float) -> BackendInfo:
    configuration.make_private(config.paths.state)
    async with _start_lock(config.paths.state / "backend.starting", deadline):
        found = await running(config)
        if found is not None:
            return found
        await _outwait_silent(config, deadline)
        return await _start(config, deadline)


async def stop(config: Config, timeout: float | None = None) -> bool:  # noqa: ASYNC109
    """End the embedded backend after it drained; False when none runs.

    After `timeout` seconds (default: its drain time and a margin) it is killed.
    """
    info = recorded(config)
    if info is None or not _alive(info.pid) or not await _is_ours(info):
        return False
    patience = config.settings.drain_timeout + STOP_MARGIN if timeout is None else timeout
    with suppress(ProcessLookupError):
        os.kill(info.pid, signal.SIGTERM)
    if not await _gone(info.pid, patience):
        with suppress(ProcessLookupError):
            os.kill(info.pid, signal.SIGKILL)
        await _gone(info.pid, STOP_MARGIN)
    return True


async def connect(
    config: Config, context_name: str | None = None, key: str | None = None, *, start: bool = True
) -> tuple[Context, Client]:
    """The context and a client for it.

    The embedded backend is started when it does not run; with `start=False` that is Unreachable.
    Other backends are not asked anything here. Raises NotFound for an unknown context.
    """
    context = config.context(context_name, key)
    info = None
    if context.embedded:
        info = await (ensure(config) if start else running(config))
        if info is None:
            raise Unreachable("the embedded backend does not run")
        # the backend makes the first user and key when it starts for the first time
        fresh = configuration.load(config.environ).context(context.name)
        context = replace(fresh, url=info.url)
    return context, _client(context, info)


def _client(context: Context, info: BackendInfo | None) -> Client:
    from fal_serverless.client import Client
    from fal_serverless.tls import pinned, trusting

    tls = trusting(context.ca) if context.ca else None
    if info is not None and info.tls_cert:
        tls = pinned(info.tls_cert)
    return Client(context.url, context.key, readonly=context.readonly, tls=tls)


# Starting


@asynccontextmanager
async def _start_lock(path: Path, deadline: float) -> AsyncIterator[None]:
    """Held by whoever starts the backend; the lock goes with its process."""
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unreachable("another program is still starting the backend") from None
            await asyncio.sleep(POLL)
        yield


async def _outwait_silent(config: Config, deadline: float) -> None:
    """A backend that lives without answering must not get a second one beside it."""
    info = recorded(config)
    while info and _alive(info.pid) and await _is_ours(info):
        if time.monotonic() > deadline:
            raise Unreachable(
                f"the backend (process {info.pid}) runs but does not answer at {info.url}; "
                "end it with: fal-serverless backend stop"
            )
        await asyncio.sleep(POLL)
        if await _answers(info):
            return


async def _start(config: Config, deadline: float) -> BackendInfo:
    log = config.paths.backend_log
    begin = log.stat().st_size if log.exists() else 0
    child = _spawn(config)
    while True:
        found = await running(config)
        if found is not None:
            return found
        if child.poll() is not None:
            raise _ended(child.returncode, log, begin)
        if time.monotonic() > deadline:
            child.terminate()
            raise Unreachable(f"the backend did not answer in time; see {log}")
        await asyncio.sleep(POLL)


_children: dict[int, subprocess.Popen[bytes]] = {}
"""Backends this process started, so that one that died is seen to be dead, not a zombie."""


def _spawn(config: Config) -> subprocess.Popen[bytes]:
    with open(config.paths.backend_log, "ab", opener=_private) as log:
        child = subprocess.Popen(
            [str(configuration.this_python()), "-P", "-m", MODULE],
            cwd=config.paths.state,
            env=configuration.backend_environ(config.environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _children[child.pid] = child
    return child


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _ended(code: int, log: Path, begin: int) -> FalError:
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    said = " | ".join(line.strip() for line in lines[-LOG_LINES:])
    message = f"the backend ended at once with exit code {code}"
    if not said and _free(log.parent) < LEAST_FREE:
        said = f"the disk of {log.parent} is full"
    return Unreachable(f"{message}: {said}" if said else f"{message}; see {log}", log=lines)


def _free(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


# Is it alive, is it ours?


def _alive(pid: int) -> bool:
    if pid in _children:
        return _children[pid].poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # somebody else's: the number was given out again
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Ended, and waiting for a parent to ask how: in a container that may take seconds."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state == "Z"


async def _answers(info: BackendInfo) -> bool:
    from fal_serverless.client import health

    said = await health(info.url, certificate=info.tls_cert)
    return said is not None and said.get("pid", info.pid) == info.pid


async def _is_ours(info: BackendInfo) -> bool:
    """Whether the recorded process is a backend, not one that was given its number since."""
    return await _answers(info) or _is_backend(_command_line(info.pid))


def _is_backend(command: list[str]) -> bool:
    by_console = "backend" in command and any("fal-serverless" in part for part in command)
    return MODULE in command or by_console


def _command_line(pid: int) -> list[str]:
    if Path("/proc/self").exists():
        with suppress(OSError):
            return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")
        return []
    ps = ["ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout.split()


async def _gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while _alive(pid):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL)
    return True
