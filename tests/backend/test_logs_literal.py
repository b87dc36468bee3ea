from __future__ import annotations

import random
import re
import sqlite3
import warnings

import pytest

from fal_serverless.backend.logs.literal import condition_of, is_literal, literal_of


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("time.?out", "time"),
        (r"user=\d+ failed", " failed"),
        (r"a\.b", "a.b"),
        ("ab|c", ""),
        ("a(bc)d", "a"),
        ("x[]abc]yz", "yz"),
        ("ab{2}c", "a"),
        ("ab+cd", "ab"),
        ("a?bcd", "bcd"),
        (r"\x41bc", ""),
        (r"(?i)valueerror", "valueerror"),
    ],
)
def test_the_text_that_must_be_there(pattern: str, literal: str) -> None:
    assert literal_of(pattern) == literal


PIECES = [*"abcABksi01|?*+{}[]()\\^$.,_%K\0", "(?i)", "(?:", "(?x)", "{1,2}", "[^", "ab"]
CHARACTERS = "abcABksi01,_%K\0{}"


def test_no_message_that_matches_is_passed_over() -> None:
    rng, known, tried = random.Random(5), sqlite3.connect(":memory:"), 0
    warnings.simplefilter("ignore")
    while tried < 3000:
        pattern = "".join(rng.choices(PIECES, k=rng.randint(1, 8)))
        try:
            expression = re.compile(pattern, re.MULTILINE)
        except re.error:
            continue
        condition = condition_of(pattern)
        if condition is None:
            continue
        # To make an expression takes longer than to try it.
        texts = ("".join(rng.choices(CHARACTERS, k=rng.randint(0, 14))) for _ in range(20))
        text = next(filter(expression.search, texts), None)
        if text is None:
            continue
        sql, value = condition
        query = f"SELECT {sql} FROM (SELECT ? AS message)"
        (holds,) = known.execute(query, (value, text)).fetchone()
        assert holds, (pattern, text, condition)
        assert not is_literal(pattern) or pattern in text
        tried += 1
    known.close()
