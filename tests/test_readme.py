"""The README says what is so: settings, keys, commands."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from click import Command, Context, Group

from fal_serverless import errors
from fal_serverless.cli.main import program
from fal_serverless.config import Settings
from fal_serverless.isolated import Options
from fal_tui.actions import markdown_table
from fal_tui.values import NAMES
from fal_tui.widgets.log_pane import LogPane
from fal_tui.widgets.log_view import LogView

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def section(name: str) -> str:
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.S)
    assert match, name
    return match[1]


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", section("settings"), re.M))
    assert rows == {item.name: str(item.default) for item in fields(Settings)}


def test_every_option_of_isolated_is_in_the_readme_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.*?)` \|", section("options"), re.M))
    assert rows == {item.name: str(item.default) for item in fields(Options)}


def test_every_exit_code_is_in_the_readme() -> None:
    told = {int(code) for code in re.findall(r"`(\d+)`", section("exit codes"))}
    known = {code for name, code in vars(errors).items() if name.startswith("EXIT_")}
    assert told == known - {errors.EXIT_OK}


def test_every_placeholder_of_own_commands_is_in_the_readme() -> None:
    told = README[README.index("Placeholders: ") : README.index("Nothing goes through a shell")]
    assert set(re.findall(r"`\{(\w+)\}`", told)) == set(NAMES)


def test_every_setting_reaches_what_it_sets() -> None:
    text = (ROOT / "core").rglob("*.py")
    code = "\n".join(path.read_text() for path in [*text, *(ROOT / "tui").rglob("*.py")])
    for item in fields(Settings):
        assert re.search(rf"settings\.{item.name}\b", code), item.name


def commands() -> list[str]:
    blocks = re.findall(r"```(?:console|bash)\n(.*?)```", README, re.S)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("fal-serverless ")]


@pytest.mark.parametrize("line", commands())
def test_every_command_of_the_readme_exists_with_its_options(line: str) -> None:
    words = line.split(" #")[0].split()[1:]
    command: Command = program
    while isinstance(command, Group):
        found = command.get_command(Context(command), words.pop(0))
        assert found is not None, line
        command = found
    known = {name for option in command.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_keys_of_the_readme_are_those_of_the_program() -> None:
    assert section("keys").strip() == markdown_table().strip()


def test_the_keys_of_the_log_pane_are_bound_and_all_are_told() -> None:
    told = set(re.findall(r"`(\S+?)`", section("log keys")))
    bound = {key.key for widget in (LogPane, LogView) for key in widget.BINDINGS}
    written = {key.split(",")[0].replace("escape", "esc") for key in bound}
    assert told <= written
    assert written - told <= {"pagedown", "pageup", "left", "right"}


def test_every_picture_is_there() -> None:
    for name in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / name).is_file(), name


def test_the_versions_agree() -> None:
    import tomllib

    from fal_serverless import __version__

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    assert f"**{__version__}**" in README
