"""The pure parts of a log: text, time, places, filters, buffer, inbox, resume, span, parts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fal_serverless.errors import BadInput
from fal_serverless.models import LogEntry, LogQuery
from fal_serverless.timelimit import TooSlow
from fal_tui.logs import lines, span
from fal_tui.logs.buffer import Gap, LogBuffer, dropped, reconnected
from fal_tui.logs.clock import CLOCKS, WIDTHS, age, following, written
from fal_tui.logs.filters import Filter, FilterTooSlow, all_of, culprit, replaced, without
from fal_tui.logs.inbox import Inbox
from fal_tui.logs.parts import ROWS, parts
from fal_tui.logs.places import Places
from fal_tui.logs.printable import printable
from fal_tui.logs.resume import Resume, delay
from fal_tui.logs.span import MOST
from fal_tui.logs.ticks import Ticks

NOW = datetime(2026, 5, 4, 12, 30, 15, 123_000, tzinfo=UTC)


def entry(number: int, message: str = "", **fields: Any) -> LogEntry:
    given = {"level": "STDOUT", "source": "user", "user": "1", **fields}
    return LogEntry(number, NOW, message=message or f"line {number}", **given)


def messages(buffer: LogBuffer) -> list[str]:
    items = [buffer.item(number) for number in buffer.shown]
    return [item.text if isinstance(item, Gap) else item.message for item in items]


class TestText:
    def test_every_control_character_is_replaced_one_for_one(self) -> None:
        text = "".join(chr(code) for code in range(0xA0)) + "\u202e\u2066"
        assert len(printable(text)) == len(text)
        assert printable(printable(text)) == printable(text)
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in printable(text))

    @pytest.mark.parametrize(
        ("line", "seen"),
        [
            ("plain", "plain"),
            ("\x1b[1;31mred\x1b[0m!", "red!"),
            ("\x1b[38:5:208mx", "x"),
            ("a\tb", "a       b"),
            ("10%\r20%\r", "20%"),
            ("dos\r", "dos"),
            ("\x1b[2Jgone", "␛[2Jgone"),
            ("\x1b]0;title\x07", "␛]0;title␇"),
        ],
    )
    def test_what_is_seen_of_a_line(self, line: str, seen: str) -> None:
        assert lines.clean(line) == seen
        assert lines.styled(line).plain == seen

    @pytest.mark.parametrize("given", ["\x1b[38;5;208m", "\x1b[38:5:208m"])
    def test_colours_stay_in_both_ways_of_writing_them(self, given: str) -> None:
        (span,) = lines.styled(f"{given}x").spans
        assert str(span.style) == "color(208)"

    def test_of_a_very_long_line_the_beginning_is_drawn_and_the_rest_counted(self) -> None:
        drawn = lines.clean("x" * 1_000_000)
        assert drawn == "x" * lines.LONGEST + " … 980,000 more characters: c copies them"
        assert lines.seen("x" * 1_000_000) == "x" * 1_000_000

    def test_of_very_many_lines_the_first_are_drawn_and_the_rest_counted(self) -> None:
        message = "\n".join("x" * 5000)
        assert lines.drawn(message)[-1] == "… 4,000 more lines: c copies them"
        assert lines.height(message, None) == lines.MOST + 1

    def test_what_is_searched_is_the_whole_text_line_for_line(self) -> None:
        assert lines.seen("\x1b[31mred\x1b[0m\r\n10%\r20%\n\x07\n") == "red\n20%\n␇"

    def test_colours_go_to_a_pager_and_nothing_else_that_acts(self) -> None:
        text = lines.coloured("\x1b[31mred\x1b[2J\nplain\n\x1b]52;c;eA==\x07")
        assert text == "\x1b[31mred␛[2J\x1b[0m\nplain\n␛]52;c;eA==␇"

    @pytest.mark.parametrize("text", ["", "x", "x" * 30, "日本語" * 9, "a日" * 11, "é" * 21])
    def test_the_height_of_a_wrapped_line_is_the_number_of_its_pieces(self, text: str) -> None:
        for width in (2, 3, 10):
            pieces = lines.chopped(text, width)
            assert lines.height(text, width) == len(pieces)
            assert "".join(pieces) == text
            assert all(lines.cells(piece) <= width for piece in pieces)

    def test_a_message_of_several_lines_takes_several_rows(self) -> None:
        assert lines.height("a\nb\n", None) == 2
        assert lines.height("a\n" + "b" * 25, 10) == 4


class TestClock:
    def test_every_form_has_its_width(self) -> None:
        for clock in CLOCKS:
            for ago in (0, 61, 7200, 90_000, 10**8):
                then = NOW - timedelta(seconds=ago)
                assert len(written(then, clock, NOW)) == WIDTHS[clock]

    def test_another_day_is_named(self) -> None:
        assert written(NOW, "utc", NOW) == "12:30:15.123Z"
        assert written(NOW - timedelta(days=1), "utc", NOW) == "May  3 12:30Z"

    def test_ages(self) -> None:
        seconds = (-1, 59.9, 60, 3600, 86_400 * 40)
        assert [age(each) for each in seconds] == ["0s", "59s", "1m", "1h", "40d"]

    def test_one_key_goes_round(self) -> None:
        seen = [following(clock) for clock in CLOCKS]
        assert seen == ["relative", "local", "utc", "off"]


class TestPlaces:
    def test_an_item_is_found_by_any_of_its_rows(self) -> None:
        places = Places([1, 3, 2])
        found = [places.at(row) for row in range(places.rows)]
        assert found == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]

    def test_dropping_the_first_ones_moves_the_rest_up(self) -> None:
        places = Places([1, 3, 2])
        assert places.drop(2) == 4
        places.add(5)
        assert (places.rows, places.at(2), places.start(1), places.end(1)) == (7, (1, 0), 2, 7)
        assert places.drop(2) == 7
        places.add(1)
        assert places.at(0) == (0, 0)


class TestTicks:
    def test_what_is_trimmed_is_neither_an_error_nor_a_hit_any_more(self) -> None:
        ticks = Ticks()
        for number in range(4):
            item = entry(number, level="ERROR" if number % 2 else "INFO")
            ticks.add(number, item, lambda text: "line" in text)
        ticks.forget_before(2)
        assert (ticks.errors, ticks.hits) == ([3], [2, 3])


class TestFilters:
    def test_a_source_is_one_of_those_that_are_wanted(self) -> None:
        passes = all_of([Filter("sources", "user,request")])
        found = [passes(entry(1, source=each)) for each in ("user", "request", "system")]
        assert found == [True, True, False]

    def test_all_must_hold(self) -> None:
        passes = all_of([Filter("keep", "^b"), Filter("hide", "an"), Filter("level", "WARNING")])
        assert passes is not None
        seen = [passes(entry(1, text, level="ERROR")) for text in ("banana", "berry", "cherry")]
        assert seen == [False, True, False]
        assert not passes(entry(1, "berry", level="INFO"))

    def test_colours_do_not_hide_what_is_looked_for(self) -> None:
        passes = all_of([Filter("keep", "time out")])
        assert passes is not None and passes(entry(1, "\x1b[31mtime\x1b[0m out"))

    def test_they_look_through_all_lines_of_an_entry(self) -> None:
        traceback = "Traceback:\n  File x\nValueError: no good"
        for pattern in ("^valueerror", "file x$", "^  File"):
            passes = all_of([Filter("keep", pattern)])
            assert passes is not None and passes(entry(1, traceback)), pattern
        hidden = all_of([Filter("hide", "ValueError")])
        assert hidden is not None and not hidden(entry(1, traceback))

    def test_of_several_typed_ones_the_newest_is_taken_for_the_slow_one(self) -> None:
        typed = [Filter("keep", "a"), Filter("hide", "b"), Filter("level", "ERROR")]
        assert culprit(TooSlow(), typed) == typed[1]
        assert culprit(FilterTooSlow(typed[0]), typed) == typed[0]
        assert culprit(TooSlow(), typed[2:]) is None

    def test_there_is_one_level_at_a_time_and_any_number_of_words(self) -> None:
        stack: tuple[Filter, ...] = ()
        for one in (
            Filter("level", "INFO"),
            Filter("keep", "a"),
            Filter("keep", "b"),
            Filter("level", "ERROR"),
            Filter("keep", "a"),
        ):
            stack = replaced(stack, one)
        assert [one.chip for one in stack] == ["&b", "≥error", "&a"]
        assert [one.chip for one in without(stack, "keep")] == ["≥error"]


class TestBuffer:
    def test_what_is_gone_is_counted_in_words(self) -> None:
        assert (dropped(1).text, dropped(1200).text) == (
            "… 1 entry dropped …", "… 1,200 entries dropped …",
        )  # fmt: skip

    def test_the_oldest_go_and_numbers_stay(self) -> None:
        buffer = LogBuffer(3)
        buffer.extend([entry(1), entry(2)])
        delta = buffer.extend([entry(3), entry(4)])
        assert (delta.added, delta.removed) == (2, 1)
        assert list(buffer.shown) == [1, 2, 3]
        assert messages(buffer) == ["line 2", "line 3", "line 4"]
        assert buffer.missing == 1

    def test_more_than_the_limit_at_once(self) -> None:
        buffer = LogBuffer(3)
        buffer.extend([entry(1)])
        delta = buffer.extend([entry(n) for n in range(2, 12)])
        assert (delta.added, delta.removed) == (3, 1)
        assert messages(buffer) == ["line 9", "line 10", "line 11"]

    def test_a_trimmed_gap_counts_what_it_stood_for(self) -> None:
        buffer = LogBuffer(2)
        buffer.extend([dropped(40), entry(1), entry(2)])
        assert buffer.missing == 40

    def test_filters_apply_to_what_was_there_and_to_what_comes(self) -> None:
        buffer = LogBuffer(100)
        buffer.extend([entry(n) for n in range(20)])
        buffer.set_filters([Filter("keep", "1")])
        delta = buffer.extend([entry(30), entry(31), reconnected(6.6)])
        assert delta.added == 2
        assert messages(buffer)[-2:] == ["line 31", "— reconnected after 7 s —"]
        assert buffer.counts() == "13 of 23 shown"
        buffer.set_filters([])
        assert buffer.counts() == "23 lines"

    @pytest.mark.parametrize(
        "said",
        [
            "… 1 line dropped …",
            "… 312 lines dropped …",
            "7 lines are left out here: the log store could not keep them",
            "up to 7 entries are left out here: they were removed before they were read",
        ],
    )
    def test_no_filter_hides_that_the_backend_misses_entries(self, said: str) -> None:
        buffer = LogBuffer(100)
        buffer.extend([entry(1), entry(2, said, level="WARNING", source="system"), entry(3, said)])
        for filters in ([Filter("sources", "user"), Filter("keep", "1$")], [Filter("hide", "")]):
            buffer.set_filters([Filter("level", "ERROR"), *filters])
            assert messages(buffer) == [said]

    def test_a_further_filter_narrows_and_its_loss_widens(self) -> None:
        buffer = LogBuffer(100)
        buffer.extend([entry(n) for n in range(40)])
        first, second = Filter("keep", "1"), Filter("hide", "3")
        buffer.set_filters([first])
        before = list(buffer.shown)
        buffer.set_filters([first, second])
        assert messages(buffer)[-1] == "line 21"
        buffer.set_filters([first])
        assert list(buffer.shown) == before

    def test_what_comes_after_a_further_filter_has_to_pass_all_of_them(self) -> None:
        buffer = LogBuffer(100)
        buffer.set_filters([Filter("keep", "1")])
        buffer.set_filters([Filter("keep", "1"), Filter("hide", "3")])
        buffer.extend([entry(n) for n in (2, 11, 13)])
        assert messages(buffer) == ["line 11"]

    def test_what_was_missing_before_it_was_cleared_is_not_counted_again(self) -> None:
        buffer = LogBuffer(2)
        buffer.extend([entry(n) for n in range(5)])
        buffer.clear()
        buffer.extend([entry(n) for n in range(3)])
        assert (buffer.trimmed, buffer.missing) == (1, 1)

    def test_finding_goes_both_ways(self) -> None:
        buffer = LogBuffer(100)
        buffer.extend([entry(n, level="ERROR" if n in (3, 7) else "INFO") for n in range(10)])

        def wanted(item: object) -> bool:
            return isinstance(item, LogEntry) and item.level == "ERROR"

        assert buffer.find(0, 1, wanted) == 3
        assert buffer.find(9, -1, wanted) == 7
        assert buffer.find(8, 1, wanted) is None


class TestInbox:
    def test_what_is_too_much_is_counted(self) -> None:
        inbox = Inbox(4)
        inbox.put([entry(n) for n in range(6)])
        inbox.put([entry(6)])
        assert inbox.count == 7
        gap, *rest = inbox.take()
        assert gap == dropped(4)
        assert [item.message for item in rest if isinstance(item, LogEntry)] == [
            "line 4",
            "line 5",
            "line 6",
        ]
        assert inbox.take() == []


class TestResume:
    def test_it_asks_for_what_comes_after_the_last_and_takes_nothing_twice(self) -> None:
        resume = Resume(LogQuery(label="call", lines=50))
        assert resume.query() == LogQuery(label="call", lines=50)
        assert [resume.is_new(entry(n)) for n in (5, 6, 6, 4, 7)] == [
            True, True, False, False, True,
        ]  # fmt: skip
        assert resume.count == 3
        assert resume.query() == LogQuery(label="call", lines=50, after=7)

    def test_entries_of_a_log_that_began_anew_are_new(self) -> None:
        resume = Resume(LogQuery(after=5))
        resume.reached(9_000)
        assert resume.is_new(entry(3)) and resume.query().after == 3
        assert resume.is_new(entry(10**15))
        later = replace(entry(4), time=entry(4).time + timedelta(seconds=1))
        assert [resume.is_new(each) for each in (entry(4), later, later)] == [False, True, False]
        assert resume.query().after == 4

    def test_where_nothing_was_seen_yet_more_may_have_come_than_was_asked_for(self) -> None:
        resume = Resume(LogQuery(label="call", lines=50))
        assert [resume.query().lines for _ in range(2)] == [50, MOST]

    def test_a_place_behind_what_was_seen_brings_nothing_back(self) -> None:
        resume = Resume(LogQuery(label="call"))
        assert resume.is_new(entry(7))
        resume.reached(3)
        assert not resume.is_new(entry(5))
        resume.reached(9)
        assert resume.query().after == 9

    def test_tries_become_rarer(self) -> None:
        assert [delay(n, (1, 2)) for n in range(4)] == [1, 2, 2, 2]


LOCAL = NOW.astimezone()


@pytest.fixture
def central_europe() -> Iterator[None]:
    """Clocks are put on and back."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


class TestSpan:
    @pytest.mark.parametrize(
        ("text", "since", "until"),
        [
            ("2h – 1h", timedelta(hours=2), timedelta(hours=1)),
            ("90m", timedelta(minutes=90), None),
            ("1.5h to now", timedelta(minutes=90), None),
            ("3d..2d", timedelta(days=3), timedelta(days=2)),
            ("20s 10s", timedelta(seconds=20), timedelta(seconds=10)),
        ],
    )
    def test_so_long_ago(self, text: str, since: timedelta, until: timedelta | None) -> None:
        found = span.parse(text, NOW)
        assert found.since == NOW - since
        assert found.until == (NOW - until if until else None)

    def test_a_clock_is_its_last_time_here(self) -> None:
        before, after = LOCAL - timedelta(hours=1), LOCAL + timedelta(minutes=5)
        found = span.parse(f"{before:%H:%M} - {LOCAL:%H:%M}", NOW)
        assert found.since == before.replace(second=0, microsecond=0)
        assert found.until == LOCAL.replace(second=0, microsecond=0)
        assert found.ended(NOW) and found.from_top
        yet = span.parse(f"{before:%H:%M} - {after:%H:%M}", NOW)
        assert yet.until == after.replace(second=0, microsecond=0)
        assert not yet.ended(NOW)

    @pytest.mark.parametrize(
        ("now", "text", "since", "until"),
        [
            # forward at 2 in the night of 29 March: that day has 23 hours
            ("2026-03-29T10:00Z", "13:00 – 11:00", "2026-03-28T12:00Z", "2026-03-29T09:00Z"),
            ("2026-03-29T10:00Z", "01:30", "2026-03-29T00:30Z", None),
            ("2026-03-28T20:00Z", "20:30 – 20:15", "2026-03-28T19:30Z", "2026-03-29T18:15Z"),
            # back at 3 in the night of 25 October: from 2 to 3 is there twice
            ("2026-10-25T06:00Z", "01:30 – 03:30", "2026-10-24T23:30Z", "2026-10-25T02:30Z"),
            ("2026-10-25T06:00Z", "02:10 – 02:50", "2026-10-25T00:10Z", "2026-10-25T01:50Z"),
        ],
    )
    def test_a_clock_is_one_of_its_own_day_when_clocks_are_put_on_or_back(
        self, central_europe: None, now: str, text: str, since: str, until: str | None
    ) -> None:
        found = span.parse(text, datetime.fromisoformat(now))
        assert found.since == datetime.fromisoformat(since)
        assert found.until == (datetime.fromisoformat(until) if until else None)

    def test_a_day_and_its_clock_are_one_moment(self) -> None:
        found = span.parse("2026-05-04 09:00 – 2026-05-04T10:00:00Z", NOW)
        assert found.since == datetime(2026, 5, 4, 9).astimezone()
        assert found.until == datetime(2026, 5, 4, 10, tzinfo=UTC)
        assert span.parse("2026-05-04 09:00", NOW).until is None

    @pytest.mark.parametrize("text", ["", "–", "soon", "25:00", "1h – 2h", "9999999999999d"])
    def test_what_is_no_range_is_refused_with_a_reason(self, text: str) -> None:
        with pytest.raises(BadInput, match=r"from when|is no time|is not before"):
            span.parse(text, NOW)

    def test_it_is_named_by_its_length_and_has_ended_when_its_end_has_come(self) -> None:
        assert [span.last(each).chip for each in (5, 60)] == ["last 5m", "last 1h"]
        past = span.parse("2h – 1h", NOW)
        assert past.until == NOW - timedelta(hours=1) and past.from_top
        assert past.ended(NOW) and past.ended(past.until)
        assert not past.ended(past.until - timedelta(seconds=1))
        assert not (span.TAIL.ended(NOW) or span.TAIL.from_top) and span.HEAD.from_top

    def test_it_is_asked_of_the_backend(self) -> None:
        query = LogQuery(label="call", lines=1000)
        asked = span.within(query, span.last(5), NOW, 2_000_000)
        assert asked == LogQuery(label="call", lines=span.MOST, since=NOW - timedelta(minutes=5))
        assert span.within(query, span.HEAD, NOW, 50).after == 0
        assert span.within(query, span.ALL, NOW, 50).lines == 50
        assert span.within(query, span.TAIL, NOW, 50) == query


class TestParts:
    def test_every_row_has_what_it_copies(self) -> None:
        found = parts(entry(7, 'got {"a": [1, "x"], "b": {}}', request_id="r-1", alias="call"))
        assert [(part.indent, part.name, part.text, part.value) for part in found[:7]] == [
            (0, "", 'got {"a": [1, "x"], "b": {}}', 'got {"a": [1, "x"], "b": {}}'),
            (0, "", "{", '{"a": [1, "x"], "b": {}}'),
            (1, '"a"', "[", '[1, "x"]'),
            (2, "", "1,", "1"),
            (2, "", '"x"', "x"),
            (1, "", "],", '[1, "x"]'),
            (1, '"b"', "{}", "{}"),
        ]
        assert {part.name: part.value for part in found[8:]} == {
            "time": NOW.isoformat(), "level": "STDOUT", "source": "user", "alias": "call",
            "request id": "r-1", "user": "1", "id": "7",
        }  # fmt: skip

    def test_what_entries_have_in_common_can_be_asked_for(self) -> None:
        names = {"request_id": "r-1", "worker": "w-1", "revision": "abc", "alias": "call"}
        queries = [part.query for part in parts(entry(1, **names)) if part.query]
        assert queries == [
            LogQuery(label="call"), LogQuery(revision="abc"), LogQuery(worker="w-1"),
            LogQuery(request_id="r-1"),
        ]  # fmt: skip

    def test_a_huge_message_is_shown_in_part_and_copied_whole(self) -> None:
        message = "\n".join(str(number) for number in range(5000))
        found = parts(entry(1, message))
        assert [part.text for part in found[ROWS : ROWS + 1]] == [
            "… 3,000 more lines: c copies them"
        ]
        assert found[ROWS].value == message
        long = parts(entry(1, json.dumps({"list": list(range(5000)), "x": "y" * 50_000})))
        rest = next(part for part in long if part.kind == "rest")
        assert rest.text == "… 3,005 more lines: c copies them"
        assert len(json.loads(rest.value)["list"]) == 5000
