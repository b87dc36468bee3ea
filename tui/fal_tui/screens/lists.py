"""Which list shows which kind of place; loaded after the first paint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from textual.binding import Binding, BindingType

from fal_tui.actions import ACTIONS, Action, Situation, footer, shown_key, why_not
from fal_tui.chrome.footer import Hint
from fal_tui.places import Kind
from fal_tui.screens.activity import Activity, Audit
from fal_tui.screens.aliases import Aliases, Moves
from fal_tui.screens.base import Listing
from fal_tui.screens.functions import Functions
from fal_tui.screens.keys import Keys
from fal_tui.screens.pulse import PulseList
from fal_tui.screens.revisions import Revisions
from fal_tui.screens.workers import Workers
from fal_tui.widgets.grid import Grid
from fal_tui.widgets.log_pane import LogPane
from fal_tui.widgets.log_view import LogView

KINDS: dict[Kind, type[Listing]] = {
    each.kind: each
    for each in (Functions, Revisions, Aliases, Moves, Keys, Workers, Activity, Audit, PulseList)
}

WIDGETS: tuple[tuple[str, Sequence[BindingType]], ...] = (
    ("List", Grid.BINDINGS),
    ("Pulse", PulseList.BINDINGS),
    ("Log pane", (*LogPane.BINDINGS, *LogView.BINDINGS)),
)
"""Widgets with keys of their own, for the help."""

BINDINGS: tuple[BindingType, ...] = tuple(each for _, found in WIDGETS for each in found)
"""Those of all widgets; what has an id can have other keys."""

SHARE = 0.7
"""Part of the footer that the log pane's own keys may take."""


def hints(
    situation: Situation,
    width: int,
    in_log: bool,
    actions: Sequence[Action] = ACTIONS,
    keymap: Mapping[str, str] = MappingProxyType({}),
    marks: tuple[int, int] = (0, 0),
) -> list[Hint]:
    """The footer: in a log its own keys first, then actions as far as they fit.

    `keymap`: other keys of widgets, by binding id. `marks`: how many are marked, and how many of
    those are hidden.
    """
    found = log_hints(width, keymap) if in_log else mark_hints(marks, keymap)
    room = width - sum(hint.width for hint in found)
    for action in footer(situation, room, actions):
        enabled = not why_not(action, situation)
        found.append(Hint(action.id, action.key, action.label, enabled))
    return found


def mark_hints(marks: tuple[int, int], keymap: Mapping[str, str]) -> list[Hint]:
    """How many are marked, with the key that takes the marks back."""
    count, hidden = marks
    if not count:
        return []
    key = keymap.get("list.unmark", "u").split(",")[0]
    said = f"{count} marked" + (f", {hidden} hidden" if hidden else "")
    return [Hint("", shown_key(key), f"Unmark ({said})")]


def log_hints(width: int, keymap: Mapping[str, str] = MappingProxyType({})) -> list[Hint]:
    """The keys that log pane and log view want to see in the footer, as far as they fit."""
    found: list[Hint] = []
    left = int(width * SHARE)
    for binding in (*LogPane.BINDINGS, *LogView.BINDINGS):
        if isinstance(binding, Binding) and binding.show and binding.description:
            key = keymap.get(binding.id or "", binding.key).split(",")[0]
            hint = Hint("", shown_key(key), binding.description)
            left -= hint.width
            if left < 0:
                break
            found.append(hint)
    return found
