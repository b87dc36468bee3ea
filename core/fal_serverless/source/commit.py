"""Which git commit is a file at? None of it is needed to serve; without git there is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fal_serverless.config import git_command

PATIENCE = 5.0
"""Seconds; a repository too large to answer in time counts as none."""


@dataclass(frozen=True)
class Commit:
    sha: str | None = None
    """None: not in a repository, or nothing committed yet."""
    dirty: bool = False
    """Uncommitted changes to tracked files."""


async def commit_of(folder: Path, environ: Mapping[str, str]) -> Commit:
    git = git_command()
    if git is None:
        return Commit()
    try:
        async with asyncio.timeout(PATIENCE):
            sha = await _ask(git, folder, environ, "rev-parse", "HEAD")
            if sha is None:
                return Commit()
            status = ("status", "--porcelain", "--untracked-files=no")
            return Commit(sha, bool(await _ask(git, folder, environ, *status)))
    except OSError:
        # It took too long, or cannot be run.
        return Commit()


async def _ask(git: str, folder: Path, environ: Mapping[str, str], *args: str) -> str | None:
    child = await asyncio.create_subprocess_exec(
        git, "-C", str(folder), *args,
        env={**environ, "GIT_OPTIONAL_LOCKS": "0"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        out, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
    return out.decode("utf-8", "replace").strip() if child.returncode == 0 else None
