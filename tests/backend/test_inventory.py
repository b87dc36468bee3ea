"""Sizes, notes and leftovers of environments on disk."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from fal_serverless.backend import inventory


def test_a_file_counts_once_and_what_has_a_name_outside_is_shared(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    (folder / "deep").mkdir(parents=True)
    (folder / "own").write_bytes(b"x" * 8192)
    os.link(folder / "own", folder / "deep" / "same")
    (tmp_path / "cache").write_bytes(b"x" * 4096)
    os.link(tmp_path / "cache", folder / "linked")
    (folder / "link").symlink_to(tmp_path / "cache")
    size = inventory.measure(folder)
    assert size.shared == 4096
    assert 8192 + 4096 <= size.total < 8192 + 4096 + 1024


def test_one_without_a_note_is_told_from_its_folder(tmp_path: Path) -> None:
    half = tmp_path / "abc"
    half.mkdir()
    found = inventory.read(half)
    assert (found.key, found.python_version, found.requirements) == ("abc", "", ())
    assert not found.complete and found.created_at <= datetime.now(UTC)


def test_the_note_of_an_older_release_is_in_its_marker(tmp_path: Path) -> None:
    folder = tmp_path / "abc"
    folder.mkdir()
    note = {"python": "3.12", "requirements": ["flask"]}
    (folder / inventory.MARKER).write_text(json.dumps(note))
    found = inventory.read(folder)
    assert (found.python_version, found.requirements, found.complete) == ("3.12", ("flask",), True)


def test_newest_use_first_and_nothing_that_is_none(tmp_path: Path) -> None:
    for name, at in (("old", 1000), ("new", 2000)):
        (tmp_path / name).mkdir()
        inventory.write_note(tmp_path / name, "3.11", ["b", "a"])
        (tmp_path / name / inventory.MARKER).touch()
        os.utime(tmp_path / name / inventory.MARKER, (at, at))
    (tmp_path / ".old.lock").touch()
    inventory.set_aside(_folder(tmp_path / "gone"))
    found = inventory.environments(tmp_path)
    assert [one.key for one in found] == ["new", "old"]
    assert found[0].requirements == ("b", "a")
    assert len(inventory.abandoned(tmp_path)) == 1
    assert inventory.environments(tmp_path / "missing") == []


def test_wiping_frees_what_is_not_shared(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "env")
    (folder / "own").write_bytes(b"x" * 4096)
    (tmp_path / "cache").write_bytes(b"x" * 4096)
    os.link(tmp_path / "cache", folder / "linked")
    assert inventory.wipe(folder) == 4096
    assert not folder.exists() and (tmp_path / "cache").exists()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
