"""What the benchmarks make of what they see: wrk's figures, ratios, thresholds, tables."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import load, processes
from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun
from benchmarks.tables import Table, megabytes, millis
from benchmarks.thresholds import THRESHOLDS, Threshold, missed

SAID = (
    "Running 3s test @ http://127.0.0.1:1/\n"
    "  1 threads and 32 connections\n"
    "Requests/sec:  20000.00\n"
    'measured\t60000\t3000000\t1500\t4000\t{wrong}\t{broken}\t"{example}"\n'
)


def said(wrong: int = 0, broken: int = 0, example: str = "") -> str:
    return SAID.format(wrong=wrong, broken=broken, example=example)


def test_figures_of_wrk_are_read_among_what_it_says_itself() -> None:
    measured = load.checked(load.parse(said()))
    assert (measured.rate, measured.p50, measured.p99) == (20000, 0.0015, 0.004)


def test_one_wrong_answer_spoils_a_run_and_is_shown() -> None:
    with pytest.raises(BadRun, match="1 wrong answers, the first: 500 oh\tno"):
        load.checked(load.parse(said(wrong=1, example="500 oh\tno")))


def test_a_broken_connection_spoils_a_run() -> None:
    with pytest.raises(BadRun, match="2 broken connections"):
        load.checked(load.parse(said(broken=2)))


def test_wrk_that_tells_nothing_is_no_measurement() -> None:
    with pytest.raises(BadRun, match="unable to connect"):
        load.parse("unable to connect to 127.0.0.1:1\n")


def test_no_wrk_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(load.MissingTool, match="apt-get install wrk"):
        load.find_wrk()


def figures_of(**peers: tuple[float, ...]) -> Figures:
    figures = Figures()
    for peer, values in peers.items():
        for value in values:
            figures.add(peer, "rate", value)
    return figures


def test_ratios_are_taken_within_a_round() -> None:
    figures = figures_of(one=(10, 40, 100), other=(5, 20, 1))
    assert figures.ratio(Key("one", "rate"), Key("other", "rate")) == 2


RATIO = Threshold("", Key("one", "rate"), 2, Key("other", "rate"))


@pytest.mark.parametrize(
    ("value", "verdict"), [(4.0, "reached"), (6.0, "reached"), (3.9, "missed")]
)
def test_a_least_ratio_is_reached_from_its_limit_on(value: float, verdict: str) -> None:
    assert RATIO.verdict(figures_of(one=(value,), other=(2,))) == verdict


def test_an_absolute_limit_counts_in_its_unit() -> None:
    most = Threshold("", Key("one", "rate"), 90, at_most=True, unit="MB", scale=1e6)
    assert most.verdict(figures_of(one=(90e6,))) == "reached"
    assert most.verdict(figures_of(one=(91e6,))) == "missed"


def test_what_was_not_measured_is_not_missed() -> None:
    assert RATIO.verdict(figures_of(one=(1,))) == "not measured"
    assert missed(THRESHOLDS, Figures()) == []


def test_a_table_is_drawn_for_terminals_and_for_markdown() -> None:
    table = Table("Cost", ["", "time"], [["ours", millis(0.0123)], ["theirs", millis(None)]], "So.")
    assert table.text() == "Cost\n             time\n  ours    12.3 ms\n  theirs        -\nSo.\n"
    assert table.markdown() == (
        "**Cost**\n\n|  | time |\n| --- | ---: |\n| ours | 12.3 ms |\n| theirs | - |\n\nSo.\n"
    )
    assert megabytes(90e6) == "90 MB"


def test_a_program_is_measured_with_all_it_started_and_ends_whole(tmp_path: Path) -> None:
    process = processes.start(["sh", "-c", "sleep 60 & sleep 60"], os.environ, tmp_path)
    try:
        assert processes.wait_until(lambda: len(processes.tree(process.pid)) == 3, 10)
        family = processes.tree(process.pid)
        assert processes.memory(process.pid).rss > 0
    finally:
        processes.end(process)
    assert processes.wait_until(lambda: not any(map(processes.runs, family)), 10)
