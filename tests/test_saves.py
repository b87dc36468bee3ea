"""What counts as a save of a file and of what it reaches."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from bundles import HEAD, Write
from fal_serverless.source import Saves

TEXT = HEAD + "import beside\n@isolated(serve=True)\ndef f() -> int:\n    return beside.N\n"


@pytest.fixture
def path(write: Write) -> Path:
    write("N = 1\n", "beside.py")
    return write(TEXT)


@pytest.fixture
def saves(path: Path) -> Saves:
    return Saves(path, poll=0.01)


async def changed(saves: Saves) -> list[str]:
    return await asyncio.wait_for(saves.next(), 10)


async def test_only_another_content_counts(saves: Saves, path: Path, write: Write) -> None:
    os.utime(path.with_name("beside.py"), (1, 1))
    write(TEXT)
    write("", "other.py")
    waiting = asyncio.ensure_future(saves.next())
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    write("N = 2\n", "beside.py")
    assert await asyncio.wait_for(waiting, 10) == ["beside.py"]


def test_data_files_are_not_watched(write: Write, tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    for name in ("__init__.py", "cache.json"):
        (tmp_path / "beside" / name).touch()
    assert Saves(write(TEXT)).watched == ["app.py", "beside/__init__.py"]


async def test_a_file_that_is_gone_or_broken_for_a_moment_is_still_watched_with_all_it_reached(
    saves: Saves, path: Path, write: Write
) -> None:
    write("def (")
    assert await changed(saves) == ["app.py"]
    assert saves.watched == ["app.py", "beside.py"]
    path.unlink()
    assert await changed(saves) == ["app.py"]
    write("N = 2\n", "beside.py")
    assert await changed(saves) == ["beside.py"]
    write(TEXT)
    assert await changed(saves) == ["app.py"]
