"""Which interpreter, with which packages, does a function run in?

A virtual environment is named after the hash of everything that decides its content, so that
revisions share it and a rollback never builds. uv makes it in place, under a file lock that uv
inherits (what a killed builder leaves must not write beside the next one); a marker written
last says that it is whole. This room knows nothing of revisions, and of workers only what they put
on their path.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import sys
import sysconfig
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fal_serverless import models
from fal_serverless.backend import inventory
from fal_serverless.backend.inventory import MARKER
from fal_serverless.backend.uv import OLDEST, Log, Uv
from fal_serverless.config import make_private, write_whole
from fal_serverless.errors import BuildFailed, Conflict, NotFound
from fal_serverless.overlay import installed_folder, made_whole, pure_overlay

SCHEMA = 1
"""Counts up when an environment of the same ingredients comes out differently."""
LOCK_POLL = 0.05
"""Seconds between two looks at a lock that another process holds."""

INDEX_NAMES = (
    "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS",
    "UV_INDEX_STRATEGY", "UV_NO_INDEX", "UV_PRERELEASE", "UV_RESOLUTION", "UV_EXCLUDE_NEWER",
    "UV_CONSTRAINT", "UV_OVERRIDE", "UV_TORCH_BACKEND", "PIP_INDEX_URL",
)  # fmt: skip
"""Variables that decide what a requirement resolves to: they are part of the key."""


@dataclass(frozen=True)
class Environment:
    """A whole environment, ready for workers."""

    key: str
    python: Path
    """Its interpreter."""
    overlay: tuple[Path, ...]
    """Folders with what a worker needs and the user did not ask for; last on its path."""


@dataclass
class _Build:
    """A build that runs, and everybody in this process who waits for it."""

    task: asyncio.Task[Environment]
    logs: list[Log] = field(default_factory=list)


class EnvironmentStore:
    """The environments below one folder. Others may use the same folder at the same time."""

    def __init__(
        self, root: Path, cache: Path, environ: Mapping[str, str], python_downloads: str
    ) -> None:
        self.root = root.absolute()
        self.cache = cache.absolute()
        self._uv = Uv(environ, python_downloads)
        self._builds: dict[str, _Build] = {}

    def key(self, python_version: str, requirements: Sequence[str]) -> str:
        """Hash of all that decides the content; asks neither disk nor network."""
        index = {name: self._uv.environ.get(name) for name in INDEX_NAMES}
        wanted = sorted({normalised(text) for text in requirements})
        parts = [SCHEMA, sys.platform, platform.machine(), python_version, wanted, index]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def exists(self, key: str) -> bool:
        """Whether it is there, and whole."""
        parts = (MARKER, "bin/python", "pyvenv.cfg", "lib")
        return all(os.access(f"{self.root}/{key}/{part}", os.F_OK) for part in parts)

    def holds(self, made: Environment) -> bool:
        """Whether all that a worker needs of it is there still."""
        return self.exists(made.key) and all(os.access(one, os.F_OK) for one in made.overlay)

    async def ensure(
        self, python_version: str, requirements: Sequence[str], log: Log, known: str = ""
    ) -> Environment:
        """The environment, built when it is missing; what uv says goes to `log`.

        `known` is the key it was made under: as long as that one exists it is the one, whatever
        the index is called today. Raises BuildFailed with uv's reason. A build that fails, or whose
        last waiter is cancelled, leaves nothing.
        """
        key = known if known and self.exists(known) else self.key(python_version, requirements)
        overlay = self._overlay(python_version)
        if overlay is not None and self.exists(key):
            self.touch(key)
            return Environment(key, self._python(key), overlay)
        build = self._builds.get(key)
        if build is None:
            build = self._start(key, python_version, list(requirements))
        else:
            log("waiting for the same environment, which is being built")
        build.logs.append(log)
        try:
            return await asyncio.shield(build.task)
        finally:
            build.logs.remove(log)
            await self._forsake(key, build)

    def _start(self, key: str, python_version: str, requirements: list[str]) -> _Build:
        logs: list[Log] = []

        def tell(line: str) -> None:
            for log in tuple(logs):
                log(line)

        task = asyncio.create_task(self._make(key, python_version, requirements, tell))
        build = self._builds[key] = _Build(task, logs)
        return build

    async def _forsake(self, key: str, build: _Build) -> None:
        """The last one to leave ends the build and sees that nothing is left of it."""
        if build.logs:
            return
        if self._builds.get(key) is build:
            del self._builds[key]
        if not build.task.done():
            build.task.cancel()
            await asyncio.wait([build.task])

    async def _make(
        self, key: str, python_version: str, requirements: list[str], log: Log
    ) -> Environment:
        _refuse_ancient(python_version)
        make_private(self.root)
        async with self._locked(key, log) as lock:
            if not self.exists(key):
                await self._build(key, python_version, requirements, log, lock)
        overlay = self._overlay(python_version)
        if overlay is None:
            overlay = await self._install_native(python_version, self._python(key), log)
        return Environment(key, self._python(key), overlay)

    async def _build(
        self, key: str, python_version: str, requirements: list[str], log: Log, lock: int
    ) -> None:
        folder = self.root / key
        await _remove(folder)
        venv = ["venv", "--no-project", "--python", _interpreter(python_version), str(folder)]
        install = ["pip", "install", "--python", str(self._python(key)), "--compile-bytecode"]
        try:
            await self._create(venv, python_version, log, lock)
            inventory.write_note(folder, python_version, requirements)
            if requirements:
                args = [*install, "--", *requirements]
                await self._uv.run(args, log, folder=self.root, lock=lock)
            write_whole(folder / MARKER, "")
        except BaseException:
            await _remove(folder)
            raise

    async def _create(self, venv: list[str], python_version: str, log: Log, lock: int) -> None:
        try:
            await self._uv.run(venv, log, folder=self.root, lock=lock)
        except BuildFailed as exc:
            if "No interpreter found" not in exc.message:
                raise
            raise BuildFailed(await self._missing(python_version), **exc.data) from exc

    async def _missing(self, python_version: str) -> str:
        found = await self.installed_pythons()
        have = ", ".join(found) or "none"
        hint = ""
        if self._uv.downloads == "never":
            hint = "; with python_downloads = 'automatic' uv may fetch it"
        return f"Python {python_version} is not installed; there are: {have}{hint}"

    async def installed_pythons(self) -> list[str]:
        """Versions that environments can be made of, oldest first."""
        return await self._uv.installed_pythons()

    def _python(self, key: str) -> Path:
        return self.root / key / "bin" / "python"

    # What workers need beside

    @property
    def _pure(self) -> Path:
        return pure_overlay(self.cache)

    def _overlay(self, python_version: str) -> tuple[Path, ...] | None:
        """None: a part of it has to be installed first."""
        native = self._native(python_version)
        if native.is_dir():
            overlay = (self._pure, native)
            for folder in overlay:
                inventory.touch(folder)
            return overlay
        if _minor(python_version) != sys.version_info[:2]:
            return None
        source = installed_folder("msgspec")
        with made_whole(native) as aside:
            if aside is not None:
                ignore = shutil.ignore_patterns("__pycache__", "*.pyi")
                shutil.copytree(source, aside / "msgspec", ignore=ignore)
        return (self._pure, native)

    def _native(self, python_version: str) -> Path:
        """The folder with compiled packages for that minor on this platform."""
        minor = ".".join(map(str, _minor(python_version)))
        name = f"msgspec-{_msgspec()}-py{minor}-{sysconfig.get_platform()}"
        return self.cache / "overlay" / name

    async def _install_native(
        self, python_version: str, python: Path, log: Log
    ) -> tuple[Path, ...]:
        native = self._native(python_version)
        log(f"preparing workers for Python {python_version}")
        with made_whole(native) as aside:
            if aside is not None:
                place = ["--python", str(python), "--target", str(aside)]
                await self._uv.run(["pip", "install", "--no-deps", *place, "msgspec"], log)
        return (self._pure, native)

    # What there is, and what may go

    def kept(self) -> list[models.Environment]:
        """Newest use first, with no revisions in them. Reads every file's size."""
        return inventory.environments(self.root)

    def touch(self, key: str) -> None:
        """It was used until now."""
        inventory.touch(self.root / key / MARKER)

    def is_building(self, key: str) -> bool:
        """Whether somebody in this process waits for it."""
        return key in self._builds

    async def remove(self, key: str) -> int:
        """Bytes that are free afterwards. Raises NotFound, Conflict while it is built.

        Nothing is awaited before it is out of everybody's sight: what the caller found out about
        its users just before holds.
        """
        if not (self.root / key).is_dir():
            raise NotFound(f"no environment '{key}'", environment=key)
        path = self._lock_path(key)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if self.is_building(key) or not _try_lock(lock):
                raise Conflict(f"environment '{key}' is being built", environment=key)
            aside = inventory.set_aside(self.root / key)
            path.unlink(missing_ok=True)
        finally:
            os.close(lock)
        return await asyncio.to_thread(inventory.wipe, aside)

    def leftovers(self) -> list[Path]:
        """Half-removed environments, locks of none, overlays of versions that are gone."""
        native = (self.cache / "overlay").glob(f"msgspec-{_msgspec()}-*")
        overlays = inventory.idle_overlays(self.cache, [self._pure, *native])
        return [*inventory.abandoned(self.root), *self._idle_locks(), *overlays]

    def _idle_locks(self) -> list[Path]:
        locks = self.root.glob(".*.lock") if self.root.is_dir() else ()
        return [path for path in sorted(locks) if self._is_idle(path)]

    def _is_idle(self, lock: Path) -> bool:
        key = lock.name[1 : -len(".lock")]
        if (self.root / key).exists() or self.is_building(key):
            return False
        descriptor = os.open(lock, os.O_RDWR)
        try:
            return _try_lock(descriptor)
        finally:
            os.close(descriptor)

    # Locks

    def _lock_path(self, key: str) -> Path:
        return self.root / f".{key}.lock"

    @asynccontextmanager
    async def _locked(self, key: str, log: Log) -> AsyncIterator[int]:
        """The lock of one key, between processes. Yields its descriptor."""
        descriptor = await _lock(self._lock_path(key), log)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


async def _lock(path: Path, log: Log) -> int:
    """The descriptor of a file that is ours alone as long as it is open."""
    told = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Whoever held it before may have removed the file: then ours is nobody else's lock.
        if _try_lock(descriptor) and _is_at(descriptor, path):
            return descriptor
        os.close(descriptor)
        if not told:
            log("waiting for another process that builds the same environment")
            told = True
        await asyncio.sleep(LOCK_POLL)


async def _remove(folder: Path) -> None:
    """Tens of thousands of files, maybe: calls go on meanwhile."""
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def normalised(requirement: str) -> str:
    """The same text for requirements that mean the same: `Flask >= 2` and `flask>=2`."""
    text = " ".join(requirement.split())
    match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*((?:[\[<>=!~;@( ].*)?)", text)
    if match is None:
        return text
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    rest, mark, condition = match[2].partition(";")
    if "@" not in rest:
        rest = rest.replace(" ", "")
    return f"{name}{rest.strip()}{mark}{condition.strip()}"


def _msgspec() -> str:
    return importlib.metadata.version("msgspec")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _minor(python_version: str) -> tuple[int, int]:
    major, minor = python_version.split(".")[:2]
    return int(major), int(minor)


def _refuse_ancient(python_version: str) -> None:
    if _minor(python_version) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise BuildFailed(f"Python {python_version} is too old: workers need {oldest} or newer")


def _interpreter(python_version: str) -> str:
    """What uv is asked for: our own interpreter where it fits, which spares uv the search."""
    ours = ".".join(map(str, sys.version_info[:3]))
    if python_version in (ours, ours.rpartition(".")[0]):
        return str(getattr(sys, "_base_executable", sys.executable))
    return python_version
