"""What stdout and stderr are given."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fal_serverless.cli import output


def test_columns_are_aligned_and_nothing_is_cut() -> None:
    rows = [("call", "x" * 200), ("日本", "y")]
    assert output.render_table(("Alias", "Revision"), rows).splitlines() == [
        "Alias  Revision", "call   " + "x" * 200, "日本   y",
    ]  # fmt: skip


def test_a_table_without_rows_is_its_headings() -> None:
    assert output.render_table(("A", "B"), []) == "A  B"


def test_of_an_empty_list_the_next_step_is_said_beside_the_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table(("A", "B"), [], "Nothing yet; make one")
    output.table(("A", "B"), [("a", "b")], "Nothing yet; make one")
    assert capsys.readouterr() == ("A  B\nA  B\na  b\n", "Nothing yet; make one\n")


def test_cells_are_words(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("a", "b", "c", "d"), [(True, None, ("x", "y"), "two\nlines")])
    assert capsys.readouterr().out.splitlines()[1] == "yes     x, y  two lines"


def test_pairs_leave_out_what_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    output.pairs([("Name", "call"), ("Message", ""), ("Long name", 0)])
    assert capsys.readouterr().out == "Name:       call\nLong name:  0\n"


def test_control_characters_are_spelled_out_but_colours_stay() -> None:
    assert output.printable("\x1b[31mred\x1b[0m \x1b[2J\x07\ttab") == (
        "\x1b[31mred\x1b[0m \\x1b[2J\\x07\ttab"
    )
    assert output.printable("\x9b2J \u202eabc\u202c \u05d0\u05d1 \U0001f468\u200d\U0001f467") == (
        "\\x9b2J \\u202eabc\\u202c \u05d0\u05d1 \U0001f468\u200d\U0001f467"
    )


def test_json_has_no_control_characters_and_means_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    value = {"text": "\x9b2J \u202eabc \x7f \x1b[31m \u05d0"}
    for show in (output.values, output.value_line):
        show(value)
        text = capsys.readouterr().out
        assert "\\u009b2J \\u202eabc \\u007f \\u001b[31m \u05d0" in text
        assert json.loads(text) == value


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    output.error("two\n  lines")
    assert capsys.readouterr().err == "Error: two lines\n"


def test_times_are_local_with_milliseconds() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=UTC)
    shown = output.local_time(moment, milliseconds=True)
    assert shown == moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") + ".006"
