"""How soon is a log line found, and how soon does it arrive? In a large store, and live.

Writes a store of many entries by its own writer, asks it what people ask, and follows a function
that prints, alone and among many. Prints tables, then what must be reached; the exit code is 0 when
nothing was missed. Ten million entries take minutes and a gigabyte of the temporary folder.

    python tests/benchmarks/bench_logs.py [--entries 10000000] [--seconds 10] [--followers 200]
                                          [--only past|live]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import Figures, Key
from benchmarks.load import BadRun
from benchmarks.logs import live, past
from benchmarks.tables import Table
from benchmarks.thresholds import Threshold, missed


def _within(text: str, name: str, figure: str, limit: float) -> Threshold:
    key = Key(name, figure)
    return Threshold(text, key, limit, at_most=True, unit="ms", scale=1e-3)


THRESHOLDS = (
    *(
        _within(asked.title, asked.name, "seconds", 1000 if "search" in asked.name else 20)
        for asked in past.questions(past.Past(0))
        # Where SQLite can help with nothing, Python looks at every line of that hour.
        if asked.name != "search.bare"
    ),
    _within("print to a client's tail, p99", live.ONE, "p99", 100),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--entries", type=int, default=10_000_000, help="in the store")
    parser.add_argument("--seconds", type=float, default=10, help="of printing")
    parser.add_argument("--followers", type=int, default=200, help="beside the one that is timed")
    parser.add_argument("--only", choices=("past", "live"))
    options = parser.parse_args(arguments)
    if options.entries < past.LEAST:
        parser.error(f"--entries must be {past.LEAST} at least")
    figures = Figures()
    try:
        tables = _measured(options, figures)
    except BadRun as bad:
        print(f"FAILED: {bad}", file=sys.stderr)
        return 1
    tables.append(_thresholds(figures))
    print("\n".join(table.text() for table in tables))
    return int(bool(missed(THRESHOLDS, figures)))


def _measured(options: argparse.Namespace, figures: Figures) -> list[Table]:
    tables = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if options.only != "live":
            room = Path(folder) / "past"
            room.mkdir()
            past.measure(options.entries, room, figures)
            tables.append(past.table(options.entries, figures))
        if options.only != "past":
            setting = live.Setting(options.seconds, options.followers)
            live.measure(setting, Path(folder) / "live", figures)
            tables.append(live.table(figures))
    return tables


def _thresholds(figures: Figures) -> Table:
    rows = []
    for each in THRESHOLDS:
        value = each.value(figures)
        shown = "-" if value is None else f"{value:.3g} {each.unit}"
        rows.append([each.text, each.demand, shown, each.verdict(figures)])
    return Table("What must be reached", ["", "demanded", "measured", ""], rows)


if __name__ == "__main__":
    sys.exit(main())
