"""The actions as somebody's config file wants them: other keys, and commands of their own. Pure.

What does not fit is an InvalidSetting that says what there is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePath
from typing import get_args

from textual.binding import Binding
from textual.keys import Keys

from fal_serverless.config import Command, Config
from fal_serverless.errors import InvalidSetting, meant
from fal_tui.actions import ACTIONS, Action, Reason, Situation
from fal_tui.bound import SHOWN, Bound, Keyed, ids_of, shown_key
from fal_tui.places import Kind, Pane
from fal_tui.values import NAMES, values

PREFIX = "command."
"""Before the name of an own command, in its action's id."""
FIELD = re.compile(r"\{(\w+)\}")
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish", "ash")
SHARED = {"log.undo", "back"}
"""A log lets that key pass when it has nothing to take back."""
MODIFIERS = ("ctrl", "shift", "alt", "super", "meta", "hyper")


@dataclass(frozen=True)
class Keymap:
    """What becomes of the keys: read once."""

    actions: tuple[Action, ...]
    """All of them with the keys that are in force, own commands last."""
    widgets: tuple[Keyed, ...]
    """Those with keys of their own, as they are without a config file."""
    others: Mapping[str, str]
    """Other keys of widgets by binding id, as Textual names them; '' for none."""

    @property
    def bound(self) -> Bound:
        """The answer to which key does what."""
        return Bound.of(self.actions, self.widgets, self.others)

    @property
    def for_textual(self) -> dict[str, str]:
        """The same for `App.set_keymap`, to which no key is the one that no terminal sends."""
        return {name: text or f"no-key-{name}" for name, text in self.others.items()}


def read(config: Config, widgets: Sequence[Keyed] = ()) -> Keymap:
    """Raises InvalidSetting, also for keys that two want."""
    _check_names(config, widgets)
    actions = [_rebound(action, config.keymap) for action in ACTIONS]
    actions += [_action(command, config.keymap) for command in config.commands]
    ids = ids_of(widgets)
    others = {name: keys(name, text) for name, text in config.keymap.items() if name in ids}
    found = Keymap(tuple(actions), tuple(widgets), others)
    _check_clashes(found)
    return found


def _check_names(config: Config, widgets: Sequence[Keyed]) -> None:
    own = {PREFIX + each.name for each in config.commands}
    known = {action.id for action in ACTIONS} | own | ids_of(widgets)
    for name in config.keymap:
        if name not in known:
            hint = meant(name, known) or f"; there are: {', '.join(sorted(known))}"
            raise InvalidSetting(f"keymap: no action '{name}'{hint} (in config.toml)")


def keys(name: str, text: str) -> str:
    """As Textual names them, comma separated; '' for no key. Raises InvalidSetting."""
    if not text.strip():
        return ""
    parts = [text] if text in (",", " ") else [part.strip() for part in text.split(",")]
    for part in parts:
        if not _is_key(part):
            raise InvalidSetting(
                f"keymap: '{part}' is no key for '{name}'; write it as R, ?, f5, ctrl+b, "
                "shift+left, space (in config.toml)"
            )
    # A comma alone would be read as an empty list.
    made = Binding.make_bindings([Binding("comma" if part == "," else part, "x") for part in parts])
    return ",".join(each.key for each in made)


def _is_key(part: str) -> bool:
    *before, last = part.split("+") if part != "+" else [part]
    known = {key.value for key in Keys}
    named = len(last) == 1 or last in known or last in SHOWN or _is_character(last)
    return bool(last) and named and all(each in MODIFIERS for each in before)


def _is_character(name: str) -> bool:
    """Whether it is what Unicode calls one, as `question_mark`."""
    try:
        return bool(unicodedata.lookup(name.replace("_", " ")))
    except KeyError:
        return False


def _rebound(action: Action, keymap: Mapping[str, str]) -> Action:
    if action.id not in keymap:
        return action
    return replace(action, keys=keys(action.id, keymap[action.id]))


def _check_clashes(found: Keymap) -> None:
    """Of two that want the same key neither is silently lost.

    All actions share the screen. A widget that has the focus takes a key before them: in lists and
    beside them that would leave an action without one; a log has keys of its own that mean
    something else, and only what is offered there, too, must keep its key.
    """
    actions = [(each.id, each.keys, each.panes) for each in found.actions]
    _no_two((name, text) for name, text, _ in actions)
    for pane in get_args(Pane):
        offered = [(name, text) for name, text, panes in actions if pane in panes]
        _no_two([*_of_widgets(found, pane), *offered])


def _of_widgets(found: Keymap, pane: Pane) -> list[tuple[str, str]]:
    """Id and keys of what its widgets do."""
    bindings = (each for keyed in found.widgets if keyed.pane == pane for each in keyed.named)
    return [(each.id or "", found.others.get(each.id or "", each.key)) for each in bindings]


def _no_two(wanted: Iterable[tuple[str, str]]) -> None:
    """Of (id, keys)."""
    taken: dict[str, str] = {}
    for name, text in wanted:
        for key in filter(None, keys(name, text).split(",")):
            other = taken.setdefault(key, name)
            if other != name and {other, name} != SHARED:
                raise InvalidSetting(
                    f"keymap: '{shown_key(key)}' is the key of both '{other}' and '{name}'; give "
                    'one of them another in [keymap], or "" for none (in config.toml)'
                )


# Commands of one's own


def _action(command: Command, keymap: Mapping[str, str]) -> Action:
    name = PREFIX + command.name
    _check(command)
    return Action(
        name,
        keys(name, keymap.get(name, command.key)),
        command.name,
        command.help or " ".join(command.run),
        "Commands",
        rank=45,
        panes=("list", "detail"),
        changes=command.changes,
        reason=_reason(command),
        command=f":{command.name}",
    )


def _check(command: Command) -> None:
    where = f"commands.{command.name}"
    kinds: tuple[str, ...] = get_args(Kind)
    for screen in command.screens:
        if screen not in kinds:
            raise InvalidSetting(
                f"{where}: no screen '{screen}'; there are: {', '.join(kinds)} (in config.toml)"
            )
    for name in fields_of(command):
        if name not in NAMES:
            raise InvalidSetting(
                f"{where}: no placeholder '{{{name}}}'; there are: {', '.join(NAMES)} "
                "(in config.toml)"
            )
    for script in _scripts(command.run):
        if FIELD.search(script):
            raise InvalidSetting(
                f"{where}: a placeholder in a shell's script would run what a name says; pass it "
                "as an argument: sh -c 'echo \"$1\"' sh {name} (in config.toml)"
            )


def _scripts(words: Sequence[str]) -> list[str]:
    """What a shell among the words would run: the word after its `-c`, `-lc` …"""
    found = []
    for place, word in enumerate(words):
        if PurePath(word).name in SHELLS:
            rest = words[place + 1 :]
            found += [
                after for flag, after in pairwise(rest) if re.fullmatch(r"-[a-z]*c[a-z]*", flag)
            ]
    return found


def fields_of(command: Command) -> list[str]:
    """Names of its placeholders."""
    return [name for word in command.run for name in FIELD.findall(word)]


def _reason(command: Command) -> Reason:
    needed = [name for name in fields_of(command) if name not in ("context", "backend")]

    def reason(situation: Situation) -> str:
        if command.screens and situation.place.kind not in command.screens:
            return f"it is for {', '.join(command.screens)}"
        have = values(situation.item)
        missing = [name for name in needed if not have.get(name)]
        return f"there is no {missing[0]} here" if missing else ""

    return reason


def words(command: Command, have: Mapping[str, str]) -> list[str]:
    """Its words with every placeholder replaced; a value never becomes two words."""
    return [FIELD.sub(lambda found: have.get(found[1], ""), word) for word in command.run]
