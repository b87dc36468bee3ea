"""Does the backend survive what may happen to it? Every fault, several times, under load.

After each: the backend answers, or said in one line why not; every change that it acknowledged is
there, every other one wholly or not at all; no process, socket or file is left; no call of another
endpoint failed (those that a killed backend had excepted: they are counted). Prints the table, in
Markdown too, and ends with 1 when one number is not what it has to be. Linux; best as root.

    python tests/faults/run.py [--only WORDS] [--times N] [--seed TEXT] [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import every  # noqa: F401 - they register themselves
from faults.stage import Skip
from faults.suite import FAULTS, Row, attempt, markdown


async def tried(name: str, times: int, seed: str) -> Row:
    one, row = FAULTS[name], Row(name)
    for number in range(times):
        began = time.monotonic()
        try:
            outcome = await attempt(one, f"{seed} {number}")
        except Skip as why:
            row.skipped = str(why)
            break
        row.add(outcome, time.monotonic() - began)
        for kind in ("lost", "leftover", "failed"):
            for what in getattr(outcome, kind):
                print(f"    {kind}: {what}", flush=True)
    return row


async def main() -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument(
        "--only", default="", help="those whose name has one of these words, as `uv,loris`"
    )
    asked.add_argument("--times", type=int, default=0, help="how often each is tried")
    asked.add_argument("--seed", default="0", help="for the random points")
    asked.add_argument("--quick", action="store_true", help="those of the everyday tests, once")
    given = asked.parse_args()
    rows = []
    for name, one in FAULTS.items():
        is_asked = any(word in name for word in given.only.split(","))
        if not is_asked or (given.quick and not one.is_quick):
            continue
        print(f"{name} …", flush=True)
        times = given.times or (1 if given.quick else one.times)
        row = await tried(name, times, given.seed)
        verdict = row.skipped or f"lost {row.lost}, leftover {row.leftover}, failed {row.failed}"
        print(f"    {row.tried} times in {row.seconds:.1f} s: {verdict}", flush=True)
        rows.append(row)
    print(f"\n{markdown(rows)}\n")
    bad = sum(row.lost + row.leftover + row.failed for row in rows)
    print(f"{sum(row.tried for row in rows)} tries in {sum(row.seconds for row in rows):.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
