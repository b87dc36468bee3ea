"""Files of the state that are not what they were: cut, overwritten, of a newer version, gone."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from faults.kills import answers, end, roles
from faults.ledger import BODY
from faults.stage import Stage
from faults.suite import fault


async def _stopped(stage: Stage) -> None:
    """A backend that was at work, and ended in order."""
    await stage.open()
    await stage.stop()


async def _refused_until_mended(stage: Stage, path: Path, content: bytes, *words: str) -> None:
    """The start says in a line what is wrong; with what was there before, all is as it was."""
    good = path.read_bytes() if path.exists() else None
    path.write_bytes(content)
    stage.refused(path.name, *words)
    stage.expect(path.read_bytes() == content, f"{path.name} was touched")
    if good is None:
        path.unlink()
    else:
        path.write_bytes(good)
    await stage.start()
    await stage.settle()


@fault("registry.db is no database", 1)
async def registry_is_none(stage: Stage) -> None:
    await _stopped(stage)
    await _refused_until_mended(
        stage, stage.state / "registry.db", b"no database " * 999, "damaged"
    )


@fault("registry.db is cut", 1)
async def registry_is_cut(stage: Stage) -> None:
    await _stopped(stage)
    path = stage.state / "registry.db"
    await _refused_until_mended(
        stage, path, path.read_bytes()[: path.stat().st_size // 2], "damaged"
    )


@fault("registry.db has damaged pages", 3)
async def registry_is_damaged(stage: Stage) -> None:
    await _stopped(stage)
    path = stage.state / "registry.db"
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = stage.chance.randbytes(64)
    await _refused_until_mended(stage, path, bytes(data), "damaged")


@fault("registry.db is of a newer version", 1)
async def registry_is_newer(stage: Stage) -> None:
    await _stopped(stage)
    path = stage.state / "registry.db"
    good = path.read_bytes()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    stage.refused("9999", "newer")
    path.write_bytes(good)
    await stage.start()
    await stage.settle()


@fault("credentials.toml is damaged", 1)
async def credentials(stage: Stage) -> None:
    await _stopped(stage)
    path = stage.home / "credentials.toml"
    for content in (b"\xff\xfe\x00", b"[contexts", b"contexts = 3", b"[contexts]\nlocal = 3"):
        await _refused_until_mended(stage, path, content)
        await stage.stop()


@fault("config.toml is damaged", 1)
async def settings(stage: Stage) -> None:
    await _stopped(stage)
    path = stage.home / "config.toml"
    for content in (b"\xff\xfe\x00", b"port = ", b"contexts = 3", b"port = []", b"port = 99999"):
        await _refused_until_mended(stage, path, content)
        await stage.stop()


@fault("backend.json is damaged", 1)
async def record(stage: Stage) -> None:
    """It counts as none."""
    await _stopped(stage)
    for content in (b"\xff\xfe", b"[]", b'{"pid": "x"}', b""):
        (stage.state / "backend.json").write_bytes(content)
        await stage.start()
        await stage.settle()
        await stage.stop()


@fault("bundle of a revision is damaged", 3)
async def bundle(stage: Stage) -> None:
    """That one says so, in a line; all others answer."""
    await _stopped(stage)
    broken = stage.ledger.moves[0][1]
    folder = stage.state / "revisions" / broken
    kept = stage.home.parent / f"{stage.home.name}-kept"
    shutil.copytree(folder, kept)
    try:
        name = stage.chance.choice(["function.pickle", "sources.zip", "gone"])
        if name == "gone":
            shutil.rmtree(folder)
        else:
            shutil.rmtree(folder / "sources", ignore_errors=True)
            (folder / name).write_bytes(b"PK nothing")
        await stage.start()
        async with stage.client() as client:
            answer = await client.invoke(broken, BODY)
            said = answer.body.decode()
            is_told = (
                answer.status in (500, 502) and "Internal" not in said and "error_type" in said
            )
            stage.expect(is_told, f"{name}: {answer.status} {said[:600]}")
            answer = await client.invoke("changing", BODY)
            stage.expect(answer.status == 200, f"changing: {answer}"[:400])
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)
        await stage.settle()
    finally:
        shutil.rmtree(kept)


@fault("environment half deleted", 3, quick=True)
async def environment(stage: Stage) -> None:
    """What is gone is made again."""
    await stage.open()
    await stage.serve("built")
    await stage.stop()
    for folder in (stage.state / "environments").glob("[0-9a-f]*"):
        halves = [folder / "bin", folder / "lib", folder / "pyvenv.cfg", folder / ".complete"]
        for half in stage.chance.sample(halves, 2):
            shutil.rmtree(half) if half.is_dir() else half.unlink()
    await stage.start()
    await answers(stage, "built")
    await stage.settle()


@fault("environment deleted under a running backend", 2)
async def environment_while_running(stage: Stage) -> None:
    await stage.open()
    await stage.serve("cold")
    for folder in (stage.state / "environments").glob("[0-9a-f]*"):
        shutil.rmtree(folder)
    for pid in roles(stage)["template"]:
        end(pid)
    await answers(stage, "cold")
    await answers(stage, "cold")
    await stage.settle()
