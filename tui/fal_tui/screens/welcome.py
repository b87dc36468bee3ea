"""What one sees first: what runs, and what to press. Pure; gone with the first function."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from fal_serverless.models import Status
from fal_tui.bound import Bound
from fal_tui.logs.printable import printable
from fal_tui.palette import Palette

EXAMPLE = """\
from fal_serverless import isolated

@isolated(serve=True)
def call_text(text: str):
    return text"""

KEYS = (
    ("serve", "serve a file"),
    ("invoke", "call what was served"),
    ("logs", "follow its logs"),
    ("rollback", "roll back[; {undo} undoes]"),
    ("auth", "who may call it"),
    ("go_pulse", "how it fares"),
    ("help", "all keys"),
    ("quit", "quit"),
)
"""Actions, by twos on a line, and what to say of them; those without a way are left out."""
COLUMN = 20
"""Cells of what is said of the left one."""


def welcome(keys: Bound, status: Status, began: datetime, palette: Palette) -> Text:
    """`keys` are those in force; a backend younger than `began` was started by us."""
    text = Text()
    text.append(keys.say("No functions yet.[ Press {serve} to serve a file.]"), palette.name)
    text.append("\n\n")
    for line in _what_runs(status, began):
        text.append(printable(line) + "\n")
    text.append(keys.say("\nA file to begin with, served by[ {serve} or by] fal-tui FILE:\n"))
    for line in EXAMPLE.splitlines():
        text.append(f"    {line}\n", palette.good)
    text.append("\n")
    text.append_text(_what_to_press(keys, palette))
    text.append("\nOnly looking around? Try fal-tui --demo.")
    return text


def _what_to_press(keys: Bound, palette: Palette) -> Text:
    ways = {id: keys.line("q") if id == "quit" else "" for id, _ in KEYS}
    found = [(ways[id] or keys.way(id), keys.say(meaning)) for id, meaning in KEYS]
    found = [(way, meaning) for way, meaning in found if way]
    widths = [max([4, *(len(way) for way, _ in found[side::2])]) for side in (0, 1)]
    text = Text()
    for place, (way, meaning) in enumerate(found):
        side = place % 2
        text.append(f"{way:>{widths[side]}}", f"bold {palette.accent}")
        last = side == 1 or place == len(found) - 1
        text.append(f"  {meaning}" + ("\n" if last else " " * (COLUMN - len(meaning))))
    return text


def _what_runs(status: Status, began: datetime) -> list[str]:
    if status.started_at < began:
        return [f"The backend answers at {status.url}"]
    return [
        "fal-tui started a backend on this machine:",
        f"    {status.url}",
        "It goes on serving when you quit, unless you stop it.",
        f"What it keeps is in {status.state_dir}",
    ]
