"""A real engine over real child processes; specs are made of a few lines of source."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import types
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
import msgspec
import pytest

from fal_serverless.backend.engine import Call, LocalEngine, Reply, Sink, Spec, isolation
from fal_serverless.backend.engine.isolation import Isolation
from fal_serverless.backend.environment import Environment, EnvironmentStore
from fal_serverless.backend.logs.rows import Block, LogRow, entries_of, entry_of
from fal_serverless.config import Settings
from fal_serverless.isolated import Options
from fal_serverless.models import BundleInfo, LogEntry, Worker, to_json
from fal_serverless.source import pickling

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"
_numbers = itertools.count(1)

MakeEnvironment = Callable[[str, Sequence[str]], Environment]


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> MakeEnvironment:
    folder = tmp_path_factory.mktemp("environments")

    def make(python_version: str, requirements: Sequence[str]) -> Environment:
        store = EnvironmentStore(folder / "envs", folder / "cache", os.environ, "never")
        return asyncio.run(store.ensure(python_version, requirements, lambda _: None))

    return make


@pytest.fixture(scope="session")
def environment(make_environment: MakeEnvironment) -> Environment:
    return make_environment(OURS, [])


def pickled(source: str, file_name: str, name: str, setup: str | None) -> bytes:
    """As the source loader does it: by value, from a module that no worker can import."""
    module = types.ModuleType(f"of_a_user_{next(_numbers)}")
    sys.modules[module.__name__] = module
    code = compile(source, f"/of/a/user/{file_name}", "exec", dont_inherit=True)
    exec(code, module.__dict__)
    cloudpickle.register_pickle_by_value(module)
    try:
        made = {"func": getattr(module, name), "setup_function": setup and getattr(module, setup)}
        return pickling.dump(pickling.make_pickler(cloudpickle, lambda _: True), made)
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules[module.__name__]


MakeSpec = Callable[..., Spec]


@pytest.fixture
def make_spec(tmp_path: Path, environment: Environment) -> MakeSpec:
    """`make_spec(source, name, **options)`; `setup="name"`, `files={...}` beside it."""

    def make(
        source: str,
        name: str = "f",
        *,
        setup: str | None = None,
        files: dict[str, str] | None = None,
        into: Environment = environment,
        from_source: bool = False,
        is_async: bool = False,
        file_name: str = "app.py",
        **options: Any,
    ) -> Spec:
        revision = f"revision-{next(_numbers)}"
        folder = tmp_path / revision
        folder.mkdir()
        if not from_source:
            (folder / "function.pickle").write_bytes(pickled(source, file_name, name, setup))
        with zipfile.ZipFile(folder / "sources.zip", "w") as archive:
            for path, text in {file_name: source, **(files or {})}.items():
                archive.writestr(path, text)
        if "exposed_port" not in options:
            options["serve"] = True
        values = Options(**options).to_json()
        info = BundleInfo(name, file_name, source, values, (), "", OURS, from_source)
        (folder / "bundle.json").write_text(json.dumps(to_json(info)))
        return Spec(
            revision, f"fn-{name}", "1", name, values, (), folder, into, from_source, is_async
        )

    return make


@dataclass
class Kept:
    """A log in memory. While it is `stuck` nothing of it is said to be kept."""

    entries: list[LogEntry] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    """The size of each, in bytes."""
    stuck: bool = False
    _owed: list[tuple[Callable[[int], None], int]] = field(default_factory=list)

    def put(self, row: LogRow) -> None:
        self.entries.append(entry_of(row))

    def lines(self, block: Block, eased: Callable[[int], None]) -> None:
        self.entries += entries_of(block)
        self.blocks.append(len(block[-1]))
        self._owed.append((eased, len(block[-1])))
        if not self.stuck:
            self.ease()

    def ease(self) -> None:
        """All is kept from now on."""
        self.stuck = False
        owed, self._owed = self._owed, []
        for eased, size in owed:
            eased(size)


@dataclass
class Stage:
    """An engine, and what it told."""

    engine: LocalEngine
    run_dir: Path
    log: Kept = field(default_factory=Kept)
    records: list[Worker] = field(default_factory=list)

    @property
    def entries(self) -> list[LogEntry]:
        return self.log.entries

    async def call(self, spec: Spec, body: Any = None, **more: Any) -> Reply:
        raw = body if isinstance(body, bytes) else msgspec.json.encode({} if body is None else body)
        return await self.engine.call(spec, Call(more.pop("request_id", "r-1"), body=raw, **more))

    async def json(self, spec: Spec, body: Any = None, **more: Any) -> Any:
        reply = await self.call(spec, body, **more)
        assert isinstance(reply.body, bytes)
        return msgspec.json.decode(reply.body)

    def lines(self, source: str = "user") -> list[str]:
        return [entry.message for entry in self.entries if entry.source == source]

    def states(self) -> list[str]:
        return [record.state for record in self.records]


@pytest.fixture
async def make_stage(tmp_path: Path) -> AsyncIterator[Callable[..., Stage]]:
    stages: list[Stage] = []

    def make(found: Isolation | None = None, **settings: Any) -> Stage:
        run_dir = tmp_path / f"run-{len(stages)}"
        log, records = Kept(), list[Worker]()
        environ = {**os.environ, "SECRET_OF_THE_BACKEND": "x"}
        tell = (Sink(log.put, log.lines), records.append)
        isolated = isolation.known(found) if found else None
        engine = LocalEngine(Settings(**settings), run_dir, environ, *tell, isolated)
        stages.append(Stage(engine, run_dir, log, records))
        return stages[-1]

    yield make
    for stage in stages:
        await stage.engine.close(0)
        pids = {record.pid for record in stage.records if record.pid}
        assert not [pid for pid in pids if alive(pid)]
        assert not stage.run_dir.exists()


@pytest.fixture
async def stage(make_stage: Callable[..., Stage]) -> Stage:
    return make_stage()


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def until() -> Until:
    async def wait(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while True:
                if holds():
                    return
                await asyncio.sleep(0.005)

    return wait


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    return alive
