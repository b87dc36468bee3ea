"""Which processes stand ready to fork workers? One for each kind of worker used of late.

A template is made when a first worker of its kind is up, so nobody waits for it, and goes when it
is not used for a while or there are too many. Whatever goes wrong with one, the worker is spawned
instead. What happens in a template stands in `runtime/template.py`.
"""

from __future__ import annotations

import array
import asyncio
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fal_serverless.backend.engine import survivors
from fal_serverless.backend.engine.pipe import Pipe
from fal_serverless.backend.engine.process import Caller, Given, Lines, Start, memory
from fal_serverless.backend.engine.programs import Program, Spawn, command, spawn
from fal_serverless.backend.logs.rows import unpack

logger = logging.getLogger("fal_serverless.backend")

READY = b"ready"
"""What a template says when it can be used."""
START_TIMEOUT = 30.0
"""Seconds that a template has to get ready."""
BIRTH_TIMEOUT = 5.0
"""Seconds until a fork must be there."""
END_TIMEOUT = 2.0
"""Seconds that a template has to end when nothing of it is left."""
PAUSE = 0.5
"""Seconds after a worker's start until its template is made: its first calls go before."""


@dataclass(frozen=True)
class Kind:
    """Workers that can be forks of one process."""

    python: Path
    overlay: tuple[Path, ...]
    is_async: bool
    """Their functions are; the template has read asyncio."""
    version: tuple[int, ...] = ()
    """Tells an interpreter from one made anew in its place."""


def kind_of(python: Path, overlay: tuple[Path, ...], is_async: bool) -> Kind:
    with suppress(OSError):
        link, program = python.lstat(), python.stat()
        version = (link.st_ctime_ns, link.st_ino, program.st_mtime_ns, program.st_ino)
        return Kind(python, overlay, is_async, version)
    return Kind(python, overlay, is_async)


class NotForked(Exception):
    """There is no fork, and there will be none; why."""


class Forked:
    """A worker's supervisor that a template made. It says its process id first, its code last."""

    def __init__(self, report: socket.socket) -> None:
        self._report = report
        self._said = b""
        self._loop = asyncio.get_running_loop()
        self._born: asyncio.Future[int] = self._loop.create_future()
        self._code: asyncio.Future[int] = self._loop.create_future()
        self.pid = 0
        """Known when it is born."""
        self._loop.add_reader(report.fileno(), self._read)

    async def born(self) -> None:
        """Raises NotForked."""
        try:
            async with asyncio.timeout(BIRTH_TIMEOUT):
                await asyncio.shield(self._born)
        except TimeoutError:
            self._give_up()
        except asyncio.CancelledError:
            self.close()
            raise
        self.pid = self._born.result()
        if not self.pid:
            raise NotForked("it did not fork")

    def _give_up(self) -> None:
        """What is not born by now never will be: its first word cannot be said any more."""
        self._report.shutdown(socket.SHUT_RD)
        while not self._code.done():
            self._read()
        if self._born.result():
            with suppress(ProcessLookupError):
                os.killpg(self._born.result(), signal.SIGKILL)
            raise NotForked("it forked too late")

    async def wait(self) -> int:
        return await asyncio.shield(self._code)

    def close(self) -> None:
        if self._report.fileno() >= 0:
            self._loop.remove_reader(self._report.fileno())
            self._report.close()

    def _read(self) -> None:
        try:
            said = self._report.recv(100)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        self._said += said
        words = self._said.split(b"\n")
        if len(words) > 1 and not self._born.done():
            self._born.set_result(int(words[0]))
        if not said:
            self._ended(words)

    def _ended(self, words: list[bytes]) -> None:
        self.close()
        if not self._born.done():
            self._born.set_result(0)
        # One that could not say how it ends was killed.
        self._code.set_result(int(words[1]) if len(words) > 2 else -signal.SIGKILL)


class Template:
    """One process that forks."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind = kind
        self.used_at = time.monotonic()
        self.is_ready = False
        self.is_retired = False
        """Ends after the last of its children."""
        self._folder = folder
        self._is_over = False
        self._process: Program | None = None
        self._control: socket.socket | None = None
        self._lines = Lines("STDERR", self._heard)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self, environ: Mapping[str, str]) -> None:
        """Until it is ready. Raises NotForked, OSError, TimeoutError."""
        self._folder.mkdir(mode=0o700)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        orders = {"overlay": list(map(str, self.kind.overlay)), "is_async": self.kind.is_async}
        with theirs:
            stderr = Pipe(self._lines).writing
            try:
                arguments = command(self.kind.python, "template", theirs.fileno(), orders)
                self._process = await spawn(
                    Spawn(
                        arguments,
                        self._folder,
                        {**environ, survivors.MARK: self._folder.name},
                        stdout=subprocess.DEVNULL,
                        stderr=stderr,
                        passed=theirs.fileno(),
                    )
                )
            finally:
                os.close(stderr)
        if self.is_retired:
            self.kill()
        survivors.record(self._folder, self._process.pid)
        async with asyncio.timeout(START_TIMEOUT):
            said = await asyncio.get_running_loop().sock_recv(self._control, 4096)
        if said != READY:
            raise NotForked(said.decode("utf-8", "replace") or "it ended")
        self.is_ready = True

    def ask(self, what: Start, given: Given) -> Forked:
        """Raises NotForked."""
        if self._control is None:
            raise NotForked("it has ended")
        content = {"environ": what.whole_environ, "folder": str(what.work), "orders": what.orders}
        report, theirs = socket.socketpair()
        report.setblocking(False)
        rights = array.array("i", (*given, theirs.fileno()))
        with theirs:
            try:
                extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
                self._control.sendmsg([msgspec.json.encode(content)], extra)
            except OSError as exc:
                report.close()
                raise NotForked(str(exc)) from exc
        return Forked(report)

    def retire(self) -> None:
        """No more forks; those there are go on."""
        self.is_retired = True
        if self.is_ready and self._control is not None:
            self._control.close()
            self._control = None
        elif not self.is_ready:
            self.kill()

    def kill(self) -> None:
        """Its children go on."""
        self.is_retired = True
        if self._process is not None and not self._is_over:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def ended(self) -> None:
        """When it is gone; its folder is, too."""
        if self._process is not None:
            await self._process.wait()
        self._is_over = True
        if self._control is not None:
            self._control.close()
            self._control = None
        self._lines.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    def _heard(
        self, count: int, packed: bytes, eased: Callable[[int], None], caller: Caller
    ) -> None:
        for _, _, _, text in unpack(packed):
            logger.warning("a template of %s says: %s", self.kind.python, text)
        eased(len(packed))


class Templates:
    """Those of one engine. All methods are for the event loop's thread."""

    def __init__(
        self,
        run_dir: Path,
        environ: Callable[[Path], Mapping[str, str]],
        most: int,
        keep_alive: float,
    ) -> None:
        """`environ`: what a program is started with, by its interpreter; `keep_alive`: seconds."""
        self._run_dir = run_dir
        self._environ = environ
        # Elsewhere a fork is not safe once system libraries have been used.
        self._most = most if sys.platform == "linux" else 0
        self._keep_alive = keep_alive
        self._current: dict[Kind, Template] = {}
        self._alive: set[Template] = set()
        """Also those that are retired."""
        self._unfit: set[Kind] = set()
        self._planned: dict[Kind, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    def __len__(self) -> int:
        return len(self._alive)

    def memory(self) -> int:
        """Resident bytes of all of them."""
        return sum(memory(template.pid) or 0 for template in self._alive)

    async def fork(self, kind: Kind, what: Start, given: Given) -> Program | None:
        """A worker's program; None when there is no template that could fork it."""
        template = self._current.get(kind)
        if template is None or not template.is_ready:
            return None
        template.used_at = time.monotonic()
        try:
            forked = template.ask(what, given)
            await forked.born()
        except NotForked as exc:
            self._forget(template)
            template.kill()
            said = "a worker is spawned, because the template of %s failed: %s"
            logger.warning(said, kind.python, exc)
            return None
        return forked

    def want(self, kind: Kind) -> None:
        """A worker of that kind was started; the next ones may be forked."""
        if kind in self._current:
            self._current[kind].used_at = time.monotonic()
        elif self._may(kind):
            loop = asyncio.get_running_loop()
            self._planned[kind] = loop.call_later(PAUSE, self._make, kind)

    async def close(self) -> None:
        """When all are gone. Call it when the workers are."""
        self._closing = True
        for timer in (self._timer, *self._planned.values()):
            if timer is not None:
                timer.cancel()
        for template in self._alive:
            template.retire()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=END_TIMEOUT)
        for template in self._alive:
            template.kill()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _may(self, kind: Kind) -> bool:
        tried = kind in self._unfit or kind in self._planned
        return self._most > 0 and not self._closing and not tried

    def _make(self, kind: Kind) -> None:
        del self._planned[kind]
        template = Template(kind, self._run_dir / _new_name())
        self._current[kind] = template
        self._alive.add(template)
        self._make_room()
        task = asyncio.get_running_loop().create_task(self._live(template))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self, template: Template) -> None:
        """From its start to its end."""
        try:
            await template.start(self._environ(template.kind.python))
            self._tend()
        except (NotForked, OSError, TimeoutError) as exc:
            self._failed(template, exc)
        await template.ended()
        if not template.is_retired:
            logger.warning("the template of %s died; workers are spawned", template.kind.python)
        self._forget(template)
        self._alive.discard(template)

    def _failed(self, template: Template, error: Exception) -> None:
        """It is not tried again: it would be the same."""
        if not template.is_retired:
            self._unfit.add(template.kind)
            said = "workers of %s are not forked from a template: %s"
            logger.warning(said, template.kind.python, str(error) or type(error).__name__)
        template.kill()

    def _make_room(self) -> None:
        """The ones used longest ago go when there are too many."""
        for template in sorted(self._current.values(), key=lambda found: found.used_at):
            if len(self._current) <= self._most:
                return
            self._retire(template)

    def _tend(self) -> None:
        """Retire what is not used, and look again when the next one may be due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = time.monotonic()
        for template in list(self._current.values()):
            if template.used_at + self._keep_alive <= now:
                self._retire(template)
        if self._current and not self._closing:
            first = min(template.used_at for template in self._current.values())
            wait = max(0.0, first + self._keep_alive - now)
            self._timer = asyncio.get_running_loop().call_later(wait, self._tend)

    def _retire(self, template: Template) -> None:
        self._forget(template)
        template.retire()

    def _forget(self, template: Template) -> None:
        if self._current.get(template.kind) is template:
            del self._current[template.kind]


def _new_name() -> str:
    """As long as a worker's id: its fork writes one over the other."""
    return f"t-{uuid.uuid4().hex[:8]}"
