"""The interpreter we run in, the terminal around us, and programs that people have here."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def this_python() -> Path:
    """The interpreter we run in."""
    return Path(sys.executable)


def git_command() -> str | None:
    """Path of git, or None."""
    return shutil.which("git")


def inside_tmux() -> bool:
    """Whether the terminal is one of tmux, which takes some sequences only when wrapped."""
    return bool(os.environ.get("TMUX"))


def in_browser() -> bool:
    """Whether Textual was told to draw for a browser instead of a terminal."""
    return "BrowserDriver" in os.environ.get("TEXTUAL_DRIVER", "")


def editor_command() -> list[str]:
    """What edits files here: $VISUAL, $EDITOR, else vi."""
    wanted = os.environ.get("VISUAL") or os.environ.get("EDITOR", "")
    return _words(wanted) or ["vi"]


def pager_command() -> list[str]:
    """What reads long texts here: $PAGER, else less; less with colours in any case."""
    command = _words(os.environ.get("PAGER", "")) or ["less"]
    return [*command, "-R"] if Path(command[0]).name == "less" else command


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        # A quote without an end: as it is, it is found not to be a program.
        return [command]
