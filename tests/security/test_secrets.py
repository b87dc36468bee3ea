"""Where a secret must not be: searched for after a session that used it in every form."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backend.gateway.raw import wire
from fal_serverless.models import LogQuery
from running import RunningBackend, StartBackend
from security.people import forms, nonsense, text_of
from serving import serve

FROM_SHELL = "5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e"
"""The secret of a key that was in the environment of whoever started the backend."""
SPYING = """
from fal_serverless import isolated


@isolated(serve=True, keep_alive=60)
def spy(text: str = ""):
    import os

    parent = open(f"/proc/{os.getppid()}/environ", "rb").read()
    own = open("/proc/self/environ", "rb").read()
    told = dict(os.environ), parent.decode("latin-1"), own.decode("latin-1"), os.listdir(".")
    return [str(part) for part in told]
"""
NAMES = ("own", "kept", "revoked")
PATHS = ("/1/secrets-spy", "/1/secrets-fail", "/1/secrets-echo/a", "/1/nobody", "/v1/status")


@dataclass
class Session:
    backend: RunningBackend
    secrets: dict[str, str]
    """What must not be found, by what it is."""
    answers: list[str]


@pytest.fixture(scope="module")
def session(backends: StartBackend, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "spying.py").write_text(SPYING)
    key = f"0f0e0d0c-0b0a-4908-8706-050403020100:{FROM_SHELL}"
    backend = backends(
        folder / "home", FAL_KEY=key, FAL_KEY_SECRET=FROM_SHELL, FAL_SERVERLESS_GATEWAYS="2"
    )
    return asyncio.run(hold(backend, folder / "spying.py"))


async def hold(backend: RunningBackend, spying: Path) -> Session:
    async with backend.client() as client:
        await serve(backend, client, spying, "spy", "secrets-spy", "private")
        await serve(backend, client, "texts.py", "fail", "secrets-fail", "private")
        await serve(backend, client, "echo_server.py", "echo_server", "secrets-echo", "private")
        kept, revoked = await client.generate_key("ADMIN", "kept"), await client.generate_key("API")
        await client.revoke_key(revoked.key.id)
    keys = [backend.key, text_of(kept), text_of(revoked)]
    answers = []
    async with httpx.AsyncClient(trust_env=False, timeout=60, verify=False) as http:
        for key in keys:
            for sent in [*forms(key), *nonsense(key)]:
                for path in PATHS:
                    answer = await http.post(
                        f"{backend.url}{path}?{sent.query}",
                        headers=[
                            (k.encode(), v.encode("latin-1")) for k, v in sent.headers.items()
                        ],
                        json={"text": "a"},
                    )
                    if sent in forms(key) or not path.endswith("/a"):
                        answers.append(answer.text)
            query = forms(key)[-1].query
            async with wire(backend) as connection:
                upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x"
                line = f"GET /1/secrets-echo/ws?{query} HTTP/1.1\r\nHost: localhost\r\n{upgrade}"
                await connection.send(f"{line}\r\n\r\n".encode())
                await connection.head()
    secrets = {name: key.partition(":")[2] for name, key in zip(NAMES, keys, strict=True)}
    return Session(backend, secrets | {"from the shell": FROM_SHELL}, answers)


def descendants(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            found += [int(path.parent.name), *descendants(int(path.parent.name))]
    return found


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_functions_answers_and_errors_tell_none(session: Session) -> None:
    assert len([text for text in session.answers if "SHELL" in text or "PATH" in text]) > 0
    for text in session.answers:
        for name, secret in session.secrets.items():
            assert secret not in text, name


async def test_the_log_and_the_audit_log_tell_none(session: Session) -> None:
    async with session.backend.client() as client:
        entries = await client.logs(LogQuery(lines=100_000))
        told = [*entries, *await client.audit(10_000), await client.status(), *await client.keys()]
        told += [*await client.workers(), *await client.functions()]
    assert any("/a" in entry.message for entry in entries)
    for item in told:
        for name, secret in session.secrets.items():
            assert secret not in repr(item), name
        assert "fal_key_" not in repr(item)


async def test_no_file_but_the_credentials_holds_one(session: Session) -> None:
    searched = 0
    for path in session.backend.home.rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        content, searched = read(path), searched + 1
        for name, secret in session.secrets.items():
            if (path.name, name) != ("credentials.toml", "own"):
                assert secret.encode() not in content, (path, name)
    assert searched > 10
    own = session.secrets["own"]
    assert own in (session.backend.home / "credentials.toml").read_text()


def test_no_process_has_one_in_its_words_or_environment(session: Session) -> None:
    backend = session.backend.process.pid
    started = descendants(backend)
    programs = b"".join(read(Path(f"/proc/{pid}/cmdline")) for pid in started)
    # The log store, a further gateway, supervisors and workers are all looked at.
    assert b"fal_serverless.backend.logs" in programs
    assert b"fal_serverless.backend.gateways" in programs
    assert len(started) >= 5
    for pid in [backend, *started]:
        for name, secret in session.secrets.items():
            assert secret.encode() not in read(Path(f"/proc/{pid}/cmdline")), name
            if pid != backend:
                assert secret.encode() not in read(Path(f"/proc/{pid}/environ")), name


def test_nothing_that_had_one_dumps_core(session: Session) -> None:
    for pid in [session.backend.process.pid, *descendants(session.backend.process.pid)]:
        limits = read(Path(f"/proc/{pid}/limits")).decode()
        line = next((line for line in limits.splitlines() if line.startswith("Max core")), None)
        assert line is None or line.split()[4] == "0"


def test_files_and_sockets_are_for_their_owner_only(session: Session) -> None:
    """Environments and sources are as their tools make them, below a private folder."""
    home = session.backend.home
    for path in [*home.rglob("*")]:
        place = path.relative_to(home).parts
        if place[:2] in (("state", "environments"), ("cache", "overlay")) and len(place) > 2:
            continue
        if "sources" in place:  # unpacked for workers
            continue
        found = path.lstat()
        if not stat.S_ISLNK(found.st_mode):
            assert stat.S_IMODE(found.st_mode) & 0o077 == 0, path
            assert found.st_uid == os.getuid()


def test_the_backend_in_the_background_inherits_no_key(tmp_path: Path) -> None:
    from cli.conftest import run_here

    env = {name: value for name, value in os.environ.items() if not name.startswith("FAL_")}
    env |= {"FAL_SERVERLESS_HOME": str(tmp_path / "home"), "FAL_SERVERLESS_PORT": "0"}
    keys = {"FAL_KEY": f"a:{FROM_SHELL}", "FAL_KEY_SECRET": FROM_SHELL}
    try:
        assert run_here(env | keys, "backend", "start").code == 0
        info = json.loads((tmp_path / "home/state/backend.json").read_text())
        for pid in [info["pid"], *descendants(info["pid"])]:
            assert FROM_SHELL.encode() not in read(Path(f"/proc/{pid}/environ"))
        log = (tmp_path / "home/state/backend.log").stat()
        assert stat.S_IMODE(log.st_mode) == 0o600
    finally:
        run_here(env, "backend", "stop")
