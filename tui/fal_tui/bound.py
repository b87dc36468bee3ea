"""Which key does it now? The one answer for hints, empty states, toasts, footers and help. Pure.

Ids are those of actions and of the widgets' bindings, as `[keymap]` names them. A text that names
a key is a template: `{serve}` stands for the key of that action, and what is between brackets is
left out where nothing does what it speaks of.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from re import Match
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from textual.binding import Binding, BindingType

from fal_tui.places import Pane

if TYPE_CHECKING:
    from fal_tui.actions import Action

NAMED = re.compile(r"\{([a-z_.]+)\}")
OPTIONAL = re.compile(r"\[([^\[\]]*)\]")

SHOWN = {
    "escape": "esc",
    "down": "↓",
    "up": "↑",
    "left": "←",
    "right": "→",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "minus": "-",
    "underscore": "_",
    "slash": "/",
    "plus": "+",
    "at": "@",
    "backslash": "\\",
}
"""Keys that people write in another way than Textual and Unicode do."""


def shown_key(key: str) -> str:
    """`?` for `question_mark`, `shift+←` for `shift+left`."""
    head, plus, tail = key.rpartition("+")
    return f"{head}{plus}{SHOWN.get(tail) or _character(tail) or tail}"


def _character(name: str) -> str:
    """The one that Unicode calls so; '' for none that is seen."""
    try:
        found = unicodedata.lookup(name.replace("_", " "))
    except KeyError:
        return ""
    return found if found.isprintable() and not found.isspace() else ""


def written(keys: str) -> tuple[str, ...]:
    """Of keys as Textual names them, comma separated, each as people write it."""
    return tuple(shown_key(key) for key in keys.split(",") if key)


class Keyed(NamedTuple):
    """A widget with keys of its own."""

    group: str
    """What the help calls it."""
    pane: Pane
    """Where it has the focus."""
    bindings: Sequence[BindingType]

    @property
    def named(self) -> list[Binding]:
        """Those that can have other keys."""
        return [each for each in self.bindings if isinstance(each, Binding) and each.id]


def ids_of(widgets: Iterable[Keyed]) -> frozenset[str]:
    """Ids of all their bindings."""
    return frozenset(each.id for widget in widgets for each in widget.named if each.id)


@dataclass(frozen=True)
class Bound:
    """The keys in force."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Id -> its keys as people write them; the first one is named in hints."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Id of an action -> its name in palette and help."""
    lines: Mapping[str, str] = field(default_factory=dict)
    """Id of an action -> what does it after `:`; only those that have that."""

    @classmethod
    def of(
        cls,
        actions: Iterable[Action] = (),
        widgets: Iterable[Keyed] = (),
        keymap: Mapping[str, str] = MappingProxyType({}),
    ) -> Bound:
        """`keymap`: other keys of widgets, by binding id."""
        actions = tuple(actions)
        keys = {action.id: written(action.keys) for action in actions}
        for widget in widgets:
            for each in widget.named:
                assert each.id is not None
                keys[each.id] = written(keymap.get(each.id, each.key))
        return cls(
            keys,
            {action.id: action.label for action in actions},
            {action.id: action.command for action in actions if action.command},
        )

    def all(self, id: str) -> tuple[str, ...]:
        """Its keys as people write them."""
        return self.keys.get(id, ())

    def shown(self, id: str) -> tuple[str, ...]:
        """All its keys, else the command line that does it."""
        return self.all(id) or tuple(filter(None, (self._line_of(id),)))

    def key(self, id: str) -> str:
        """Its first key; '' for none."""
        return next(iter(self.all(id)), "")

    def line(self, text: str) -> str:
        """`:q`, or what else leads to the command line and then `q`; '' where nothing does."""
        door = self.key("command")
        return f":{text}" if door == ":" else f"{door} {text}" if door else ""

    def _line_of(self, id: str) -> str:
        return self.line(self.lines[id].removeprefix(":")) if id in self.lines else ""

    def way(self, id: str) -> str:
        """Its key, else its command line, else its name in palette or help; '' for no way."""
        if found := self.key(id) or self._line_of(id):
            return found
        door = self.key("palette") or self.key("help")
        return f"{door} ▸ {self.labels[id]}" if door and id in self.labels else ""

    def say(self, template: str) -> str:
        """`[{undo} undoes]` becomes `z undoes`, or `` where nothing undoes."""

        def kept(found: Match[str]) -> str:
            return found[1] if all(map(self.way, NAMED.findall(found[1]))) else ""

        return NAMED.sub(lambda found: self.way(found[1]), OPTIONAL.sub(kept, template))


UNTOLD = Bound()
"""For those that name no key."""
