"""What of the application can be done in a browser? Pure.

Another program cannot be given the terminal: there is none. And some keys never reach a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from textual.binding import Binding, BindingType

from fal_serverless.config import Command
from fal_tui.actions import Action
from fal_tui.bound import Keyed
from fal_tui.keymap import PREFIX, Keymap

KEPT = ("ctrl+w", "ctrl+t", "ctrl+n", "ctrl+q")
"""Keys that browsers keep: close, open, another window, quit."""
NEED_A_TERMINAL = ("edit", "pager")
"""Actions, of the registry and of widgets."""
INSTEAD = {"theme": ":theme", "quit": ":q"}
"""How else; otherwise by palette and help."""


def in_browser(keymap: Keymap, commands: Iterable[Command]) -> Keymap:
    """What is left of it there."""
    actions = possible(keymap.actions, commands)
    return replace(keymap, actions=actions, widgets=possible_widgets(keymap.widgets))


def possible(actions: Sequence[Action], commands: Iterable[Command]) -> tuple[Action, ...]:
    """Without what needs a terminal, and without keys that do not arrive."""
    absent = {*NEED_A_TERMINAL, *(PREFIX + each.name for each in commands if not each.background)}
    return tuple(_reached(action) for action in actions if action.id not in absent)


def _reached(action: Action) -> Action:
    keys = [key for key in action.keys.split(",") if key not in KEPT]
    if keys == action.keys.split(","):
        return action
    instead = action.command or INSTEAD.get(action.id, "")
    return replace(action, keys=",".join(keys), command=instead)


def possible_widgets(widgets: Iterable[Keyed]) -> tuple[Keyed, ...]:
    """The same for the keys of widgets."""
    return tuple(
        each._replace(bindings=[b for b in each.bindings if not _needs_it(b)]) for each in widgets
    )


def _needs_it(binding: BindingType) -> bool:
    return isinstance(binding, Binding) and binding.action in NEED_A_TERMINAL
