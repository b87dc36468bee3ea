"""The line after `:`."""

from __future__ import annotations

from fal_tui.commands import Command, Words, parse, suggest

WORDS = Words(["call", "shout"], ["call", "prod"], ["call", "prod", "shout"], ["nord", "dracula"])


def test_names_and_their_short_forms_mean_the_same() -> None:
    assert parse("functions", WORDS) == parse(":fn", WORDS) == Command("fn")
    for quit_ in ("q", "q!", "quit", "exit"):
        assert parse(quit_, WORDS) == Command("q")


def test_an_argument_is_taken_when_it_exists_or_begins_just_one() -> None:
    assert parse("rev call", WORDS) == Command("rev", "call")
    assert parse("logs pr", WORDS) == Command("logs", "prod")


def test_what_is_wrong_is_said_with_what_there_is() -> None:
    assert "there are: fn" in str(parse("nope", WORDS))
    assert parse("rev", WORDS) == ":rev needs a name"
    assert parse("rev nope", WORDS) == ":rev: no 'nope'; there are: call, shout"


def test_an_empty_line_is_nothing() -> None:
    many = Words(functions=[f"function-{n}" for n in range(9_999)])
    assert len(str(parse("fn nope", many))) < 500
    assert parse("  ", WORDS) == ""


def test_suggestions_begin_with_what_was_typed() -> None:
    assert next(each.text for each in suggest("re", WORDS)) == "rev "
    assert [each.text for each in suggest("theme d", WORDS)] == ["theme dracula", "theme nord"]
    assert suggest("nope x", WORDS) == []
