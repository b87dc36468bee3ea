from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fal_serverless import overlay
from fal_serverless.overlay import made_whole, pure_overlay

PYENV = Path.home() / ".pyenv" / "versions"
PYTHONS = [sys.executable, *sorted(str(p) for p in PYENV.glob("3.[!67]*/bin/python"))]

USE = """
import sys
sys.path.append(sys.argv[1])
import cloudpickle
from fal_serverless import IsolatedFunction, isolated

@isolated(serve=True, requirements=["flask"])
def double(x):
    return 2 * x

assert isinstance(double, IsolatedFunction) and double.options.serve
print(cloudpickle.loads(cloudpickle.dumps(lambda x: double(x) + 1))(20))
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_any_python_can_use_it(tmp_path: Path, python: str) -> None:
    folder = pure_overlay(tmp_path)
    done = subprocess.run(
        [python, "-I", "-S", "-c", USE, str(folder)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("41\n", "")


def test_it_is_made_once(tmp_path: Path) -> None:
    first = pure_overlay(tmp_path)
    made = first.stat().st_ino
    assert pure_overlay(tmp_path) == first
    assert first.stat().st_ino == made


def test_other_content_gets_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pure_overlay(tmp_path)
    monkeypatch.setattr(overlay, "STUB", overlay.STUB + "\nNEW = True\n")
    assert pure_overlay(tmp_path) != first


def test_many_who_make_it_at_once_get_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        folders = set(threads.map(lambda _: pure_overlay(tmp_path), range(16)))
    assert len(folders) == 1
    assert [p.name for p in (tmp_path / "overlay").iterdir()] == [folders.pop().name]


def test_a_failed_one_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), made_whole(tmp_path / "place" / "it") as aside:
        assert aside is not None
        (aside / "half").write_text("")
        raise RuntimeError("stop")
    assert list((tmp_path / "place").iterdir()) == []
