"""The pure parts of the widgets: columns, rows, filters, paths, phases, clipboard, JSON."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from pathlib import Path

import pytest

from fal_tui.logs.parts import json_in
from fal_tui.widgets import paths
from fal_tui.widgets.clipboard import MOST, cut, wrapped
from fal_tui.widgets.columns import Column, fit
from fal_tui.widgets.filtering import matcher
from fal_tui.widgets.layout import Layout
from fal_tui.widgets.paths import choice, place, typed_for
from fal_tui.widgets.phases import Progress
from fal_tui.widgets.rows import Order, Row, nearest, sorted_rows


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("", ["call_text", "Call", "site"]),
        ("call", ["call_text", "Call"]),
        ("Call", ["Call"]),
        ("^c.*t$", ["call_text"]),
        ("!call", ["site"]),
        ("-f ctt", ["call_text"]),
        ("!-f st", ["call_text", "Call"]),
        ("[", []),
        ("(", []),
    ],
)
def test_what_a_filter_matches(text: str, matching: list[str]) -> None:
    found = matcher(text)
    assert [name for name in ("call_text", "Call", "site") if found(name)] == matching


def test_what_is_no_expression_is_looked_for_as_it_stands() -> None:
    assert matcher("f(x[")("call f(x[0])")


def test_the_least_important_column_goes_first_and_one_always_stays() -> None:
    columns = [Column("a", "A", priority=1), Column("b", "B", 10), Column("c", "C", priority=2)]
    natural = [20, 10, 20]
    shown = [[placed.index for placed in fit(columns, natural, w)] for w in (60, 46, 35, 18, 3)]
    assert shown == [[0, 1, 2], [0, 1, 2], [0, 2], [2], [2]]


def test_room_that_a_wide_column_leaves_goes_to_a_narrow_one() -> None:
    columns = [Column("a", "A", priority=9), Column("b", "B", priority=5), Column("c", "C", 4)]
    assert [placed.index for placed in fit(columns, [9, 30, 4], 20)] == [0, 2]


def test_a_wide_column_shrinks_before_it_goes() -> None:
    columns = [Column("a", "A", width=20, priority=9), Column("b", "B", priority=5)]
    assert [placed.width for placed in fit(columns, [20, 48], 38)] == [20, 16]
    assert [placed.width for placed in fit(columns, [20, 48], 37)] == [20]


def test_the_count_of_dropped_columns_takes_no_room_from_cells_below_it() -> None:
    columns = [Column("a", "A", width=4, priority=1), Column("b", "B", priority=5)]
    for align, width in (("left", 16), ("right", 13)):
        layout = Layout([columns[0], replace(columns[1], align=align)])
        (placed,) = layout.place([Row("1", ("a", "b" * 40))], range(1), 16, None)
        assert placed.width == width and layout.dropped == "+1"


def test_a_dropped_column_is_back_when_another_is_no_longer_wide() -> None:
    layout = Layout([Column("a", "A", priority=1), Column("b", "B")])
    for cells, shown in ((("x" * 30, "y" * 8), 1), (("x" * 4, "y" * 8), 2)):
        layout.look_again()
        assert len(layout.place([Row("1", cells)], range(1), 20, None)) == shown


@pytest.mark.parametrize("total", range(1, 80, 7))
def test_columns_never_overflow(total: int) -> None:
    columns = [Column(str(n), "LABEL", priority=n % 3) for n in range(5)]
    placed = fit(columns, [12, 40, 5, 9, 30], total)
    assert sum(one.width for one in placed) + 2 * (len(placed) - 1) <= total


def test_rows_without_a_value_come_last_either_way() -> None:
    rows = [Row(str(n), (str(n),), (value,)) for n, value in enumerate([2, None, "b", 1, "A"])]
    assert [row.id for row in sorted_rows(rows, Order(0))] == ["3", "0", "4", "2", "1"]
    assert sorted_rows(rows, Order(0, flipped=True))[-1].id == "1"
    assert sorted_rows(rows, None) == rows


def test_the_nearest_row_is_the_next_one_that_stayed() -> None:
    rows = [Row(id, (id,)) for id in "abcd"]
    assert nearest(rows, 1, {"a", "d"}) == "d"
    assert nearest(rows, 3, {"a", "b"}) == "b"
    assert nearest(rows, 0, set()) is None


def test_paths_are_offered_as_they_are_typed(tmp_path: Path) -> None:
    (tmp_path / "sub" / "__pycache__").mkdir(parents=True)
    (tmp_path / "sub" / "my_app.py").write_text(
        "from fal_serverless import isolated\n@isolated(serve=True)\ndef f(): pass\n"
    )
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "notes.txt").write_text("")
    recent = tmp_path / "sub" / "my_app.py"
    kinds = [(one.kind, one.path.name) for one in choice("", tmp_path, [recent]).entries]
    assert kinds == [("recent", "my_app.py"), ("folder", "sub"), ("up", tmp_path.parent.name)]
    assert [one.kind for one in choice("", recent.parent, [recent]).entries] == ["recent", "up"], (
        "once"
    )
    (found,) = choice("sub/app", tmp_path, [recent]).entries
    assert (found.kind, found.functions) == ("file", ("f",))
    assert [one.path.name for one in choice(".", tmp_path, []).entries] == [".hidden"]
    assert (
        choice("nowhere/", tmp_path, []).entries == choice("nowhere/", tmp_path, [recent]).entries
    )


def test_what_is_not_listed_is_counted_and_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for number in range(paths.MOST + 7):
        (tmp_path / "many" / f"f{number}.py").touch()
    found = choice("many/", tmp_path, [])
    assert (len(found.entries), found.left_out, found.problem) == (paths.MOST + 1, 7, "")
    missing = choice("sub/app", tmp_path, [])
    assert missing.problem == "No such file or directory: sub/"
    no_folder = choice("many/f0.py/", tmp_path, [])
    assert no_folder.problem == "Not a directory: many/f0.py/"


def test_a_typed_path_and_a_path_typed(tmp_path: Path) -> None:
    assert place("sub/a", tmp_path) == (tmp_path / "sub", "a")
    assert place("../a", tmp_path) == (tmp_path.parent, "a")
    assert place("/etc/ho", tmp_path) == (Path("/etc"), "ho")
    assert place("~/x", tmp_path) == (Path.home(), "x")
    assert typed_for(tmp_path / "sub", tmp_path, folder=True) == "sub/"
    assert typed_for(Path("/"), tmp_path, folder=True) == "/"


def test_a_phase_ends_when_the_next_begins() -> None:
    progress = Progress().enter("bundle", "", 1).enter("upload", "1 KiB", 3)
    progress = progress.enter("upload", "2 KiB", 4).end(9, failed=True)
    assert [(step.phase, step.began, step.ended) for step in progress.steps] == [
        ("bundle", 1, 3),
        ("upload", 3, 9),
    ]
    assert (progress.seconds(100), progress.failed, progress.running) == (8, True, False)


def test_a_long_text_is_cut_at_the_end_of_a_line() -> None:
    text = "\n".join(["0123456789"] * 20_000)
    assert len(cut(text)) <= MOST
    assert set(cut(text).split("\n")) == {"0123456789"}
    assert len(cut("é" * MOST).encode()) <= MOST


def test_tmux_gets_the_sequence_wrapped() -> None:
    sequence = wrapped("text")
    assert sequence.startswith("\x1bPtmux;\x1b\x1b]52;c;") and sequence.endswith("\x07\x1b\\")
    assert b64decode(sequence.split(";")[-1].rstrip("\x07\x1b\\")) == b"text"


def test_json_is_found_in_a_line() -> None:
    assert json_in('{"a": [1]}') == {"a": [1]}
    assert json_in('got [x] {"a": {"b": 2}}') == {"a": {"b": 2}}
    assert json_in("items [1, 2]") == [1, 2]
    for text in ("no", "{", "[]", "{}", "a {b} c", "[" * 100_000):
        assert json_in(text) is None
