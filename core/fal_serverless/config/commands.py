"""The keys and commands of the user's own in fal-tui."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, fields
from typing import Any

from fal_serverless.errors import InvalidSetting


@dataclass(frozen=True)
class Command:
    """A command of the user's own in fal-tui: `[commands.NAME]` in the config file."""

    name: str
    key: str
    """As in `keymap`; '' for none: by palette, help and `:NAME`."""
    run: tuple[str, ...]
    """Its words; `{name}`, `{revision}`, … stand for what the cursor is on."""
    help: str = ""
    confirm: bool = False
    """Asks first."""
    background: bool = False
    """Runs beside fal-tui, not in the terminal."""
    pause: bool = True
    """In the terminal: waits for enter when it is done."""
    changes: bool = False
    """It changes the backend: refused in read-only contexts."""
    screens: tuple[str, ...] = ()
    """Where it is offered; empty: wherever its placeholders have a value."""


def keymap_of(data: dict[str, Any]) -> dict[str, str]:
    """From the data of the config file. Raises InvalidSetting."""
    found = data.get("keymap", {})
    if not isinstance(found, dict):
        raise InvalidSetting('keymap must be a table: [keymap], then rollback = "ctrl+b"')
    for name, keys in found.items():
        if not isinstance(keys, str):
            raise InvalidSetting(f"keymap: the keys of '{name}' must be a text, not {keys!r}")
    return dict(found)


def commands_of(data: dict[str, Any]) -> tuple[Command, ...]:
    """From the data of the config file. Raises InvalidSetting."""
    found = data.get("commands", {})
    if not isinstance(found, dict):
        raise InvalidSetting("commands must be tables: [commands.NAME] with run (in config.toml)")
    return tuple(_command(name, entry) for name, entry in found.items())


def _command(name: str, entry: Any) -> Command:
    where = f"commands.{name} (in config.toml)"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InvalidSetting(f"{where}: a name has letters, digits, '-' and '_'")
    kinds = {item.name: str(item.type) for item in fields(Command) if item.name != "name"}
    if not isinstance(entry, dict) or not entry.get("run"):
        raise InvalidSetting(f"{where} needs run, as run = 'git show {{git}}'")
    made: dict[str, Any] = {"key": ""}
    for item, value in entry.items():
        if item not in kinds:
            raise InvalidSetting(f"{where}: no field '{item}'; there are: {', '.join(kinds)}")
        made[item] = _field(where, item, value, kinds[item])
    return Command(name, **made)


def _field(where: str, name: str, value: Any, kind: str) -> Any:
    """Of a command, as the type of its field says. Raises InvalidSetting."""
    if kind.startswith("tuple"):
        words = _words(where, name, value) if isinstance(value, str) else value
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return tuple(words)
        raise InvalidSetting(f"{where}: {name} must be a text or a list of texts")
    if type(value).__name__ != kind:
        raise InvalidSetting(f"{where}: {name} must be a {kind}, not {value!r}")
    return value


def _words(where: str, name: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise InvalidSetting(f"{where}: {name} has an open quote: {text!r}") from exc
