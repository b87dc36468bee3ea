"""TOML files: read at once, written with their comments kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fal_serverless.config.folders import write_whole
from fal_serverless.errors import InvalidSetting, StateFailed


def read_toml(path: Path) -> dict[str, Any]:
    """What a file says; nothing when there is none. Raises InvalidSetting."""
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidSetting(f"{path} is not valid TOML: {exc}") from exc
    except OSError as exc:
        raise InvalidSetting(f"{path} cannot be read: {exc.strerror}") from exc


def edit_toml(
    path: Path, table: tuple[str, ...], values: dict[str, Any], mode: int = 0o644
) -> None:
    """Set values in a table of a file; all else in it stays. Raises StateFailed."""
    import tomlkit

    text = path.read_text() if path.exists() else ""
    document = tomlkit.parse(text)
    place: Any = document
    for name in table:
        if name not in place:
            place[name] = tomlkit.table(is_super_table=name == "contexts" and len(table) > 1)
        place = place[name]
    for name, value in values.items():
        place[name] = value
    _write(path, tomlkit.dumps(document), mode)


def drop_toml(path: Path, table: tuple[str, ...], name: str, mode: int = 0o644) -> None:
    """Take a name out of a table of a file, if it is there; all else stays. Raises StateFailed."""
    import tomlkit

    document = tomlkit.parse(path.read_text() if path.exists() else "")
    place: Any = document
    for part in table:
        place = place.get(part, {})
    if name in place:
        del place[name]
        _write(path, tomlkit.dumps(document), mode)


def _write(path: Path, text: str, mode: int) -> None:
    try:
        write_whole(path, text, mode)
    except OSError as exc:
        raise StateFailed(f"{path} cannot be written: {exc.strerror or exc}") from exc
