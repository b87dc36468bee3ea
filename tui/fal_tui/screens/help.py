"""All keys, searchable, from the registry of actions and from the widgets' own bindings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from fal_tui.actions import ACTIONS, Action, Situation, shown_key, why_not
from fal_tui.palette import Palette
from fal_tui.screens.dialog import Dialog
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
    """Action it runs; '' when it only explains a widget's key."""
    keys: str
    help: str
    group: str
    label: str = ""
    """What the footer calls it: searched, too."""
    reason: str = ""
    """Why it cannot be done now."""

    @property
    def text(self) -> str:
        return f"{self.keys} {self.label} {self.help} {self.group}"


def entries(
    situation: Situation,
    widgets: Sequence[tuple[str, Sequence[BindingType]]],
    actions: Sequence[Action] = ACTIONS,
    keymap: Mapping[str, str] = MappingProxyType({}),
) -> list[Entry]:
    """`widgets`: (group, bindings) of those that have keys of their own; `keymap`: other ones."""
    found = [
        Entry(
            action.id,
            " ".join(action.written),
            action.help,
            action.group,
            action.label,
            why_not(action, situation),
        )
        for action in actions
    ]
    for group, bindings in widgets:
        found += [_of(binding, group, keymap) for binding in bindings if _explained(binding)]
    return found


def _explained(binding: BindingType) -> bool:
    return isinstance(binding, Binding) and bool(binding.description)


def _of(binding: BindingType, group: str, keymap: Mapping[str, str]) -> Entry:
    assert isinstance(binding, Binding)
    bound = keymap.get(binding.id or "", binding.key)
    keys = " ".join(shown_key(key) for key in bound.split(","))
    return Entry("", keys, binding.tooltip or binding.description, group, binding.description)


class HelpScreen(Dialog[str]):
    """The id of the action to run, or None."""

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
        found = matcher(text)
        self.query_one(Grid).set_rows(
            [self._row(i, e) for i, e in enumerate(self._entries) if found(e.text)]
        )

    def _row(self, index: int, entry: Entry) -> Row:
        tone = self._palette
        faint = tone.muted if entry.reason else ""
        said = self._narrow and (not entry.id or entry.group == "Commands")
        where = f"{entry.group}: " if said else ""
        help = Text().append(where, tone.muted).append(entry.help, faint)
        if entry.reason:
            help.append(f"  ({entry.reason})", tone.muted)
        key = tone.muted if entry.reason else f"bold {tone.accent}"
        return Row(str(index), (Text(entry.keys, key), help, Text(entry.group, tone.muted)))

    def action_step(self, steps: int) -> None:
        self.query_one(Grid).action_move(steps)

    def action_run(self) -> None:
        cursor = self.query_one(Grid).cursor_id
        if cursor is None:
            return
        entry = self._entries[int(cursor)]
        if not entry.id:
            self.notify(f"{entry.keys} works in: {entry.group}", markup=False)
            return
        self.dismiss(entry.id)
