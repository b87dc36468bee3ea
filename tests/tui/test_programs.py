"""What other programs say and change, and what is written into files for them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fal_tui.bound import Bound
from fal_tui.flows import programs, saved


class Host:
    """As much as these flows need of one."""

    def __init__(self) -> None:
        self.app = None
        self.keys = Bound()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize("changed", ["", "print('other')\n"])
def test_what_is_changed_in_a_copy_is_kept_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    seen: list[int] = []

    def editor(_: Any, words: list[str]) -> str:
        copy = Path(words[-1])
        seen.append(copy.stat().st_mode & 0o777)
        if changed:
            copy.unlink()  # as editors do that write aside and rename
            copy.write_text(changed)
        return ""

    host: Any = Host()
    monkeypatch.setattr(programs.foreground, "run", editor)
    monkeypatch.chdir(tmp_path)
    assert programs._open_copy(host, "app.py", "print('served')\n") == ""
    kept = [path.read_text() for path in tmp_path.glob("edited-*-app.py")]
    assert (seen, kept) == ([0o400], [changed] if changed else [])
    assert len(host.said) == len(kept)


async def test_of_a_long_output_the_end_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MOST", 10)
    stdout = asyncio.StreamReader()
    stdout.feed_data(b"first" + b"." * 20 + b"last one")
    stdout.feed_eof()
    assert await programs._output(SimpleNamespace(stdout=stdout)) == "..last one"


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1+2", "@SUM(A1)"])
def test_no_cell_of_a_saved_list_is_a_formula(cell: str) -> None:
    assert saved._harmless(cell) == f"'{cell}"
    assert [saved._harmless(each) for each in ("-", "a=1", "")] == ["-", "a=1", ""]
