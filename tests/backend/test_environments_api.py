"""Environments through a real backend: built once, shared, listed, pruned, made again."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sys
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from bundles import HEAD, Write
from fal_serverless import source
from fal_serverless.backend.uv import Uv
from fal_serverless.client import Client
from fal_serverless.errors import BadInput, BuildFailed, Conflict, NotFound, PythonMismatch
from fal_serverless.models import Environment, LogEntry, LogQuery, Served
from running import RunningBackend, StartBackend
from serving import serve

OURS = f"{sys.version_info[0]}.{sys.version_info[1]}"

BUILD = """
import pathlib, zipfile
def build_wheel(folder, *args, **kwargs):
    with open({log!r}, "a") as log:
        log.write("built\\n")
    open({gate!r}).read()
    with zipfile.ZipFile(pathlib.Path(folder, "gated-1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("gated.py", "ANSWER = 42\\n")
        wheel.writestr("gated-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: gated\\nVersion: 1\\n")
        wheel.writestr("gated-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("gated-1.dist-info/RECORD", "")
    return "gated-1-py3-none-any.whl"
"""  # noqa: E501

APP = (
    HEAD
    + """
@isolated(serve=True, requirements={requirements!r}, keep_alive={keep_alive})
def f():
    {body}
"""
)


class Gated:
    """A package whose build waits at a gate; its lines tell how often it was built."""

    def __init__(self, folder: Path) -> None:
        self._gate = folder / "gate"
        self._log = folder / "builds"
        os.mkfifo(self._gate)
        project = folder / "gated"
        project.mkdir()
        code = BUILD.format(log=str(self._log), gate=str(self._gate))
        (project / "backend.py").write_text(code)
        (project / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "gated"\nversion = "1"\n'
        )
        self.requirement = f"gated @ {project.as_uri()}"

    @property
    def builds(self) -> int:
        return len(self._log.read_text().splitlines()) if self._log.exists() else 0

    async def reached(self) -> None:
        """Until a build waits at the gate."""
        async with asyncio.timeout(20):
            while True:
                if self.builds:
                    return
                await asyncio.sleep(0.01)

    async def open(self) -> None:
        """Let one build through; waits until it is there."""
        await asyncio.to_thread(self._gate.write_text, "go")


@pytest.fixture
def gated(tmp_path: Path) -> Gated:
    return Gated(tmp_path)


MakeApp = Callable[..., Path]


@pytest.fixture
def app(write: Write) -> MakeApp:
    """A served function `f` with requirements."""

    def make(*requirements: str, body: str = "return 1", keep_alive: float = 60) -> Path:
        options = {"requirements": list(requirements), "body": body, "keep_alive": keep_alive}
        return write(APP.format(**options))

    return make


@pytest.fixture(scope="module")
def empty(backends: StartBackend) -> RunningBackend:
    """A backend that nobody else serves on; between two tests it has no environment."""
    return backends()


@pytest.fixture
async def own(empty: RunningBackend) -> AsyncIterator[tuple[RunningBackend, Client]]:
    async with empty.client() as client:
        yield empty, client
        for function in await client.functions():
            await client.delete_function(function.name)
        await client.prune_environments()
        assert await client.environments() == []


Own = tuple[RunningBackend, Client]


async def call(one: RunningBackend, served: Served) -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as http:
        return await http.post(served.path_url, headers={"Authorization": f"Key {one.key}"})


async def only(client: Client) -> Environment:
    (found,) = await client.environments()
    return found


def folder_of(one: RunningBackend, environment: Environment) -> Path:
    return one.home / "state" / "environments" / environment.key


async def build_lines(client: Client, text: str) -> AsyncIterator[LogEntry]:
    async for entry in client.tail(LogQuery(sources=("builder",), lines=10_000)):
        if text in entry.message:
            yield entry


# What there is


async def test_one_is_listed_with_what_it_is_and_who_uses_it(own: Own, app: MakeApp) -> None:
    one, client = own
    assert await client.environments() == []
    first = await serve(one, client, app("iniconfig"), "f", "call")
    second = await serve(one, client, app("Iniconfig ", body="return 2"), "f", "other")
    found = await only(client)
    assert (found.python_version, found.requirements) == (OURS, ("iniconfig",))
    assert set(found.revisions) == {first.revision.id, second.revision.id}
    assert found.key == first.revision.environment
    assert found.complete and found.in_use and found.others == 0
    assert 10_000 < found.size_bytes < 50_000_000
    assert 0 <= found.shared_bytes < found.size_bytes
    assert found.created_at <= found.last_used_at
    assert await client.environment(found.key[:8]) == found


async def test_an_unknown_one_is_not_found(own: Own) -> None:
    _, client = own
    with pytest.raises(NotFound, match="environment list"):
        await client.environment("feedfacefeed")
    with pytest.raises(NotFound):
        await client.delete_environment("prune")


async def test_revisions_of_other_users_are_counted_not_named(own: Own, app: MakeApp) -> None:
    one, client = own
    mine = await serve(one, client, app("iniconfig"), "f", "call")
    _, key = await client.add_user("neighbour")
    async with one.client(f"{key.key.id}:{key.secret}") as theirs:
        seen = await only(theirs)
        assert (seen.revisions, seen.others) == ((), 1)
        with pytest.raises(Conflict, match="1 revision uses environment") as refused:
            await theirs.delete_environment(seen.key)
        assert mine.revision.id not in str(refused.value.message)
        assert (await theirs.prune_environments()).environments == ()


# Deleting and pruning


async def test_one_in_use_stays_and_goes_when_its_last_revision_went(
    own: Own, app: MakeApp
) -> None:
    one, client = own
    older = await serve(one, client, app("iniconfig"), "f", "call")
    newer = await serve(one, client, app("iniconfig"), "f", "call")
    found = await only(client)
    with pytest.raises(Conflict, match="2 revisions use"):
        await client.delete_environment(found.key)
    await client.delete_revision(older.revision.id)
    assert (await client.prune_environments()).environments == ()
    assert (await call(one, newer)).json() == 1
    await client.delete_function("call")
    planned = await client.prune_environments(dry_run=True)
    assert planned.dry_run and [e.key for e in planned.environments] == [found.key]
    assert folder_of(one, found).is_dir()
    pruned = await client.prune_environments()
    assert pruned.bytes_freed == planned.bytes_freed > 0
    assert await client.environments() == []
    assert [p for p in folder_of(one, found).parent.iterdir() if not p.name.endswith("lock")] == []
    again = await serve(one, client, app("iniconfig"), "f", "call")
    assert (await call(one, again)).json() == 1


async def test_prune_keeps_what_was_used_lately(own: Own, app: MakeApp) -> None:
    one, client = own
    served = await serve(one, client, app("iniconfig"), "f")
    marker = folder_of(one, await only(client)) / ".complete"
    os.utime(marker, (1, 1))
    await client.delete_function(served.revision.id)
    assert marker.stat().st_mtime > 1_000_000, "its last revision used it until now"
    assert (await client.prune_environments(older_than=60)).environments == ()
    os.utime(marker, (1, 1))
    assert len((await client.prune_environments(older_than=60)).environments) == 1


async def test_prune_takes_leftovers_along(own: Own) -> None:
    one, client = own
    root, overlays = one.home / "state" / "environments", one.home / "cache" / "overlay"
    gone = root / ".gone-x-1"
    lock, stale, fresh = root / ".x.lock", overlays / "pure-old", overlays / "pure-other"
    for folder in (gone, stale, fresh):
        folder.mkdir(parents=True)
    lock.touch()
    (gone / "file").write_bytes(b"x" * 10_000)
    os.utime(stale, (1, 1))
    half = root / "half-built"
    (half / "bin").mkdir(parents=True)
    planned = await client.prune_environments(dry_run=True)
    assert (planned.leftovers, [e.complete for e in planned.environments]) == (3, [False])
    pruned = await client.prune_environments()
    assert pruned.bytes_freed >= 10_000
    assert not any(path.exists() for path in (gone, lock, stale, half))
    assert fresh.exists()


async def test_bad_seconds_are_refused(own: Own) -> None:
    one, _ = own
    async with httpx.AsyncClient(headers={"Authorization": f"Key {one.key}"}) as http:
        for body in ({"older_than": "7d"}, {"older_than": -1}, {"dry_run": 1}, {"olderthan": 1}):
            answer = await http.post(f"{one.url}/v1/environments/prune", json=body)
            assert (answer.status_code, answer.json()["error_type"]) == (400, BadInput.code)


@pytest.mark.parametrize("lost", ["environments", "cache"])
async def test_a_lost_environment_is_made_again_at_the_next_call(
    own: Own, app: MakeApp, lost: str
) -> None:
    one, client = own
    served = await serve(one, client, app("iniconfig", keep_alive=1.2), "f", "call")
    async for _ in client.changes():
        if not await client.workers():
            break
    found = folder_of(one, await only(client))
    shutil.rmtree(found if lost == "environments" else one.home / "cache")
    assert (await call(one, served)).json() == 1
    assert (await only(client)).complete


async def test_a_rollback_builds_nothing(own: Own, app: MakeApp) -> None:
    one, client = own
    await serve(one, client, app("iniconfig"), "f", "call")
    await serve(one, client, app("iniconfig", body="return 2"), "f", "call")
    before = await client.logs(LogQuery(sources=("builder",)))
    await client.rollback("call")
    assert await client.logs(LogQuery(sources=("builder",))) == before


# Building


async def test_eight_serves_at_once_build_once(own: Own, app: MakeApp, gated: Gated) -> None:
    one, client = own
    began = datetime.now(UTC)
    body = "import gated; return gated.ANSWER"
    path = app(gated.requirement, body=body)
    serves = [asyncio.create_task(serve(one, client, path, "f", f"f{n}")) for n in range(8)]
    waiting = 0
    async for _ in build_lines(client, "waiting for the same environment"):
        waiting += 1
        if waiting == 7:
            break
    await gated.open()
    served = await asyncio.gather(*serves)
    assert gated.builds == 1
    assert len((await only(client)).revisions) == 8
    assert [(await call(one, s)).json() for s in served] == [42] * 8
    # Each of the eight was told of the one build: nobody wondered what took so long.
    query = LogQuery(sources=("builder",), lines=1000, search="^Installed", since=began)
    lines = await client.logs(query)
    assert Counter(line.revision for line in lines) == Counter(s.revision.id for s in served)


async def test_a_build_that_is_killed_with_its_backend_is_built_by_the_next(
    backends: StartBackend, app: MakeApp, gated: Gated
) -> None:
    first = backends()
    async with first.client() as client:
        path = app(gated.requirement, body="import gated; return gated.ANSWER")
        serving = asyncio.create_task(serve(first, client, path, "f", "call"))
        await gated.reached()
        builders = await asyncio.to_thread(holders, gated)
        assert builders
        first.kill()
        with pytest.raises(Exception, match="connection"):
            await serving
    await asyncio.wait_for(asyncio.gather(*map(ended, builders)), 2)
    second = backends(first.home)
    async with second.client() as client:
        assert [one.complete for one in await client.environments()] == [False]
        serving = asyncio.create_task(serve(second, client, path, "f", "call"))
        await gated.open()
        assert (await call(second, await serving)).json() == 42
        assert (await only(client)).complete
    assert gated.builds == 2


def holders(gated: Gated) -> list[int]:
    """Descriptors (pidfd) of the processes that run for a build of it."""
    found = []
    while not found:
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                if gated.requirement.encode() in command:
                    found.append(os.pidfd_open(int(entry.name)))
            except OSError:
                continue
    return found


async def ended(handle: int) -> None:
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(handle, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def test_a_build_that_fails_leaves_nothing_to_prune(own: Own, app: MakeApp) -> None:
    one, client = own
    with pytest.raises(BuildFailed):
        await serve(one, client, app("fal-no-such-package"), "f", "call")
    assert await client.environments() == []


async def test_nothing_of_ours_is_in_the_users_environment(own: Own, app: MakeApp) -> None:
    one, client = own
    body = "import sys; return sorted(m for m in sys.modules if m.startswith('iniconfig'))"
    await serve(one, client, app("iniconfig", body=body), "f", "call")
    python = folder_of(one, await only(client)) / "bin" / "python"
    args = ["pip", "list", "--python", str(python), "--format", "json"]
    listed = await Uv(os.environ, "never").run(args, lambda _: None)
    packages = json.loads(next(line for line in listed if line.startswith("[")))
    assert [package["name"] for package in packages] == ["iniconfig"]
    names = {p.name.partition("-")[0] for p in python.parents[1].glob("lib/*/site-packages/*")}
    assert names - {"__pycache__", "_virtualenv.pth", "_virtualenv.py"} == {"iniconfig"}


# Other Pythons


async def others() -> list[str]:
    """Minors that are installed and are not ours; 3.12 and newer."""
    found = await Uv(os.environ, "never").installed_pythons()
    minors = {".".join(version.split(".")[:2]) for version in found}
    return sorted(m for m in minors - {OURS} if int(m.split(".")[1]) >= 12)


VERSION = "import sys; return '%d.%d' % sys.version_info[:2]"


async def test_other_pythons_serve_and_answer_pickled_by_themselves(own: Own, app: MakeApp) -> None:
    one, client = own
    for minor in await others():
        python = Path(f"python{minor}")
        served = await serve(one, client, app(body=VERSION), "f", "v", python=python)
        assert (await call(one, served)).json() == minor


async def test_other_pythons_serve_and_answer_from_source(own: Own, write: Write) -> None:
    one, client = own
    for minor in await others():
        text = f"{HEAD}\n@isolated(serve=True, python_version={minor!r})\ndef f():\n    {VERSION}\n"
        served = await serve(one, client, write(text), "f", "v", from_source=True)
        assert (await call(one, served)).json() == minor
        assert (await client.environment(served.revision.environment)).python_version == minor


async def test_a_pickle_of_another_python_is_refused_with_the_remedy(
    own: Own, write: Write
) -> None:
    one, client = own
    path = write(HEAD + "@isolated(serve=True, python_version='3.99')\ndef f():\n    return 1\n")
    with pytest.raises(PythonMismatch, match=r"--python python3\.99, or use --from-source"):
        await serve(one, client, path, "f", "v")


async def test_the_backend_refuses_it_too(own: Own, app: MakeApp) -> None:
    one, client = own
    packed = await source.bundle(app(), "f", config=one.config)
    with pytest.raises(PythonMismatch, match="from source"):
        async for _ in client.serve(_asking_for("3.99", packed), alias="v"):
            pass
    assert await client.functions() == []


def _asking_for(version: str, bundle: bytes) -> bytes:
    """The bundle of a client that does not look at versions."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(bundle)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "bundle.json":
                info = json.loads(content)
                info["options"]["python_version"] = version
                content = json.dumps(info).encode()
            new.writestr(name, content)
    return made.getvalue()
