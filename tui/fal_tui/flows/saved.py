"""What is on the screen, into a file of the folder one is in."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from fal_tui.detail import Page
from fal_tui.flows.host import Host
from fal_tui.widgets.cells import plain

if TYPE_CHECKING:
    from fal_tui.screens.base import Listing


def save_list(host: Host, listing: Listing) -> None:
    """The rows that are shown, in their order, with all columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.label for column in listing.grid.columns)
    for row in listing.grid.rows:
        writer.writerow(_harmless(plain(cell)) for cell in row.cells)
    name = f"{listing.place.name}-{listing.kind}" if listing.place.name else listing.kind
    _write(host, name, ".csv", out.getvalue(), f"{len(listing.grid.rows)} rows")


def save_page(host: Host, name: str, page: Page) -> None:
    """Its text; source as such."""
    text = page.plain if isinstance(page, Text) else page.text
    suffix = ".txt" if isinstance(page, Text) else {"python": ".py"}.get(page.language, ".txt")
    _write(host, name, suffix, text, f"{len(text.splitlines())} lines")


def _harmless(cell: str) -> str:
    """A spreadsheet would take a message that begins like this for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) and len(cell) > 1 else cell


def _write(host: Host, name: str, suffix: str, text: str, what: str) -> None:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:60] or "saved"
    path = Path.cwd() / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}{suffix}"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")
    except OSError as error:
        host.complain(f"{path}: {error.strerror}", title="Not saved")
        return
    host.say(f"Saved {what} to {path}")
