"""Which Python loads a file? Its project's own, because only that one has what the file imports.

Knows nothing of the file's content.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fal_serverless import config
from fal_serverless.errors import BadInput

LEAST = (3, 8)
"""Oldest Python that the loader and the workers run on."""


@dataclass(frozen=True)
class Interpreter:
    path: Path
    """As it was found: a virtual environment's link must not be resolved."""
    version: str
    """`major.minor`."""
    why: str
    """Where it was found, for messages."""


async def choose(file: Path, python: Path | None, environ: Mapping[str, str]) -> Interpreter:
    """`python` when given, else $VIRTUAL_ENV, else `.venv` beside or above the file, else ours.

    Raises BadInput when it is not a Python, or too old.
    """
    path, why = locate(file, python, environ)
    version = await minor_version(path)
    if tuple(int(part) for part in version.split(".")) < LEAST:
        raise BadInput(
            f"{path} is Python {version}; {LEAST[0]}.{LEAST[1]} is the oldest that works"
        )
    return Interpreter(path, version, why)


def locate(file: Path, python: Path | None, environ: Mapping[str, str]) -> tuple[Path, str]:
    """The interpreter's path, and where it was found."""
    if python is not None:
        return _named(python, environ), "--python"
    active = environ.get("VIRTUAL_ENV")
    if active and (found := _inside(Path(active))):
        return found, "$VIRTUAL_ENV"
    for folder in file.absolute().parents:
        if found := _inside(folder / ".venv"):
            return found, str(folder / ".venv")
    return config.this_python(), "the Python of fal-serverless"


async def minor_version(path: Path) -> str:
    """`3.12` of an interpreter."""
    if path == config.this_python():
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        child = await asyncio.create_subprocess_exec(
            str(path), "-I", "-c", code,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as exc:
        raise BadInput(f"{path} cannot be run: {exc.strerror}") from exc
    out = (await child.communicate())[0].decode("utf-8", "replace").strip()
    if child.returncode or not re.fullmatch(r"\d+\.\d+", out):
        raise BadInput(f"{path} is not a Python that works")
    return out


def _named(python: Path, environ: Mapping[str, str]) -> Path:
    """A path, a virtual environment's folder, a command on PATH, or a version like `3.12`."""
    if python.is_dir() and (found := _inside(python)):
        return found
    if python.is_file():
        return python.absolute()
    for found in (*_of_pyenv(str(python), environ), *_on_path(str(python), environ)):
        return found
    raise BadInput(
        f"no Python at {python}: it is no path of one, no command, and no version installed here",
        python=str(python),
    )


def _of_pyenv(wanted: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """pyenv's own versions, newest first; its commands on PATH only work for the chosen one."""
    version = re.fullmatch(r"(?:python)?(3\.\d+)(\.\d+)?", wanted)
    if version is None:
        return
    home = environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/"), ".pyenv")
    pattern = version[1] + (version[2] or ".*")
    for folder in sorted(Path(home, "versions").glob(pattern), key=_patch, reverse=True):
        if found := _inside(folder):
            yield found


def _patch(folder: Path) -> int:
    last = folder.name.rpartition(".")[2]
    return int(last) if last.isdigit() else -1


def _on_path(wanted: str, environ: Mapping[str, str]) -> Iterator[Path]:
    for name in (wanted, f"python{wanted}"):
        if command := shutil.which(name, path=environ.get("PATH")):
            yield Path(command)


def _inside(venv: Path) -> Path | None:
    for place in ("bin/python", "bin/python3", "Scripts/python.exe"):
        if (venv / place).exists():
            return (venv / place).absolute()
    return None
