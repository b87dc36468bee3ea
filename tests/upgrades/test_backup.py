"""`backend backup` and `backend restore`, as people run them."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from cli.conftest import run_here
from fal_serverless.backend import archive as room
from running import RunningBackend, StartBackend
from serving import serve

FILES = "texts.py"


def call(backend: RunningBackend, label: str, key: str = "") -> str:
    headers = {"Authorization": f"Key {key}"} if key else {}
    answer = httpx.post(
        f"{backend.url}/1/{label}",
        json={"text": "ab"},
        headers=headers,
        timeout=60,
        trust_env=False,
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json())


@pytest.fixture(scope="module")
def kept(backends: StartBackend, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A backup taken from a backend at work, and a key that it had given out."""
    backend = backends()
    file = tmp_path_factory.mktemp("backup") / "fal.backup"

    async def prepare() -> str:
        async with backend.client() as client:
            await serve(backend, client, FILES, "call_text", "texts", "private")
            await serve(backend, client, FILES, "call_text", "texts")
            made = await client.generate_key("API", "theirs")
            return f"{made.key.id}:{made.secret}"

    key = asyncio.run(prepare())
    ran = run_here(backend.env, "backend", "backup", file)
    assert ran.code == 0, ran.err
    assert ran.out.startswith(f"Backed up 2 revisions to {file} (")
    assert backend.process.poll() is None and call(backend, "texts", key) == "ab"
    return file, key


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Of a machine where nothing is yet."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("FAL_")}
    return found | {"FAL_SERVERLESS_HOME": str(tmp_path / "home")}


def test_another_machine_serves_what_was_backed_up(
    kept: tuple[Path, str], env: dict[str, str], tmp_path: Path, backends: StartBackend
) -> None:
    file, key = kept
    ran = run_here(env, "backend", "restore", file)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Restored 2 revisions of ")
    backend = backends(tmp_path / "home")
    assert call(backend, "texts", key) == "ab"
    listed = run_here(backend.env, "alias", "history", "texts", "--json")
    assert [move["reason"] for move in json.loads(listed.out)] == ["serve", "serve"]


def test_it_holds_no_secret_and_is_for_its_owner_only(kept: tuple[Path, str]) -> None:
    file, key = kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = key.partition(":")[2].encode()
    with zipfile.ZipFile(file) as archive:
        assert not any(secret in archive.read(name) for name in archive.namelist())
        assert "credentials.toml" not in archive.namelist()


def test_what_is_there_is_overwritten_only_when_told(
    kept: tuple[Path, str], tmp_path: Path, backends: StartBackend
) -> None:
    file, key = kept
    backend = backends(tmp_path / "home")
    ran = run_here(backend.env, "backend", "restore", file, "--overwrite")
    assert ran.code == 1 and "stop it first" in ran.err
    backend.stop()
    before = (tmp_path / "home/state/registry.db").read_bytes()
    ran = run_here(backend.env, "backend", "restore", file)
    assert ran.code == 1 and "--overwrite" in ran.err and len(ran.err.splitlines()) == 1
    assert (tmp_path / "home/state/registry.db").read_bytes() == before
    assert run_here(backend.env, "backend", "restore", file, "--overwrite").code == 0
    again = backends(tmp_path / "home")
    assert call(again, "texts", key) == "ab"
    # The key of this machine that the old state knew opens nothing: there is a new one.
    assert run_here(again.env, "alias", "list").code == 0


def test_a_state_that_cannot_be_read_makes_room(
    kept: tuple[Path, str], env: dict[str, str], tmp_path: Path, backends: StartBackend
) -> None:
    state = tmp_path / "home/state"
    state.mkdir(parents=True)
    (state / "registry.db").write_bytes(b"damaged" * 1000)
    (state / "registry.db-wal").write_bytes(b"of it")
    assert run_here(env, "backend", "restore", kept[0], "--overwrite").code == 0
    assert not (state / "registry.db-wal").exists()
    assert [path.read_bytes()[:7] for path in state.glob("registry.db.damaged-*[!l]")] == [
        b"damaged"
    ]
    assert call(backends(tmp_path / "home"), "texts", kept[1]) == "ab"


Harm = Callable[[dict[str, bytes]], object]


def rewritten(source: Path, target: Path, harm: Harm) -> Path:
    """The archive, with something else in it."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    harm(members)
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def said(content: dict[str, bytes], **change: object) -> None:
    content[room.CONTENTS] = json.dumps({**json.loads(content[room.CONTENTS]), **change}).encode()


def list_also(members: dict[str, bytes], name: str) -> None:
    """A file that it holds and tells of truly."""
    import hashlib

    members[name] = b"x"
    listed = json.loads(members[room.CONTENTS])["members"]
    listed[name] = {"size": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    said(members, members=listed)


def truncate_registry(members: dict[str, bytes]) -> None:
    import hashlib

    members["registry.db"] = cut = members["registry.db"][:5000]
    listed = json.loads(members[room.CONTENTS])["members"]
    listed["registry.db"] = {"size": len(cut), "sha256": hashlib.sha256(cut).hexdigest()}
    said(members, members=listed)


HARMS: dict[str, tuple[Harm, str]] = {
    "a changed byte": (
        lambda m: m.update({"registry.db": m["registry.db"][:-1] + b"?"}),
        "damaged",
    ),
    "a missing file": (lambda m: m.pop("registry.db"), "other files than it lists"),
    "a file too many": (lambda m: m.update({"more": b"x"}), "other files than it lists"),
    "a way out": (lambda m: list_also(m, "../../evil"), "no part of a state"),
    "a deeper way out": (
        lambda m: list_also(m, f"revisions/{'0' * 36}/../x"),
        "no part of a state",
    ),
    "an absolute path": (lambda m: list_also(m, "/tmp/evil"), "no part of a state"),
    "a key file": (lambda m: list_also(m, "credentials.toml"), "no part of a state"),
    "no list": (lambda m: m.pop(room.CONTENTS), "not a whole backup"),
    "a list of nothing": (lambda m: m.update({room.CONTENTS: b"[" * 100_000}), "cannot be read"),
    "a newer format": (lambda m: said(m, format=99), "newer version"),
    "a newer schema": (lambda m: said(m, schema="0999"), "newer version"),
    "another schema": (lambda m: said(m, schema="x"), "none of this program's"),
    "a cut registry": (truncate_registry, "registry"),
}


@pytest.mark.parametrize("name", HARMS)
def test_what_is_not_whole_changes_nothing(
    kept: tuple[Path, str], env: dict[str, str], tmp_path: Path, name: str
) -> None:
    harm, reason = HARMS[name]
    file = rewritten(kept[0], tmp_path / "harmed", harm)
    ran = run_here(env, "backend", "restore", file)
    assert ran.code == 1, ran.out
    assert reason in ran.err and len(ran.err.splitlines()) == 1
    assert not (tmp_path / "home/state/registry.db").exists()
    assert not list((tmp_path / "home").rglob("*evil*")) and not list(tmp_path.rglob(".restore-*"))


def test_a_file_that_grows_out_of_bounds_is_not_unpacked(
    kept: tuple[Path, str], env: dict[str, str], tmp_path: Path
) -> None:
    """No more is read of a member than it is said to have."""

    def bomb(members: dict[str, bytes]) -> None:
        members["registry.db"] = bytes(50 * 1024**2)

    file = rewritten(kept[0], tmp_path / "bomb", bomb)
    assert "damaged" in run_here(env, "backend", "restore", file).err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"x" * 5000])
def test_what_is_no_backup_is_told_so(env: dict[str, str], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    ran = run_here(env, "backend", "restore", tmp_path / "file")
    assert ran.code == 1 and "is not a whole backup" in ran.err


def test_a_backup_takes_the_place_of_an_older_one_and_of_nothing_else(
    kept: tuple[Path, str], env: dict[str, str], tmp_path: Path
) -> None:
    assert run_here(env, "backend", "restore", kept[0]).code == 0
    program, older, link = (tmp_path / name for name in ("app.py", "older", "newest"))
    program.write_text("print('mine')")
    ran = run_here(env, "backend", "backup", program)
    assert ran.code == 1 and f"{program} is there, and is no backup" in ran.err
    assert program.read_text() == "print('mine')"
    older.touch()
    link.symlink_to(older)
    for _ in range(2):
        assert run_here(env, "backend", "backup", link).code == 0
    assert link.is_symlink() and zipfile.is_zipfile(older)


def test_nothing_to_back_up_is_told(env: dict[str, str], tmp_path: Path) -> None:
    ran = run_here(env, "backend", "backup", tmp_path / "file")
    assert ran.code == 5 and "no backend ran there yet" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_registry_on_a_server_has_tools_of_its_own(env: dict[str, str], tmp_path: Path) -> None:
    env = env | {"FAL_SERVERLESS_DATABASE_URL": "postgresql://x/y"}
    ran = run_here(env, "backend", "backup", tmp_path / "file")
    assert ran.code == 1 and "pg_dump" in ran.err


async def test_a_backup_is_of_one_moment(
    backends: StartBackend, tmp_path: Path, env: dict[str, str]
) -> None:
    """While revisions come and go, every one that the copy names is there with its bundle."""
    backend = backends()
    async with backend.client() as client:
        await serve(backend, client, FILES, "call_text", "stays")

        async def churn() -> None:
            for _ in range(4):
                served = await serve(backend, client, FILES, "call_text")
                await client.delete_revision(served.revision.id)

        busy = asyncio.create_task(churn())
        taken = 0
        while not busy.done() or not taken:
            file = tmp_path / f"backup-{taken}"
            await asyncio.to_thread(room.backup, backend.config, file)
            with zipfile.ZipFile(file) as archive:
                assert room.check(archive).revisions >= 1
                (tmp_path / "copy.db").write_bytes(archive.read("registry.db"))
                with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
                    rows = copy.execute("SELECT id FROM revisions WHERE state <> 'pending'")
                    named = {row[0] for row in rows}
                names = archive.namelist()
                assert named == {
                    name.split("/")[1] for name in names if name.endswith("/bundle.json")
                }
            taken += 1
        await busy
