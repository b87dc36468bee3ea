"""An expression that somebody typed may take for ever: how long is it let, and what is said then?

Lines are compared in batches, each under one limit, so that a limit costs nothing. It counts the
work of this program, not the time: on a busy machine nothing is given up that is quick.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from fal_serverless.timelimit import TimeLimit
from fal_tui.widgets.filtering import Matcher

BATCH = 5000
"""Lines that are compared under one limit: a millisecond or two."""
LONGEST = 1.0
"""Seconds for a batch, or for a list, and …"""
LONGEST_IN_ALL = 4.0
"""… for all that are compared while nobody gets an answer."""
LONGEST_DRAWN = 0.3
"""Seconds for all that is drawn in one go."""

Given = TypeVar("Given")
Made = TypeVar("Made")


def batches(given: Sequence[Given], work: Callable[[Sequence[Given]], Made]) -> Iterator[Made]:
    """What `work` makes of each batch. Raises TooSlow."""
    in_all = TimeLimit(LONGEST_IN_ALL)
    for at in range(0, len(given), BATCH):
        with in_all, TimeLimit(LONGEST):
            made = work(given[at : at + BATCH])
        yield made


def matching(
    given: Sequence[Given], text: Callable[[Given], str], matches: Matcher, limit: TimeLimit
) -> list[Given]:
    """Those whose text matches; only that is under the limit. Raises TooSlow."""
    texts = [text(each) for each in given]
    with limit:
        return [each for each, its in zip(given, texts, strict=True) if matches(its)]


def taken_away(what: str) -> str:
    """`what`: as `Search /(a+)+$`."""
    return (
        f"{what} takes too long for these lines and was taken away."
        " Repeats within repeats, such as (a+)+, are slow: write it without them."
    )
