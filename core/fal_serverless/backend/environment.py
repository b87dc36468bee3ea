"""Which interpreter, with which packages, does a function run in?

A virtual environment is named after the hash of everything that decides its content, so that
revisions share it and a rollback never builds. uv makes it in place, under a file lock that uv
inherits (a killed builder must not leave a uv that writes beside the next one); a marker written
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
import signal
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from uv import find_uv_bin

from fal_serverless.config import build_environ, make_private, write_whole
from fal_serverless.errors import BuildFailed
from fal_serverless.overlay import installed_folder, made_whole, pure_overlay

SCHEMA = 1
"""Counts up when an environment of the same ingredients comes out differently."""
OLDEST = (3, 8)
"""The oldest Python that the worker's program runs on."""
MARKER = ".complete"
LOCK_POLL = 0.05
"""Seconds between two looks at a lock that another process holds."""

INDEX_NAMES = (
    "UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS",
    "UV_INDEX_STRATEGY", "UV_NO_INDEX", "UV_PRERELEASE", "UV_RESOLUTION", "UV_EXCLUDE_NEWER",
    "UV_CONSTRAINT", "UV_OVERRIDE", "UV_TORCH_BACKEND", "PIP_INDEX_URL",
)  # fmt: skip
"""Variables that decide what a requirement resolves to: they are part of the key."""

Log = Callable[[str], None]


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
        self._environ = _uv_environ(environ, python_downloads)
        self._downloads = python_downloads
        self._builds: dict[str, _Build] = {}

    def key(self, python_version: str, requirements: Sequence[str]) -> str:
        """Hash of all that decides the content; asks neither disk nor network."""
        index = {name: self._environ.get(name) for name in INDEX_NAMES}
        wanted = sorted({normalised(text) for text in requirements})
        parts = [SCHEMA, sys.platform, platform.machine(), python_version, wanted, index]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def exists(self, key: str) -> bool:
        """Whether it is there, and whole."""
        return (self.root / key / MARKER).is_file() and self._python(key).is_file()

    async def ensure(
        self, python_version: str, requirements: Sequence[str], log: Log
    ) -> Environment:
        """The environment, built when it is missing; what uv says goes to `log`.

        Raises BuildFailed with uv's reason. A build that fails, or whose last waiter is
        cancelled, leaves nothing.
        """
        key = self.key(python_version, requirements)
        overlay = self._overlay(python_version)
        if overlay is not None and self.exists(key):
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
        shutil.rmtree(folder, ignore_errors=True)
        venv = ["venv", "--no-project", "--python", _interpreter(python_version), str(folder)]
        install = ["pip", "install", "--python", str(self._python(key)), "--compile-bytecode"]
        try:
            await self._create(venv, python_version, log, lock)
            if requirements:
                await self._uv([*install, "--", *requirements], log, lock)
            about = {"python": python_version, "requirements": requirements}
            write_whole(folder / MARKER, json.dumps(about) + "\n")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    async def _create(self, venv: list[str], python_version: str, log: Log, lock: int) -> None:
        try:
            await self._uv(venv, log, lock)
        except BuildFailed as exc:
            if "No interpreter found" not in exc.message:
                raise
            raise BuildFailed(await self._missing(python_version), **exc.data) from exc

    async def _missing(self, python_version: str) -> str:
        found = await self.installed_pythons()
        have = ", ".join(found) or "none"
        hint = ""
        if self._downloads == "never":
            hint = "; with python_downloads = 'automatic' uv may fetch it"
        return f"Python {python_version} is not installed; there are: {have}{hint}"

    async def installed_pythons(self) -> list[str]:
        """Versions that environments can be made of, oldest first."""
        args = ["python", "list", "--only-installed", "--output-format", "json"]
        try:
            text = await self._uv(args, lambda _: None)
            entries = json.loads(next(line for line in text if line.startswith("[")))
        except (BuildFailed, StopIteration, ValueError):
            return []
        found = {(*(int(n) for n in entry["version_parts"].values()),) for entry in entries}
        return [".".join(map(str, parts)) for parts in sorted(found) if parts[:2] >= OLDEST]

    def _python(self, key: str) -> Path:
        return self.root / key / "bin" / "python"

    # What workers need beside

    @cached_property
    def _pure(self) -> Path:
        return pure_overlay(self.cache)

    def _overlay(self, python_version: str) -> tuple[Path, ...] | None:
        """None: a part of it has to be installed first."""
        native = self._native(python_version)
        if native.is_dir():
            return (self._pure, native)
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
        version = importlib.metadata.version("msgspec")
        return self.cache / "overlay" / f"msgspec-{version}-py{minor}-{sysconfig.get_platform()}"

    async def _install_native(
        self, python_version: str, python: Path, log: Log
    ) -> tuple[Path, ...]:
        native = self._native(python_version)
        log(f"preparing workers for Python {python_version}")
        with made_whole(native) as aside:
            if aside is not None:
                place = ["--python", str(python), "--target", str(aside)]
                await self._uv(["pip", "install", "--no-deps", *place, "msgspec"], log)
        return (self._pure, native)

    # uv

    @asynccontextmanager
    async def _locked(self, key: str, log: Log) -> AsyncIterator[int]:
        """The lock of one key, between processes. Yields its descriptor."""
        descriptor = os.open(self.root / f".{key}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            told = False
            while not _try_lock(descriptor):
                if not told:
                    log("waiting for another process that builds the same environment")
                    told = True
                await asyncio.sleep(LOCK_POLL)
            yield descriptor
        finally:
            os.close(descriptor)

    async def _uv(self, args: list[str], log: Log, lock: int | None = None) -> list[str]:
        """Run uv; its lines. Cancelled: uv and what it started are gone before this returns."""
        process = await asyncio.create_subprocess_exec(
            find_uv_bin(),
            *args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environ,
            cwd=self.root if self.root.is_dir() else None,
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            lines = [line async for line in _lines(process.stdout, log)]
            status = await process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        if status != 0:
            raise BuildFailed(reason(lines, status), log=lines[-50:])
        return lines


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


def reason(lines: Sequence[str], status: int) -> str:
    """uv's own error in one line, without its decoration."""
    starts = [n for n, line in enumerate(lines) if line.startswith("error:")]
    if not starts:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return last or f"uv ended with status {status} and said nothing"
    parts = []
    for line in lines[starts[-1] :]:
        match = re.match(r"(?:error|\s*cause|\s*hint): *(.*)", line)
        if match is not None:
            parts.append(match[1].strip().rstrip(":"))
    return ": ".join(part for part in parts if part)


_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


async def _lines(stream: asyncio.StreamReader, log: Log) -> AsyncIterator[str]:
    rest = b""
    while block := await stream.read(65536):
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield _told(line, log)
    if rest:
        yield _told(rest, log)


def _told(raw: bytes, log: Log) -> str:
    line = _ANSI.sub("", raw.decode("utf-8", "replace")).rstrip()
    # Nobody is to activate this one.
    if line and not line.startswith("Activate with:"):
        log(line)
    return line


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


def _uv_environ(environ: Mapping[str, str], python_downloads: str) -> dict[str, str]:
    made = build_environ(environ)
    made["UV_NO_CONFIG"] = "1"
    made["UV_PYTHON_DOWNLOADS"] = python_downloads
    made["UV_PYTHON_SEARCH_PATH"] = _search_path(made)
    # pip's own variable, which uv does not read, is where most people name their index.
    if "PIP_INDEX_URL" in made and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & made.keys():
        made["UV_DEFAULT_INDEX"] = made["PIP_INDEX_URL"]
    return made


def _search_path(environ: Mapping[str, str]) -> str:
    """PATH and pyenv's versions, newest first; without pyenv's shims, which answer errors."""
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv")
    path = [p for p in environ.get("PATH", "").split(os.pathsep) if p and Path(p) != root / "shims"]
    return os.pathsep.join([*path, *(str(p) for p in _pyenv_folders(root))])


def _pyenv_folders(root: Path) -> list[Path]:
    found = []
    for folder in root.glob("versions/*/bin"):
        match = re.match(r"(\d+)\.(\d+)", folder.parent.name)
        if match is not None and (int(match[1]), int(match[2])) >= OLDEST:
            found.append(((int(match[1]), int(match[2])), folder))
    return [folder for _, folder in sorted(found, reverse=True)]
