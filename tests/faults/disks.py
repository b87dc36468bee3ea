"""A disk that is full or read-only: the state folder lies on a small file system of its own."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fal_serverless.errors import FalError
from faults.ledger import BODY
from faults.stage import Skip, Stage
from faults.suite import fault

OPTIONS = ("-o", f"size={96 << 20},mode=700")
"""Bytes of the file system, and whose it is."""


def _run(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@asynccontextmanager
async def small_disk(stage: Stage) -> AsyncIterator[Path]:
    """The state folder on it."""
    stage.state.mkdir(mode=0o700)
    if os.geteuid() or not _run("mount", "-t", "tmpfs", *OPTIONS, "tmpfs", str(stage.state)):
        raise Skip("only root can mount a file system")
    try:
        yield stage.state
    finally:
        await stage.close()
        _run("umount", "-l", str(stage.state))


@asynccontextmanager
async def full(folder: Path) -> AsyncIterator[None]:
    """Not a byte is left while this is open."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        yield
    ballast.unlink()


def _is_told(stage: Stage, what: str, error: BaseException | None) -> None:
    """An error, in one line that says that it is the disk."""
    said = error.message if isinstance(error, FalError) else repr(error)
    is_clear = (
        isinstance(error, FalError)
        and "\n" not in said
        and ("full" in said or "No space left" in said)
    )
    stage.expect(is_clear, f"{what} on a full disk: {said}")


@fault("disk full in a serve, key change and log write", 2, quick=True)
async def full_disk(stage: Stage) -> None:
    async with small_disk(stage) as folder:
        await stage.open()
        await stage.serve("talks")
        async with full(folder), stage.client() as client:
            # SQLite's log has room for a change or two that was made before.
            for kind in ("serve", "key", "auth", "rollback"):
                for _ in range(40):
                    error = await stage.ledger.change(kind, client)
                    if error is not None:
                        _is_told(stage, kind, error)
                        break
            answer = await client.invoke("talks", b'{"first": 0, "count": 1000}')
            stage.expect(answer.status == 200, f"talks: {answer}"[:400])
            answer = await client.invoke("changing", BODY)
            stage.expect(answer.status == 200, f"changing: {answer}"[:400])
        async with stage.client() as client:
            for kind in ("serve", "key", "auth", "rollback"):
                error = await stage.ledger.change(kind, client)
                stage.expect(error is None, f"{kind} with room again: {error}")
        await stage.settle()


@fault("disk full in a build", 2)
async def full_in_build(stage: Stage) -> None:
    async with small_disk(stage) as folder:
        await stage.open()
        async with full(folder):
            (came,) = await asyncio.gather(stage.serve("built"), return_exceptions=True)
            _is_told(stage, "a build", came if isinstance(came, BaseException) else None)
        await stage.serve("built")
        await stage.settle()


@fault("disk full at the start", 2)
async def full_at_start(stage: Stage) -> None:
    async with small_disk(stage) as folder:
        await stage.open()
        stage.crash()
        async with full(folder):
            stage.starts_or_says("state")
        await stage.start()
        await stage.settle()


@fault("disk full at the first start", 1)
async def full_at_first_start(stage: Stage) -> None:
    async with small_disk(stage) as folder:
        async with full(folder):
            stage.starts_or_says("state")
        await stage.open()
        await stage.settle()


@fault("state folder read-only", 1)
async def read_only(stage: Stage) -> None:
    async with small_disk(stage) as folder:
        await stage.open()
        stage.crash()
        await _remount(folder, "ro")
        stage.refused("read-only", str(folder))
        await _remount(folder, "rw")
        await stage.start()
        await stage.settle()


async def _remount(folder: Path, how: str) -> None:
    """What was killed may hold a file for a moment longer."""
    for _ in range(100):
        if _run("mount", "-o", f"remount,{how}", str(folder)):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{folder} cannot be remounted")
