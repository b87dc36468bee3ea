"""Calls kept over a restart: per context and function, in a private file, without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fal_tui.flows.calls import RECENTS, recents, remember
from fal_tui.remembered import FUNCTIONS, LONGEST, Remembered, carries_secret
from fal_tui.screens.call import REMEMBERED, Call


def test_calls_come_back_in_the_next_session_for_that_backend_only(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "calls.json"
    first = Remembered(path, "local")
    for body in ('{"n": 1}', '{"n": 2}', '{"n": 1}'):
        first.add("f", Call(body=body))
    first.add("g", Call("PUT", "/a?b=1", "text"))
    Remembered(path, "prod").add("f", Call(body="{}"))
    again = Remembered(path, "local")
    assert [each.body for each in again.of("f")] == ['{"n": 2}', '{"n": 1}']
    assert again.of("g") == [Call("PUT", "/a?b=1", "text")]
    assert [each.body for each in Remembered(path, "prod").of("f")] == ["{}"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_programs_at_once_do_not_forget_each_others_calls(tmp_path: Path) -> None:
    one, other = (Remembered(tmp_path / "calls.json", "local") for _ in range(2))
    assert one.of("f") == other.of("f") == []
    one.add("f", Call(body="1"))
    other.add("f", Call(body="2"))
    third = Remembered(tmp_path / "calls.json", "local")
    assert [each.body for each in third.of("f")] == ["1", "2"]


def test_a_secret_is_remembered_for_the_session_and_never_written(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    kept = Remembered(path, "local")
    kept.add("f", Call(body='{"user": "ada"}'))
    kept.add("f", Call(body='{"user": "ada", "password": "hunter2"}'))
    assert len(kept.of("f")) == 2
    assert "hunter2" not in path.read_text()
    assert [each.body for each in Remembered(path, "local").of("f")] == ['{"user": "ada"}']


@pytest.mark.parametrize(
    "call",
    [
        Call(body='{"deep": [{"apiKey": "x"}]}'),
        Call(body='{"access-token": "x"}'),
        Call(body='{"headers": {"Authorization": "x"}}'),
        Call(body='{"text": "use sk-abcdefghijklmnop please"}'),
        Call(body='{"text": "Bearer abcdefghijklmnop"}'),
        Call(body='{"text": "-----BEGIN PRIVATE KEY-----"}'),
        Call(body="user=ada&password=hunter2"),
        Call(path="/x?fal_key_id=a&fal_key_secret=b"),
        Call(path="/x?token=b"),
        Call(body='{"key": "3198b628-9901-4b86-9cab-ccbb5b8d5610:abc"}'),
    ],
)
def test_what_looks_like_a_secret(call: Call) -> None:
    assert carries_secret(call)


@pytest.mark.parametrize(
    "call",
    [
        Call(body='{"max_tokens": 100, "token_count": 3}'),
        Call(body='{"text": "a token of love", "author": "ada"}'),
        Call(body='{"token": null, "password": ""}'),
        Call(path="/x?page=2", body="plain text"),
        Call(body=""),
    ],
)
def test_what_does_not(call: Call) -> None:
    assert not carries_secret(call)


def test_what_is_kept_has_bounds(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    kept = Remembered(path, "local")
    kept.add("long", Call(body="x" * (LONGEST + 1)))
    assert not path.exists()
    known = {f"f{number}": [] for number in range(FUNCTIONS)}
    calls = [{"method": "POST", "path": "/", "body": str(n)} for n in range(REMEMBERED)]
    path.write_text(json.dumps({"local": {**known, "f": calls}}))
    kept.add("f", Call(body="last"))
    found = json.loads(path.read_text())["local"]
    assert len(found) == FUNCTIONS and "f0" not in found
    assert len(found["f"]) == REMEMBERED and found["f"][-1]["body"] == "last"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"local": []}', '{"local": {"f": [1, {"body": 2}]}}', "\x00\xff"]
)
def test_a_file_that_cannot_be_read_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calls.json"
    path.write_text(text)
    kept = Remembered(path, "local")
    assert kept.of("f") == []
    kept.add("f", Call(body="1"))
    assert [each.body for each in Remembered(path, "local").of("f")] == ["1"]


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Remembered(tmp_path / "file" / "calls.json", "local")
    kept.add("f", Call(body="1"))
    assert [each.body for each in kept.of("f")] == ["1"]


def test_files_that_were_served_are_remembered_once_the_last_one_first_and_not_too_many(
    tmp_path: Path,
) -> None:
    host: Any = SimpleNamespace(config=SimpleNamespace(paths=SimpleNamespace(cache=tmp_path)))
    files = [tmp_path / f"{number}.py" for number in range(RECENTS + 2)]
    for path in (*files, files[5]):
        path.touch()
        remember(host, path)
    wanted = [files[5], *[path for path in reversed(files) if path != files[5]]][:RECENTS]
    assert recents(host) == wanted
    files[5].unlink()
    assert recents(host) == wanted[1:]
