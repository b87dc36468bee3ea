"""What does it cost to be called through us? Everything about calls, measured in one run.

Ourselves beside what people would use instead: the same echo, the same load tool, every answer
checked, one peer after the other in every round. Then how the cost grows, what logs cost, how soon
a function scaled to zero answers, and what an idle backend takes. Prints tables, then what must be
reached; the exit code is 0 when nothing was missed and nothing failed.

    python tests/benchmarks/bench_calls.py [--rounds 3] [--seconds 3] [--only NAME,...]
                                           [--markdown FILE] [--peers] [--cache DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

sys.path.insert(0, str(Path(__file__).parents[1]))

from platformdirs import user_cache_path

from benchmarks import load
from benchmarks.figures import Figures
from benchmarks.parts import PARTS
from benchmarks.parts.part import Course
from benchmarks.peers.peer import Shop
from benchmarks.tables import Table
from benchmarks.thresholds import THRESHOLDS, missed

CACHE = user_cache_path("fal-serverless", appauthor=False) / "benchmarks"


class Options(Protocol):
    rounds: int
    seconds: float
    only: str
    markdown: Path | None
    peers: bool
    cache: Path


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        load.find_wrk()
    except load.MissingTool as missing:
        print(missing, file=sys.stderr)
        return 2
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tables = _measured(_course(options, Path(folder)), figures)
    tables = [*tables, _thresholds(figures)]
    print("\n".join(table.text() for table in tables))
    _tell_rest(figures)
    if options.markdown:
        options.markdown.write_text("\n".join(table.markdown() for table in tables))
    return int(bool(missed(THRESHOLDS, figures) or figures.failures))


def _options(arguments: Sequence[str] | None) -> Options:
    names = [*PARTS, *(member for part in PARTS.values() for member in part.MEMBERS)]
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over so many")
    parser.add_argument("--seconds", type=float, default=3, help="of each timed run")
    parser.add_argument("--only", default="", help=f"of {', '.join(names)}")
    parser.add_argument("--markdown", type=Path, help="write the tables there too")
    parser.add_argument("--peers", action="store_true", help="install the heavy peers if missing")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where peers are installed")
    options: Options = parser.parse_args(arguments)
    unknown = set(filter(None, options.only.split(","))) - set(names)
    if unknown:
        parser.error(f"no {', '.join(sorted(unknown))}; there are: {', '.join(names)}")
    return options


def _course(options: Options, folder: Path) -> Course:
    options.cache.mkdir(parents=True, exist_ok=True)
    only = frozenset(filter(None, options.only.split(",")))
    shop = Shop(options.cache, folder, options.peers)
    return Course(options.rounds, options.seconds, only, shop)


def _measured(course: Course, figures: Figures) -> list[Table]:
    tables = []
    for name, part in PARTS.items():
        if course.wants(name, part.MEMBERS):
            part.measure(course, figures)
            tables.append(part.table(figures))
    return tables


def _thresholds(figures: Figures) -> Table:
    rows = []
    for each in THRESHOLDS:
        value = each.value(figures)
        shown = "-" if value is None else f"{value:.3g} {each.unit}"
        rows.append([each.text, each.demand, shown, each.verdict(figures)])
    cores = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    note = f"Medians of the ratios within each round; {cores}."
    return Table("What must be reached", ["", "demanded", "measured", ""], rows, note)


def _tell_rest(figures: Figures) -> None:
    for peer, why in figures.absent.items():
        print(f"{peer} was not measured: {why}", file=sys.stderr)
    for peer, why in figures.failures.items():
        print(f"{peer} FAILED: {why}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
