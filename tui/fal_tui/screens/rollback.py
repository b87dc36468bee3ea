"""To which revision? The previous live one is preselected; below, what would change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import ScrollableContainer
from textual.widgets import Static

from fal_serverless.errors import FalError
from fal_serverless.models import Alias, Move, Revision
from fal_tui import naming, render, safe
from fal_tui.bound import Bound
from fal_tui.headings import COLUMNS
from fal_tui.palette import Palette
from fal_tui.render import Look
from fal_tui.screens.dialog import Dialog, label
from fal_tui.widgets.grid import Grid

DiffOf = Callable[[str, str], Awaitable[Text]]
"""(before, after) ids -> what changes, drawn."""

CommandOf = Callable[[str], str]
"""Id of a revision -> the command line that does the same."""

_KEYS = ("id", "aliases", "age", "by", "message", "git")


def preselected(alias: Alias, moves: Sequence[Move], revisions: Sequence[Revision]) -> str | None:
    """Where the alias stood before its last move; else the newest revision that is not live."""
    there = {each.id for each in revisions} - {alias.revision}
    came_from = moves[0].from_revision if moves else None
    if came_from in there:
        return came_from
    return next((each.id for each in revisions if each.id in there), None)


def turn(old: Revision, new: Revision) -> str:
    """What going from one to the other is called."""
    return "Roll forward" if new.created_at > old.created_at else "Roll back"


@dataclass(frozen=True)
class Chosen:
    """What came of the picker."""

    revision: str
    sure: bool
    """`y` was pressed with everything in sight: no further question."""


class RollbackScreen(Dialog[Chosen]):
    """The revision to point `alias` at, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Do it", show=False),
        Binding("ctrl+d,pagedown", "scroll(8)", show=False, priority=True),
        Binding("ctrl+u,pageup", "scroll(-8)", show=False, priority=True),
    ]

    SHOWN: ClassVar = tuple(c for c in COLUMNS["revisions"] if c.key in _KEYS)

    DEFAULT_CSS = """
    RollbackScreen {
        & > #box { width: 120; height: 90%; }
        Grid { max-height: 35%; margin: 1 0 0 0; }
        #command { color: $text-accent; height: auto; max-height: 2; }
        #diff { height: 1fr; border-top: solid $panel-lighten-1; scrollbar-size: 1 1; }
        #diff > Static { width: 100%; }
    }
    """

    def __init__(
        self,
        alias: Alias,
        revisions: Sequence[Revision],
        chosen: str | None,
        diff_of: DiffOf,
        command_of: CommandOf,
        palette: Palette,
        keys: Bound,
    ) -> None:
        super().__init__()
        self.hint = keys.say(
            "y do it[ · {list.open} look closer] · ctrl+d ctrl+u scroll · esc cancel"
        )
        self.heading = f"Roll back {alias.name}"
        self._alias = alias
        self._revisions = tuple(revisions)
        self._chosen = chosen
        self._diff_of = diff_of
        self._command_of = command_of
        self._palette = palette

    def inside(self) -> ComposeResult:
        yield label("", id="line")
        yield Grid(self.SHOWN, "This function has no other revision.")
        with ScrollableContainer(id="diff", can_focus=False):
            yield Static(markup=False)
        yield label("", id="command")

    def on_mount(self) -> None:
        grid, look = self.query_one(Grid), Look(datetime.now(UTC), self._palette)
        keys = [column.key for column in COLUMNS["revisions"]]
        places = [keys.index(column.key) for column in self.SHOWN]
        rows = [render.row(each, look) for each in self._revisions]
        grid.set_rows(
            [
                replace(row, cells=tuple(row.cells[place] for place in places), sort=None)
                for row in rows
            ]
        )
        grid.styles.height = len(rows) + 1
        grid.focus()
        if self._chosen:
            grid.move_to(self._chosen)

    def on_grid_moved(self, event: Grid.Moved) -> None:
        event.stop()
        if event.id is not None:
            self._tell(event.id)
            self._compare(event.id)

    def _tell(self, id: str) -> None:
        """Alias, from → to, and the command line."""
        known = {each.id: each for each in self._revisions}
        old, new = known.get(self._alias.revision), known.get(id)
        live = id == self._alias.revision
        verb = turn(old, new) if old and new and not live else "Roll back"
        self.query_one("#box").border_title = Text(safe.lines(f"{verb} {self._alias.name}"))
        tone = self._palette
        text = Text("alias ", tone.muted).append(f"{self._alias.name}  ", "bold")
        text.append("from ", tone.muted).append(naming.short(self._alias.revision), tone.accent)
        if live:
            text.append("  live now: choose another one", tone.muted)
        else:
            text.append(" → to ", tone.muted).append(naming.short(id), f"bold {tone.accent}")
        if new is not None:
            when = f"  by {new.created_by} {render.local_time(new.created_at)}"
            text.append(when, tone.muted)
        self.query_one("#line", Static).update(safe.styled(text))
        command = "" if live else f"$ {self._command_of(id)}"
        self.query_one("#command", Static).update(Text(safe.lines(command)))

    @work(exclusive=True, group="diff", exit_on_error=False)
    async def _compare(self, revision: str) -> None:
        if revision == self._alias.revision:
            text = Text("This is the live one.", self._palette.muted)
        else:
            try:
                text = await self._diff_of(self._alias.revision, revision)
            except FalError as error:
                text = Text(str(error), self._palette.bad)
        self.query_one("#diff > Static", Static).update(safe.styled(text))
        self.query_one("#diff").scroll_home(animate=False)

    def on_grid_opened(self, event: Grid.Opened) -> None:
        event.stop()
        self._choose(event.id, sure=False)

    def action_yes(self) -> None:
        chosen = self.query_one(Grid).cursor_id
        if chosen is not None:
            self._choose(chosen, sure=True)

    def action_scroll(self, lines: int) -> None:
        self.query_one("#diff").scroll_relative(y=lines, animate=False)

    def _choose(self, revision: str, *, sure: bool) -> None:
        if revision == self._alias.revision:
            self.notify("It is the live one already.", severity="warning", markup=False)
            return
        self.dismiss(Chosen(revision, sure))
