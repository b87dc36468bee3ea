"""What one sees first: what runs, and what to press. Pure; gone with the first function."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text

from fal_serverless.models import Status
from fal_tui.logs.printable import printable
from fal_tui.palette import Palette

EXAMPLE = """\
from fal_serverless import isolated

@isolated(serve=True)
def call_text(text: str):
    return text"""

KEYS = (
    (("S", "serve a file"), ("i", "call what was served")),
    (("l", "follow its logs"), ("R", "roll back; z undoes")),
    (("A", "who may call it"), ("0", "how it fares")),
    (("?", "all keys"), (":q", "quit")),
)
COLUMN = 24
"""Cells of the first column of keys."""


def welcome(first: str, status: Status, began: datetime, palette: Palette) -> Text:
    """`first` is its first line; a backend younger than `began` was started by us."""
    text = Text()
    text.append(first, palette.name).append("\n\n")
    for line in _what_runs(status, began):
        text.append(printable(line) + "\n")
    text.append("\nA file to begin with, served by S or by fal-tui FILE:\n")
    for line in EXAMPLE.splitlines():
        text.append(f"    {line}\n", palette.good)
    text.append("\n")
    for left, right in KEYS:
        for (key, meaning), width in ((left, COLUMN), (right, 0)):
            text.append(f"{key:>4}", f"bold {palette.accent}")
            text.append(f"  {meaning}".ljust(width - 4))
        text.append("\n")
    text.append("\nOnly looking around? Try fal-tui --demo.")
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
