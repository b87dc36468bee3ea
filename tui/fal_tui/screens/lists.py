"""Which list shows which kind of place; loaded after the first paint."""

from __future__ import annotations

from collections.abc import Sequence

from fal_tui.actions import ACTIONS, Action, Situation, footer, why_not
from fal_tui.bound import Bound
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
from fal_tui.widgets.bindings import LOG

KINDS: dict[Kind, type[Listing]] = {
    each.kind: each
    for each in (Functions, Revisions, Aliases, Moves, Keys, Workers, Activity, Audit, PulseList)
}

SHARE = 0.7
"""Part of the footer that the log pane's own keys may take."""


def hints(
    situation: Situation,
    width: int,
    in_log: bool,
    actions: Sequence[Action] = ACTIONS,
    marks: tuple[int, int] = (0, 0),
) -> list[Hint]:
    """The footer: in a log its own keys first, then actions as far as they fit.

    `marks`: how many are marked, and how many of those are hidden.
    """
    keys = situation.keys
    found = log_hints(width, keys) if in_log else mark_hints(marks, keys)
    room = width - sum(hint.width for hint in found)
    for action in footer(situation, room, actions):
        enabled = not why_not(action, situation)
        found.append(Hint(action.id, action.written[0], action.label, enabled))
    return found


def mark_hints(marks: tuple[int, int], keys: Bound) -> list[Hint]:
    """How many are marked, with the key that takes the marks back."""
    count, hidden = marks
    if not count:
        return []
    said = f"{count} marked" + (f", {hidden} hidden" if hidden else "")
    key = keys.key("list.unmark")
    return [Hint("", key, f"Unmark ({said})") if key else Hint("", "", said)]


def log_hints(width: int, keys: Bound) -> list[Hint]:
    """The keys that log pane and log view want to see in the footer, as far as they fit."""
    found: list[Hint] = []
    left = int(width * SHARE)
    for binding in LOG.named:
        key = keys.key(binding.id or "")
        if key and binding.show and binding.description:
            hint = Hint("", key, binding.description)
            left -= hint.width
            if left < 0:
                break
            found.append(hint)
    return found
