"""All keys, searchable, from the registry of actions and from the widgets' own bindings."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from fal_serverless.timelimit import TimeLimit, TooSlow
from fal_tui.actions import ACTIONS, Action, Situation, why_not
from fal_tui.bound import Keyed
from fal_tui.palette import Palette
from fal_tui.screens.dialog import Dialog
from fal_tui.slow import LONGEST, taken_away
from fal_tui.widgets.columns import Column
from fal_tui.widgets.filtering import matcher
from fal_tui.widgets.grid import Grid
from fal_tui.widgets.rows import Row

WIDTH = 110
"""Cells of the box where there is room."""
KEYS, GROUP = 13, 11
"""Cells of the outer columns."""
FRAME = 12
"""Cells of border, padding, gutter, gaps and scroll bar."""
NARROW = 100
"""Columns of the terminal below which the group has no column: the words need it."""


@dataclass(frozen=True)
class Entry:
    """One line of the help."""

    id: str
    """What enter runs: an action, or a widget's binding."""
    keys: tuple[str, ...]
    """As people write them; none: by its command line, or from here."""
    name: str
    """In a word or two, as the footer has it; searched, too."""
    help: str
    group: str
    reason: str = ""
    """Why it cannot be done now."""
    elsewhere: bool = False
    """It is a key of a widget that has not the focus: its group says which."""

    @property
    def text(self) -> str:
        return f"{' '.join(self.keys)} {self.name} {self.help} {self.group}"


def entries(
    situation: Situation,
    actions: Sequence[Action] = ACTIONS,
    widgets: Sequence[Keyed] = (),
    here: Container[str] = (),
) -> list[Entry]:
    """`widgets` have keys of their own; `here`: ids of their bindings that work where one is."""
    keys = situation.keys
    found = [
        Entry(
            each.id,
            keys.shown(each.id),
            each.label,
            each.help,
            each.group,
            why_not(each, situation),
        )
        for each in actions
    ]
    for widget in widgets:
        for each in widget.named:
            id = each.id or ""
            words = keys.say(each.tooltip or each.description)
            reason = "" if id in here else f"it works in: {widget.group}"
            shown, name = keys.shown(id), each.description
            found.append(Entry(id, shown, name, words, widget.group, reason, bool(reason)))
    return found


def matching(found: Sequence[Entry], text: str) -> list[Entry]:
    """Those with exactly that key first; then what has the text in it, or matches it as a filter.

    As a filter alone `ctrl+t` would be a regular expression that finds no such key.
    """
    wanted = text.strip()
    matches = matcher(wanted)
    by_key = [each for each in found if wanted in each.keys]
    others = [each for each in found if each not in by_key]
    plain = wanted.casefold()
    return by_key + [e for e in others if matches(e.text) or plain in e.text.casefold()]


class HelpScreen(Dialog[str]):
    """The id of what to run, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,ctrl+n", "step(1)", show=False),
        Binding("up,ctrl+k", "step(-1)", show=False),
        Binding("pagedown", "step(10)", show=False),
        Binding("pageup", "step(-10)", show=False),
        Binding("enter", "run", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    HelpScreen {
        & > #box { width: 110; height: 90%; }
        Input, Input:focus {
            height: 1; border: none; background: $boost; padding: 0 1; margin: 0 0 1 0;
        }
        Grid { height: 1fr; }
    }
    """

    heading = "Keys"
    hint = "type to search · ↑↓ move · enter run it · esc close"

    def __init__(self, found: Sequence[Entry], palette: Palette) -> None:
        super().__init__()
        self._entries = tuple(found)
        self._by_id = {each.id: each for each in found}
        self._palette = palette

    def inside(self) -> ComposeResult:
        yield Input(placeholder="search")
        columns = [
            Column("keys", "KEY", width=KEYS, priority=90),
            Column("help", "WHAT IT DOES", width=self._room(), priority=100),
        ]
        if not self._narrow:
            columns.append(Column("group", "WHERE", width=GROUP, priority=10))
        grid = Grid(columns, "No key does that.")
        grid.can_focus = False
        yield grid

    @property
    def _narrow(self) -> bool:
        return self.app.size.width < NARROW

    def _room(self) -> int:
        """Cells that are left for what a key does."""
        box = min(WIDTH, int(self.app.size.width * 0.94))
        return max(box - KEYS - (0 if self._narrow else GROUP) - FRAME, 20)

    def on_mount(self) -> None:
        self._show("")
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._show(event.value)

    def _show(self, text: str) -> None:
        try:
            with TimeLimit(LONGEST):
                found: Sequence[Entry] = matching(self._entries, text)
        except TooSlow:
            found = self._entries
            said = taken_away(f"Search {text.strip()}")
            self.notify(said, severity="warning", timeout=10, markup=False)
        self.query_one(Grid).set_rows([self._row(each) for each in found])

    def _row(self, entry: Entry) -> Row:
        tone = self._palette
        faint = tone.muted if entry.reason else ""
        # a widget's key, or a command of one's own
        said = self._narrow and "." in entry.id
        where = f"{entry.group}: " if said else ""
        help = Text().append(where, tone.muted).append(entry.help, faint)
        if entry.reason and not entry.elsewhere:
            help.append(f"  ({entry.reason})", tone.muted)
        key = Text(" ".join(entry.keys), tone.muted if entry.reason else f"bold {tone.accent}")
        return Row(entry.id, (key, help, Text(entry.group, tone.muted)))

    def action_step(self, steps: int) -> None:
        self.query_one(Grid).action_move(steps)

    def action_run(self) -> None:
        cursor = self.query_one(Grid).cursor_id
        if cursor is None:
            return
        entry = self._by_id[cursor]
        if entry.reason:
            self.notify(f"{entry.name}: {entry.reason}.", severity="warning", markup=False)
            return
        self.dismiss(entry.id)
