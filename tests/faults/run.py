"""Does the backend survive what may happen to it? Every fault, several times, under load.

After each: the backend answers, or said in one line why not; every change that it acknowledged is
there, every other one wholly or not at all; no process, socket or file is left; no call of another
endpoint failed (those that a killed backend had excepted: they are counted). Prints the table, in
Markdown too, and ends with 1 when one number is not what it has to be. Linux; best as root.

Several tries run side by side, each with a backend, a home and callers of its own, in a process of
its own: what one waits for costs the others nothing.

    python tests/faults/run.py [--only WORDS] [--times N] [--seed TEXT] [--quick] [--lanes N]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import every  # noqa: F401 - they register themselves
from faults.stage import Outcome, Skip
from faults.suite import FAULTS, Fault, Row, attempt, markdown

LANES = 3
"""Tries at once: much of each is a wait for processes to start, or for a time to pass."""
Try = tuple[str, Outcome | str, float]
"""Name of the fault; what it came to, or why it cannot be tried here; seconds."""


def tried(name: str, seed: str) -> Try:
    """In a lane's process."""
    began = time.monotonic()
    try:
        outcome: Outcome | str = asyncio.run(attempt(FAULTS[name], seed))
    except Skip as why:
        outcome = str(why)
    return name, outcome, time.monotonic() - began


def report(row: Row, done: Try) -> None:
    name, outcome, seconds = done
    if isinstance(outcome, str):
        row.skipped = outcome
        print(f"{name}: {outcome}", flush=True)
        return
    row.add(outcome, seconds)
    print(f"{name}: {'fine' if outcome.is_good else 'BAD'} in {seconds:.1f} s", flush=True)
    for kind in ("lost", "leftover", "failed"):
        for what in getattr(outcome, kind):
            print(f"    {kind}: {what}", flush=True)


def chosen(given: argparse.Namespace) -> Iterator[tuple[Fault, int]]:
    """Each fault that is asked for, and how often."""
    for name, one in FAULTS.items():
        is_asked = any(word in name for word in given.only.split(","))
        if is_asked and (one.is_quick or not given.quick):
            yield one, given.times or (1 if given.quick else one.times)


def main() -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument(
        "--only", default="", help="those whose name has one of these words, as `uv,loris`"
    )
    asked.add_argument("--times", type=int, default=0, help="how often each is tried")
    asked.add_argument("--seed", default="0", help="for the random points")
    asked.add_argument("--quick", action="store_true", help="those of the everyday tests, once")
    asked.add_argument("--lanes", type=int, default=LANES, help="how many tries run at once")
    given = asked.parse_args()
    wanted = list(chosen(given))
    rows = {one.name: Row(one.name) for one, _ in wanted}
    began, is_whole = time.monotonic(), True
    # Processes that are new: none inherits what another one's callers have open.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.lanes, mp_context=context) as lanes:
        tries: list[Future[Try]] = [
            lanes.submit(tried, one.name, f"{given.seed} {number}")
            for one, times in wanted
            for number in range(times)
        ]
        try:
            for each in as_completed(tries):
                report(rows[each.result()[0]], each.result())
        except KeyboardInterrupt:
            # The lanes were told as well: they put away what they began, and begin nothing more.
            lanes.shutdown(cancel_futures=True)
            is_whole = False
    known = [row for row in rows.values() if row.tried or row.skipped]
    print(f"\n{markdown(known)}\n")
    bad = sum(row.lost + row.leftover + row.failed for row in rows.values())
    count = sum(row.tried for row in rows.values())
    print(f"{count} tries in {time.monotonic() - began:.0f} s, {given.lanes} at once")
    if not is_whole:
        print("ended by Ctrl+C before all of it was tried")
        return 130
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
