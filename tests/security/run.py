"""Which bad inputs were tried, and what came of them? All of this folder's tests, and a table.

Prints the table in Markdown, and ends with 1 when a test fails. `--examples` is how much is made up
for each test that makes up its input; the everyday run has far less.

    python tests/security/run.py [--examples N] [pytest's options …]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from security import tally


class Collector:
    """Sums up what the tests' reports carry, from all processes that ran some."""

    def __init__(self) -> None:
        self.rows: dict[str, tally.Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        for name, value in report.user_properties:
            if name == tally.PROPERTY:
                kind, number, verdict = value  # type: ignore[misc]
                self.rows.setdefault(kind, tally.Row()).add(number, verdict)


def main() -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--examples", type=int, default=2000)
    given, options = asked.parse_known_args()
    os.environ["FUZZ_EXAMPLES"] = str(given.examples)
    collector, began = Collector(), time.monotonic()
    words = [
        str(Path(__file__).parent),
        "-n",
        "2",
        "--timeout",
        "600",
        "-p",
        "no:cacheprovider",
        *options,
    ]
    code = pytest.main(words, plugins=[collector])
    print(f"\n{tally.markdown(collector.rows)}\n")
    print(f"{time.monotonic() - began:.0f} s, {given.examples} examples of what is made up")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
