"""Some of the faults, once each; all of them, several times: `python tests/faults/run.py`."""

from __future__ import annotations

import sys

import pytest

from faults import every  # noqa: F401 - they register themselves
from faults.soak import BOUNDS, Sample, growth
from faults.stage import Outcome, Skip
from faults.suite import FAULTS, Fault, Row, attempt, markdown

QUICK = [one for one in FAULTS.values() if one.is_quick]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize("one", QUICK, ids=lambda one: one.name)
async def test_nothing_is_lost_left_or_failed(one: Fault) -> None:
    try:
        outcome = await attempt(one, "tests")
    except Skip as why:
        pytest.skip(str(why))
    assert (outcome.lost, outcome.leftover, outcome.failed) == ([], [], [])
    assert outcome.answered > 0


def test_the_table_counts_all_tries() -> None:
    row = Row("a fault")
    row.add(Outcome(lost=["x"], failed=["y", "z"], answered=1000, cut=1), 1.0)
    row.add(Outcome(leftover=["x"], answered=500), 1.0)
    assert markdown([row]).splitlines()[-1] == "| a fault | 2 | 1 | 1 | 1,500 | 2 | 1 |"


def test_growth_is_from_the_second_quarter_to_the_last() -> None:
    samples = [Sample(*[10 * (n // 2) + 1000 * (n == 7)] * 6) for n in range(8)]
    assert growth(samples).memory == 520
    assert growth([*samples[:-1], samples[-2]]).files == 20
    assert BOUNDS.files > 0
