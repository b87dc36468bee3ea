"""Lines of somebody's error output, and which of them are one traceback."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from fal_serverless.backend.engine.tracebacks import LONGEST, Entry, Joiner


def joined(lines: list[bytes]) -> list[Entry]:
    joiner = Joiner("STDERR")
    entries = joiner.feed(lines)
    held = joiner.holds
    rest = joiner.release()
    assert held == bool(rest)
    return entries + rest


def said_by_python(code: str) -> list[bytes]:
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    return ran.stderr.splitlines()


CHAINED = "try: 1/0\nexcept Exception as e: raise KeyError('k') from e"
IN_THREAD = "import threading\nthreading.Thread(target=lambda: 1/0).start()"
GROUP = "try: 1/0\nexcept Exception as e: raise ExceptionGroup('many', [e, ValueError('v')])"
NESTED = "raise ExceptionGroup('many', [ExceptionGroup('more', [ValueError('v')])])"
DYING = "import faulthandler; faulthandler.enable(); faulthandler._sigsegv()"
DYING_IN_THREAD = (
    "import faulthandler, os, threading, time; faulthandler.enable()\n"
    "threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); os.abort()"
)
IGNORED = "class A:\n  def __del__(self): 1/0\nA()"


@pytest.mark.parametrize(
    "code",
    ["1/0", "x = (", CHAINED, IN_THREAD, GROUP, NESTED, IGNORED, DYING, DYING_IN_THREAD],
)
def test_what_python_prints_is_one_error(code: str) -> None:
    lines = said_by_python(code)
    around = [b"before", *lines, b"after"]
    if code == "x = (":  # it has no traceback, and no beginning that is known
        assert joined(around) == [("STDERR", line) for line in around]
        return
    assert joined(around) == [
        ("STDERR", b"before"),
        ("ERROR", b"\n".join(lines)),
        ("STDERR", b"after"),
    ]
    assert joined(lines) == [("ERROR", b"\n".join(lines))]


def test_a_blank_line_behind_one_is_none_of_it() -> None:
    for lines in (said_by_python("1/0"), said_by_python(DYING)):
        whole = ("ERROR", b"\n".join(lines))
        assert joined([*lines, b"", b"after"]) == [whole, ("STDERR", b""), ("STDERR", b"after")]
        assert joined([*lines, b""]) == [whole, ("STDERR", b"")]


def test_two_in_a_row_are_two() -> None:
    one = said_by_python("1/0")
    assert joined(one + one) == [("ERROR", b"\n".join(one))] * 2


def test_the_same_comes_of_it_in_whatever_pieces_it_arrives() -> None:
    lines = [b"a", *said_by_python(CHAINED), b"", b"b"]
    for cut in range(len(lines)):
        joiner = Joiner("STDERR")
        assert joiner.feed(lines[:cut]) + joiner.feed(lines[cut:]) == joined(lines)
    assert b"".join(text for _, text in joined(lines)).count(b"Traceback") == 2


def test_other_lines_are_left_alone() -> None:
    lines = [b"Exception in thread talk", b"  indented", b"", b"ValueError: no", b"+ more"]
    assert joined(lines) == [("STDERR", line) for line in lines]
    assert all(one != other for one, other in pairwise(lines))


def test_one_that_does_not_end_is_cut() -> None:
    endless = [b"Traceback (most recent call last):"] + [b"  " + b"x" * 1000] * (LONGEST // 500)
    first, *rest = joined(endless)
    assert first[0] == "ERROR" and LONGEST - 2000 < len(first[1]) <= LONGEST + 2000
    assert len(rest) == len(endless) - first[1].count(b"\n") - 1
