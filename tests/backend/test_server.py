"""The backend as a process: crashes, restarts, second copies, swaps under load."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from fal_serverless import source
from fal_serverless.client import Client
from fal_serverless.errors import BuildFailed, Conflict, NotFound, StateFailed, WorkerFailed
from fal_serverless.models import LogQuery
from running import FUNCTIONS, RunningBackend, StartBackend
from serving import serve


def folders(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "state" / "revisions").iterdir())


async def test_after_kill_9_every_acknowledged_thing_is_there_and_answers(
    backends: StartBackend,
) -> None:
    first = backends()
    async with first.client() as client:
        older = await serve(first, client, "texts.py", "call_text", "call")
        newer = await serve(first, client, "texts.py", "call_text", "call", "public")
        lone = await serve(first, client, "texts.py", "call_text")
        made = await client.generate_key("API", "laptop")
    first.kill()
    again = backends(first.home)
    async with again.client(f"{made.key.id}:{made.secret}") as caller, again.client() as client:
        assert (await client.alias("call")).revision == newer.revision.id
        assert [m.to_revision for m in await client.moves("call")] == [
            newer.revision.id,
            older.revision.id,
        ]
        caller._user = await client.user()
        for label in ("call", older.revision.id, newer.revision.id, lone.revision.id):
            answer = await caller.invoke(label, b'{"text": "back"}')
            assert (answer.status, answer.body) == (200, b'"back"')
        assert any("POST / 200" in e.message for e in await client.logs(LogQuery(label="call")))


async def test_nothing_of_a_killed_backend_survives(backends: StartBackend) -> None:
    one = backends()
    async with one.client() as client:
        await serve(one, client, "texts.py", "call_text", "call")
        await serve(one, client, "echo_server.py", "echo_server", "echo")
        pids = [worker.pid for worker in await client.workers()]
    assert len(pids) == 2
    handles = [os.pidfd_open(pid) for pid in pids if pid]
    one.kill()
    loop = asyncio.get_running_loop()
    for handle in handles:
        ended = asyncio.Event()
        loop.add_reader(handle, ended.set)
        await asyncio.wait_for(ended.wait(), 2)
        loop.remove_reader(handle)
        os.close(handle)


async def test_a_stopped_backend_exits_0_and_takes_its_files_along(backends: StartBackend) -> None:
    one = backends()
    async with one.client() as client:
        await serve(one, client, "texts.py", "call_text", "call")
    assert one.stop() == 0
    assert not one.config.paths.backend.exists()


def test_a_second_backend_on_the_same_state_is_refused(backend: RunningBackend) -> None:
    program = [sys.executable, "-m", "fal_serverless.backend"]
    done = subprocess.run(
        program, env=backend.env, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 1
    assert "runs on" in done.stderr


def test_a_state_folder_that_cannot_be_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder has to be")
    done = subprocess.run(
        [sys.executable, "-m", "fal_serverless.backend"],
        env={**os.environ, "FAL_SERVERLESS_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert done.stderr.startswith(f"Error: the state folder {tmp_path}/state cannot be used: ")


def test_what_a_killed_backend_had_begun_to_write_goes(backends: StartBackend) -> None:
    one = backends()
    one.kill()
    begun = one.home / "state" / ".backend.json.half"
    keys, others = one.home / ".credentials.toml.half", one.home / ".credentials.toml.others"
    for path in (begun, keys, others):
        path.write_text("half")
    os.utime(keys, (0, 0))
    backends(one.home)
    assert [path.exists() for path in (begun, keys, others)] == [False, False, True]


async def test_a_full_disk_refuses_changes_in_a_line_and_costs_no_call(
    backends: StartBackend,
) -> None:
    one = backends()
    async with one.client() as client:
        served = await serve(one, client, "texts.py", "call_text", "call")
        # A process whose files must not grow meets what a full disk means.
        pid = one.process.pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        with pytest.raises(StateFailed):
            await serve(one, client, "texts.py", "call_text", "call")
        with pytest.raises(StateFailed, match="nothing was changed"):
            await client.generate_key("API", "laptop")
        assert (await client.invoke("call", b'{"text": "x"}')).body == b'"x"'
        assert (await client.alias("call")).revision == served.revision.id
        assert len(await client.keys()) == 1
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        again = await serve(one, client, "texts.py", "call_text", "call")
        assert (await client.alias("call")).revision == again.revision.id
    assert folders(one.home) == sorted([served.revision.id, again.revision.id])


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("no_such_requirement", BuildFailed, "fal-no-such-package"),
        ("fails_to_start", WorkerFailed, "no weights"),
        ("returns_at_once", WorkerFailed, "8123"),
    ],
)
async def test_a_serve_that_fails_leaves_alias_and_folders_as_they_were(
    backends: StartBackend, name: str, error: type[Exception], text: str
) -> None:
    one = backends()
    async with one.client() as client:
        good = await serve(one, client, "texts.py", "call_text", "call")
        before = folders(one.home)
        with pytest.raises(error, match=text) as raised:
            await serve(one, client, "broken.py", name, "call")
        assert raised.value.data["log"]
        assert (await client.alias("call")).revision == good.revision.id
        assert len(await client.revisions("call")) == 1
        assert folders(one.home) == before
        with pytest.raises(NotFound):
            await client.revision(raised.value.data["revision"])
        kept = await client.logs(LogQuery(revision=raised.value.data["revision"]))
        assert any(text in entry.message for entry in kept)


async def test_a_serve_that_is_cancelled_leaves_nothing(
    backends: StartBackend,
) -> None:
    one = backends()
    async with one.client() as client:
        bundle = await source.bundle(FUNCTIONS / "broken.py", "never_ready", config=one.config)
        events = client.serve(bundle, alias="call")
        async for event in events:
            if event.phase == "worker":
                break
        await events.aclose()
        async for _ in client.changes():
            if not await client.workers():
                break
        assert await client.functions() == []
        assert one.stop() == 0
    assert folders(one.home) == []


async def test_swaps_under_load_fail_no_call(backend: RunningBackend, client: Client) -> None:
    first = await serve(backend, client, "texts.py", "call_text", "swapped", "public")
    second = await serve(backend, client, "texts.py", "call_text", "swapped")
    statuses: list[int] = []
    stop = asyncio.Event()

    async def load() -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            while not stop.is_set():
                answer = await http.post(first.path_url, content=b'{"text": "x"}')
                statuses.append(answer.status_code)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(load())
        for _ in range(3):
            await client.rollback("swapped")
            await client.set_alias("swapped", second.revision.id)
            await serve(backend, client, "texts.py", "call_text", "swapped")
            await client.set_auth("swapped", "public")
        stop.set()
    assert len(statuses) > 50
    assert set(statuses) == {200}


async def test_a_revision_in_use_cannot_be_deleted_and_an_unused_one_can(
    backend: RunningBackend, client: Client
) -> None:
    older = await serve(backend, client, "texts.py", "call_text", "deleting")
    newer = await serve(backend, client, "texts.py", "call_text", "deleting")
    with pytest.raises(Conflict):
        await client.delete_revision(newer.revision.id)
    await client.delete_revision(older.revision.id)
    with pytest.raises(NotFound):
        await client.revision(older.revision.id)
    assert older.revision.id not in folders(backend.home)
    await client.delete_function("deleting")
    assert (await client.invoke("deleting", b"{}")).status == 404


async def test_the_control_api_is_for_admin_keys_and_for_our_own_names(
    backend: RunningBackend, client: Client
) -> None:
    made = await client.generate_key("API")
    api_key = {"Authorization": f"Key {made.key.id}:{made.secret}"}
    admin = {"Authorization": f"Key {backend.key}"}
    async with httpx.AsyncClient(base_url=backend.url) as http:
        assert (await http.get("/v1/functions")).status_code == 401
        assert (await http.get("/v1/functions", headers=api_key)).status_code == 403
        assert (await http.get("/v1/functions", headers=admin)).status_code == 200
        for odd in ({"Host": "evil.test"}, {"Origin": "http://evil.test"}):
            answer = await http.get("/v1/functions", headers=admin | odd)
            assert answer.status_code == 403
        assert (await http.get("/healthz")).json()["status"] == "ok"
        missing = await http.get("/v1/nothing", headers=admin)
        assert (missing.status_code, missing.json()["error_type"]) == (404, "not_found")
        bad = await http.get("/v1/logs?lines=many", headers=admin)
        assert bad.status_code == 400


async def test_changes_are_told_as_they_happen(backend: RunningBackend, client: Client) -> None:
    changes = client.changes()
    assert (await anext(changes)).kind == "resync"
    await serve(backend, client, "texts.py", "call_text", "told")
    heard = set()
    async for change in changes:
        heard.add((change.kind, change.name))
        if {("alias", "told"), ("function", "told")} <= heard:
            break
    await changes.aclose()


async def test_who_changed_what_stands_in_the_endpoints_log(
    backend: RunningBackend, client: Client
) -> None:
    first = await serve(backend, client, "texts.py", "call_text", "noted")
    second = await serve(backend, client, "texts.py", "call_text", "noted")
    await client.rollback("noted", message="too slow")
    await client.set_auth("noted", "public")
    entries = await client.logs(LogQuery(label="noted", sources=("system",)))
    said = [entry.message for entry in entries if ", by " in entry.message]
    by = (await client.user()).nickname
    old, new = first.revision.id, second.revision.id
    assert said == [
        f"alias noted points at {old} (serve), by {by}",
        f"alias noted moved from {old} to {new} (serve), by {by}",
        f"alias noted moved from {new} to {old} (rollback), by {by}: too slow",
        f"auth of noted changed from private to public, by {by}",
    ]
    assert {(e.alias, e.function) for e in entries if ", by " in e.message} == {("noted", "noted")}


async def test_what_was_deleted_is_in_the_log_of_all(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, "texts.py", "call_text", "gone", "public")
    await serve(backend, client, "texts.py", "call_text", "gone", "private")
    await client.delete_revision(served.revision.id)
    await client.delete_alias("gone")
    found = await client.logs(LogQuery(sources=("system",), search="gone|" + served.revision.id))
    said = [e.message for e in found if ", by " in e.message]
    by = (await client.user()).nickname
    assert said[2:4] == [
        f"auth of gone changed from public to private, by {by}",
        f"revision {served.revision.id} deleted, by {by}",
    ]
    assert said[4].startswith("alias gone deleted, it pointed at ") and said[4].endswith(by)


async def test_a_tail_resumes_after_the_last_entry_seen(
    backend: RunningBackend, client: Client
) -> None:
    served = await serve(backend, client, "texts.py", "call_text", "tailed", "public")
    for n in range(6):
        await client.invoke("tailed", json.dumps({"text": f"line-{n}"}).encode())
    seen = await client.logs(LogQuery(label="tailed", sources=("user",)))
    resumed = client.tail(LogQuery(label="tailed", sources=("user",), after=seen[2].id))
    rest = [(await anext(resumed)).message for _ in range(3)]
    assert rest == [f"asked for line-{n}" for n in (3, 4, 5)]
    await client.invoke("tailed", b'{"text": "line-6"}')
    assert (await anext(resumed)).message == "asked for line-6"
    await resumed.aclose()
    assert served.url.startswith("http://1-tailed.gateway.localhost:")
