"""What the benchmarks make of what they see: wrk's figures, ratios, thresholds, tables."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks import bench_log_pane, bench_logs, bench_tui, load, processes
from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun
from benchmarks.logs import live, past
from benchmarks.parts import PARTS, Part, cold, growth
from benchmarks.parts.logs import Tail, check_lines
from benchmarks.parts.runs import failures_of
from benchmarks.tables import Table, megabytes, millis
from benchmarks.thresholds import THRESHOLDS, Threshold, missed
from fal_serverless.errors import Unreachable
from fal_serverless.models import LogEntry

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


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_part_that_measured_nothing_has_an_empty_table(part: Part) -> None:
    table = part.table(Figures())
    assert (table.rows, table.text().count(table.headings[1])) == ([], 1)


def test_what_can_be_named_is_named_once() -> None:
    names = [*PARTS, *(member for part in PARTS.values() for member in part.MEMBERS)]
    assert len(names) == len(set(names))


def test_what_goes_wrong_fails_one_part_and_says_why() -> None:
    figures = Figures()
    for name, error in {"one": BadRun("no answer"), "two": Unreachable("gone")}.items():
        with failures_of(figures, name):
            raise error
    with failures_of(figures, "three"):
        raise ConnectionResetError
    assert figures.failures == {"one": "no answer", "two": "gone", "three": "ConnectionResetError"}


@pytest.mark.parametrize("size", growth.BODIES.values())
def test_a_body_has_the_size_it_is_named_after(size: int) -> None:
    assert len(json.dumps({"text": growth.text_of(size)})) == size


def test_growth_is_told_against_one_endpoint_and_bodies_against_the_same_body_of_raw_asgi() -> None:
    figures = Figures()
    rates = {"endpoints.1": 200, "endpoints.1000": 100, "body.1kB": 500, "body_raw.1kB": 2000}
    for name, rate in rates.items():
        figures.add(name, "rate@32", rate)
    shown = [(row[0], *row[-3:]) for row in growth.table(figures).rows]
    assert shown == [
        ("1 endpoint", "-", "1x", "-"),
        ("1,000 endpoints", "-", "0.5x", "-"),
        ("1 kB body, ours", "0.5", "-", "0.25x"),
        ("1 kB body, raw ASGI", "2.0", "-", "1x"),
    ]


def test_every_line_of_a_flood_once_and_in_turn_is_right() -> None:
    check_lines(3, [0, 1, 2])


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([0, 2], "1 never came"),
        ([0, 1, 1, 2], "1 came again"),
        ([0, 0, 2], "1 never came and 1 came again"),
        ([1, 0, 2], "out of turn"),
        ([0, 1, 2, 3], "1 that nobody printed"),
    ],
)
def test_one_line_too_few_or_too_many_is_a_bad_run(numbers: list[int], said: str) -> None:
    with pytest.raises(BadRun, match=said):
        check_lines(3, numbers)


async def test_a_tail_tells_the_floods_lines_from_others_and_how_late_they_came() -> None:
    tail, printed = Tail(), datetime(2026, 1, 1, tzinfo=UTC)
    for message in ("line 0 of a flood that another endpoint prints", "POST / 200 in 1.0 ms"):
        entry = LogEntry(1, printed, "STDOUT", "user", message, "1")
        tail.hear(entry, (printed + timedelta(seconds=0.5)).timestamp())
    await tail.reach(1)
    assert (tail.numbers, tail.lags, tail.others) == ([0], [0.5], 1)


@pytest.mark.parametrize(
    ("status", "answer"), [(500, b'"/usr/bin/python"'), (200, b'""'), (200, b"7")]
)
def test_a_cold_call_counts_only_with_the_answer_of_its_function(
    status: int, answer: bytes
) -> None:
    assert cold.interpreter_of(200, b'"/usr/bin/python"') == "/usr/bin/python"
    with pytest.raises(BadRun, match=f"{status}"):
        cold.interpreter_of(status, answer)


def test_a_store_of_the_past_holds_all_that_is_asked_for(tmp_path: Path) -> None:
    figures = Figures()
    past.measure(past.LEAST, tmp_path, figures)
    assert figures.median(Key("past", "entries")) == past.LEAST
    assert all(millis(None) not in row for row in past.table(past.LEAST, figures).rows)


def test_lines_reach_all_who_follow_and_read(tmp_path: Path) -> None:
    figures = Figures()
    live.measure(live.Setting(seconds=0.3, followers=3), tmp_path, figures)
    assert [row[0] for row in live.table(figures).rows] == ["1 follow", "4 follow"]
    assert figures.median(Key(live.MANY, "lines")) > 100


def test_logs_are_measured_against_what_must_be_reached() -> None:
    texts = [each.text for each in bench_logs.THRESHOLDS]
    assert len(set(texts)) == len(texts) > 10


def test_what_the_log_pane_paints_is_read_from_the_terminal() -> None:
    row = "\x1b[0m\u258c\x1b[1m 12:00:00.000 stdout  line {} @1795548975069706956 handled"
    seen = (row.format(7) + "line 8 @" + row.format(9)).encode()
    assert bench_log_pane.cursor(seen) == 9
    assert bench_log_pane.cursor(b"line 8 @1795548975069706956 handled") is None
    assert [int(found[1]) for found in bench_log_pane.PRINTED.finditer(seen)] == [7, 9]


def test_a_figure_of_the_log_pane_says_whether_it_holds() -> None:
    good, bad = (bench_log_pane.Figure("memory", value, 60, "MB") for value in (60.0, 60.1))
    assert good.line().endswith("≤ 60  reached") and bad.line().endswith("≤ 60  MISSED")


async def test_the_log_pane_is_filled_and_filtered_up_to_a_frame() -> None:
    now = datetime.now(UTC)
    lines = [
        LogEntry(n, now, "STDOUT", "user", f"handled a request in {n % 97} ms", "1")
        for n in range(200)
    ]
    assert all(seconds > 0 for seconds in await bench_log_pane.filling(lines))


def test_the_function_under_the_cursor_is_read_from_the_terminal() -> None:
    row = "\x1b[0m\u258c\x1b[1m \x1b[38;5;2mfunction-{}\x1b[0m"
    seen = ("function-1 " + row.format(7) + "function-8" + row.format(9)).encode()
    assert bench_tui.cursor(seen) == 9
    assert bench_tui.cursor(b"function-7") is None


def test_figures_of_the_tui_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_tui.main(["speed"]) == 2
    assert "there are: paint, many, keys, pulse, idle, memory, logs" in capsys.readouterr().err


def test_few_functions_are_usable_and_keys_have_their_frame(tmp_path: Path) -> None:
    with (
        bench_tui.backend(tmp_path, bench_tui.FEW, 10) as running,
        bench_tui.opened(running) as screen,
    ):
        took = bench_tui.pressing(screen, keys=1)
    assert all(seconds > 0 for seconds in took) and len(took) == 24
