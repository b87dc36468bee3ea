"""What a sweep takes for a worker's, and what it lets be."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from fal_serverless.backend.engine import survivors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "w-1"
    made.mkdir()
    return made


def test_a_session_with_the_same_number_is_somebody_elses(folder: Path) -> None:
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    (folder / survivors.RECORD).write_text(f"{other.pid} 1")
    assert survivors.sweep([folder]) == []
    survivors.record(folder, other.pid)
    assert survivors.sweep([folder]) == [other.pid]
    assert other.wait() == -signal.SIGKILL


@pytest.mark.parametrize("trace", ["mark", "folder"])
def test_a_mark_or_the_folder_is_enough(folder: Path, trace: str) -> None:
    environ = {survivors.MARK: "w-1"} if trace == "mark" else {}
    below = folder / "work"
    below.mkdir()
    one = subprocess.Popen(["sleep", "60"], env=environ, cwd="/" if trace == "mark" else below)
    other = subprocess.Popen(["sleep", "60"], env={survivors.MARK: "w-11"})
    assert survivors.sweep([folder]) == [one.pid]
    assert one.wait() == -signal.SIGKILL and other.poll() is None
    other.kill()
    other.wait()


def test_there_may_be_no_folder(tmp_path: Path) -> None:
    assert survivors.sweep([]) == [] == survivors.sweep([tmp_path / "w-none"])
