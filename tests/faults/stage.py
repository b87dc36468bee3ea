"""One backend in a home of its own, with callers, and what has to be so after whatever happens."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.processes import free_port
from fal_serverless import config, source
from fal_serverless.client import Client
from fal_serverless.errors import FalError
from fal_serverless.models import AuthMode, Served
from faults import leftovers
from faults.ledger import Ledger
from faults.others import Others
from running import FUNCTIONS, RunningBackend, start_backend

_bundles: dict[str, bytes] = {}
"""Of `faulty.py`, by function: made once for all tries."""


class Skip(Exception):
    """A fault cannot be tried on this machine; the message says why."""


@dataclass
class Outcome:
    """What one try came to."""

    lost: list[str] = field(default_factory=list)
    """Acknowledged changes that are not there, others that are half there, wrong answers."""
    leftover: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Calls of the other endpoint."""
    answered: int = 0
    cut: int = 0

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.leftover or self.failed)


class Stage:
    """Everything a fault acts on."""

    def __init__(self, home: Path, chance: random.Random) -> None:
        self.home = home
        self.state = home / "state"
        self.chance = chance
        self.outcome = Outcome()
        self.port = free_port()
        self.settings: dict[str, str] = {}
        self.backend: RunningBackend | None = None
        self.others: Others | None = None
        self.ledger: Ledger
        (home / "tmp").mkdir()

    # Its life

    async def start(self, **settings: str) -> RunningBackend:
        """The backend, on the port it had."""
        self.settings |= settings
        made = await asyncio.to_thread(start_backend, self.home, self.port, **self._environ())
        self.backend = made
        if self.others is not None:
            self.others.is_down = False
        return made

    def _environ(self) -> dict[str, str]:
        cache = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
        own = {"HOME": str(self.home), "TMPDIR": str(self.home / "tmp"), "UV_CACHE_DIR": cache}
        return own | self.settings

    async def open(self, *, revisions: int = 2, **settings: str) -> Client:
        """Start, serve, and have the other endpoint called from now on."""
        await self.start(**settings)
        served = await self.serve("steady", auth="public")
        self.ledger = Ledger(await self.bundle("changing"))
        async with self.client() as client:
            for _ in range(revisions):
                self.expect((await self.ledger.change("serve", client)) is None, "no first serve")
        self.others = Others(served.path_url)
        await self.others.heard()
        return self.client()

    def client(self) -> Client:
        assert self.backend is not None
        return self.backend.client()

    async def bundle(self, name: str) -> bytes:
        if name not in _bundles:
            environ = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
            here = config.load({**environ, "FAL_SERVERLESS_HOME": str(self.home)})
            _bundles[name] = await source.bundle(FUNCTIONS / "faulty.py", name, config=here)
        return _bundles[name]

    async def serve(self, name: str, auth: AuthMode | None = None) -> Served:
        async with self.client() as client:
            bundle = await self.bundle(name)
            async for event in client.serve(bundle, alias=name, auth=auth):
                if event.served is not None:
                    return event.served
        raise AssertionError("a serve ended without a word")

    def run(self, **settings: str) -> tuple[int, str]:
        """A start that is to fail: exit code and what was said; 0 when it did not fail."""
        environ = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
        environ |= {"FAL_SERVERLESS_HOME": str(self.home), "FAL_SERVERLESS_PORT": str(self.port)}
        program = [sys.executable, "-m", "fal_serverless.cli.main", "backend", "run"]
        child = subprocess.Popen(
            program,
            env=environ | self._environ() | settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stderr is not None
        said = []
        for line in child.stderr:
            said.append(line)
            if "listening on" in line:
                child.kill()
                child.communicate()
                return 0, "".join(said)
        return child.wait(), "".join(said)

    def starts_or_says(self, *words: str, **settings: str) -> None:
        """A start that may succeed; when it does not, as in `refused`."""
        code, said = self.run(**settings)
        if code:
            self._told_in_a_line(code, said, words)

    def refused(self, *words: str, **settings: str) -> None:
        """The start must fail with one line that holds these words."""
        self._told_in_a_line(*self.run(**settings), words)

    def _told_in_a_line(self, code: int, said: str, words: tuple[str, ...]) -> None:
        lines = said.strip().splitlines()
        is_told = len(lines) == 1 and lines[0].startswith("Error: ")
        self.expect(code != 0 and is_told, f"the start said ({code}): {said[-600:]}")
        for word in words:
            self.expect(word.lower() in said.lower(), f"{word!r} is not in: {said.strip()[:600]}")

    # What happens to it

    async def stop(self) -> None:
        """In order, with its callers told."""
        assert self.backend is not None
        if self.others is not None:
            self.others.is_down = True
        code = await asyncio.to_thread(self.backend.stop)
        self.expect(code == 0, f"the backend ended with {code}")

    def crash(self) -> None:
        """kill -9."""
        assert self.backend is not None
        if self.others is not None:
            self.others.is_down = True
        self.backend.kill()

    def kill(self, *words: str, but: set[int] | None = None) -> int:
        """kill -9 for one of its processes that has these words; its pid, 0 when there is none."""
        found = [
            pid
            for pid, said in leftovers.processes(self.home).items()
            if all(word in said for word in words) and pid not in (but or set())
        ]
        if not found:
            return 0
        victim = self.chance.choice(sorted(found))
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return victim

    # What has to be so

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.outcome.lost.append(what)

    async def settle(self) -> None:
        """The backend answers, all is there, and nothing is beside it."""
        assert self.backend is not None
        async with self.client() as client:
            self.outcome.lost += await self.ledger.check(client)
        if self.others is not None:
            await self.others.heard()
        self.outcome.leftover += await leftovers.of_running(self.home, self.backend.process.pid)

    async def close(self) -> None:
        """Stop it; nothing may be left."""
        if self.others is not None:
            await self.others.close()
            self.outcome.failed += self.others.failed
            self.outcome.answered, self.outcome.cut = self.others.answered, self.others.cut
        if self.backend is None:
            return
        code = await asyncio.to_thread(self.backend.stop)
        self.expect(code in (0, -signal.SIGKILL), f"the backend ended with {code}")
        self.outcome.leftover += await leftovers.of_stopped(self.home, self.port)


@asynccontextmanager
async def stage(seed: str) -> AsyncIterator[Stage]:
    home = Path(tempfile.mkdtemp(prefix="fal-fault-"))
    made = Stage(home, random.Random(seed))
    try:
        try:
            yield made
        except Skip:
            raise
        except FalError as error:
            made.outcome.lost.append(f"{type(error).__name__}: {error.message}")
        except Exception:
            made.outcome.lost.append(traceback.format_exc())
        finally:
            await made.close()
    finally:
        for pid in leftovers.processes(home):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)
