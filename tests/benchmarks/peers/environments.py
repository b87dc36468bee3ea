"""Where the peers are installed: a virtual environment for each group of pyproject.toml.

Never the project's own environment. One that exists is whole: it is built aside and renamed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.peer import Absent, Shop

PROJECT = Path(__file__).parents[3] / "pyproject.toml"
INTERPRETER = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
"""Ours without its packages: peers run on the same one."""
SMALL = "peers-asgi"
"""Made whenever it is missing: without it there is nothing to compare with."""


def python_of(shop: Shop, group: str) -> Path:
    """The interpreter that has the group's packages. Raises Absent."""
    home = shop.cache / f"{group}-3.{sys.version_info.minor}"
    if not home.exists():
        if not shop.build and group != SMALL:
            raise Absent("not installed; --peers makes its environment")
        _build(home, group)
    return home / "bin" / "python"


def _build(home: Path, group: str) -> None:
    aside = home.with_name(f".{home.name}-{os.getpid()}")
    try:
        _uv("venv", "--quiet", "--relocatable", "--python", str(INTERPRETER), str(aside))
        packages = ("--group", f"{PROJECT}:{group}")
        _uv("pip", "install", "--quiet", "--compile-bytecode", "--python", str(aside), *packages)
        aside.rename(home)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def pins_of(python: Path) -> list[str]:
    """What is installed there, as exact requirements."""
    return _uv("pip", "freeze", "--quiet", "--python", str(python)).split()


def _uv(*arguments: str) -> str:
    # Its environment names ours as the active one, which must not be touched.
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    command = [sys.executable, "-m", "uv", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        raise Absent(f"not installed: {done.stderr.strip()[-300:]}")
    return done.stdout
