"""The recording's pictures: every row once, each frame for its time, text as it was."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.append(str(Path(__file__).parents[2] / "screenshots"))

import make  # type: ignore[import-not-found]
from film import Frame, svg  # type: ignore[import-not-found]

LOOK = ("#ffffff", "#000000", False, False)


def row(text: str) -> tuple[tuple[str, tuple[str, str, bool, bool]], ...]:
    return tuple((character, LOOK) for character in text)


def test_rows_that_stay_are_drawn_once_and_text_is_literal() -> None:
    head, one, two = row("<&> a "), row("  one "), row("  two ")
    frames = [Frame((head, one), 1.0), Frame((head, two), 3.0)]
    text = svg(frames, 6, "#000000", "a & b")
    root = ElementTree.fromstring(text)
    said = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert said == ["<&> a", "one", "two"]
    assert "25.0000%{transform" in text and "animation:m 4.00s" in text


def test_without_a_frame_there_is_no_film() -> None:
    with pytest.raises(ValueError, match="no frame"):
        svg([], 80, "#000000", "")


@pytest.mark.parametrize("words", [["--help"], ["folder", "nonsense"]])
def test_what_is_no_picture_draws_none(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        make.main(words)
    assert not list(tmp_path.iterdir())
