"""How is uv run? With an environment made for it, its output in lines, and nothing left of it.

Knows nothing of where environments are kept and what they are for.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from uv import find_uv_bin

from fal_serverless.config import build_environ
from fal_serverless.errors import BuildFailed

OLDEST = (3, 8)
"""The oldest Python that the worker's program runs on."""
GUARD = Path(__file__).with_name("guarded.py")
END_GRACE = 3.0
"""Seconds that the guard has to end a cancelled uv and all it started."""

Log = Callable[[str], None]


class Uv:
    """The program, with one configuration."""

    def __init__(self, environ: Mapping[str, str], python_downloads: str) -> None:
        self.environ = _environ(environ, python_downloads)
        self.downloads = python_downloads

    async def run(
        self, args: Sequence[str], log: Log, *, folder: Path | None = None, lock: int | None = None
    ) -> list[str]:
        """Its lines; `lock` is a descriptor it holds open. Raises BuildFailed with its reason.

        Cancelled, uv and what it started are gone before this returns; killed with us, soon after.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            guard = (sys.executable, "-I", "-S", str(GUARD), str(theirs.fileno()))
            process = await asyncio.create_subprocess_exec(
                *guard,
                find_uv_bin(),
                *args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self.environ,
                cwd=folder,
                pass_fds=(theirs.fileno(), *(() if lock is None else (lock,))),
                start_new_session=True,
            )
            theirs.close()
            try:
                assert process.stdout is not None
                lines = [line async for line in _lines(process.stdout, log)]
                status = await process.wait()
            except BaseException:
                ours.close()
                await asyncio.shield(_end(process))
                raise
        if status != 0:
            raise BuildFailed(reason(lines, status), log=lines[-50:])
        return lines

    async def installed_pythons(self) -> list[str]:
        """Versions that environments can be made of, oldest first."""
        args = ["python", "list", "--only-installed", "--output-format", "json"]
        try:
            text = await self.run(args, lambda _: None)
            entries = json.loads(next(line for line in text if line.startswith("[")))
        except (BuildFailed, StopIteration, ValueError):
            return []
        found = {(*(int(n) for n in entry["version_parts"].values()),) for entry in entries}
        return [".".join(map(str, parts)) for parts in sorted(found) if parts[:2] >= OLDEST]


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(END_GRACE):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def reason(lines: Sequence[str], status: int) -> str:
    """uv's own error in one line, without its decoration."""
    starts = [n for n, line in enumerate(lines) if line.startswith("error:")]
    if not starts:
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return last or f"uv ended with status {status} and said nothing"
    parts: list[str] = []
    for line in lines[starts[-1] :]:
        match = re.match(r"(?:error|\s*cause|\s*hint): *(.*)", line)
        if match is not None:
            parts.append(match[1].strip())
        elif parts and _CHAIN.match(parts[-1]) and line.strip():
            parts[-1] += f" {line.strip()}"
    return ": ".join(_concluded(part).rstrip(":") for part in parts if part)


_CHAIN = re.compile(r"Because ")
"""How a cause begins that goes on over several lines: why versions exclude each other."""
LONGEST = 320
"""Characters of such a chain that are kept whole; of a longer one its end, which concludes."""


def _concluded(part: str) -> str:
    if len(part) <= LONGEST or not _CHAIN.match(part):
        return part
    *_, last = part.rpartition(" And because ")
    return f"because {last}"


_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


async def _lines(stream: asyncio.StreamReader, log: Log) -> AsyncIterator[str]:
    rest = b""
    while block := await stream.read(65536):
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield _told(line, log)
    if rest:
        yield _told(rest, log)


def _told(raw: bytes, log: Log) -> str:
    line = _ANSI.sub("", raw.decode("utf-8", "replace")).rstrip()
    # Nobody is to activate this one.
    if line and not line.startswith("Activate with:"):
        log(line)
    return line


def _environ(environ: Mapping[str, str], python_downloads: str) -> dict[str, str]:
    made = build_environ(environ)
    made["UV_NO_CONFIG"] = "1"
    made["UV_PYTHON_DOWNLOADS"] = python_downloads
    made["UV_PYTHON_SEARCH_PATH"] = _search_path(made)
    # pip's own variable, which uv does not read, is where most people name their index.
    if "PIP_INDEX_URL" in made and not {"UV_INDEX_URL", "UV_DEFAULT_INDEX"} & made.keys():
        made["UV_DEFAULT_INDEX"] = made["PIP_INDEX_URL"]
    return made


def _search_path(environ: Mapping[str, str]) -> str:
    """PATH and pyenv's versions, newest first; without pyenv's shims, which answer errors."""
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv")
    path = [p for p in environ.get("PATH", "").split(os.pathsep) if p and Path(p) != root / "shims"]
    return os.pathsep.join([*path, *(str(p) for p in _pyenv_folders(root))])


def _pyenv_folders(root: Path) -> list[Path]:
    found = []
    for folder in root.glob("versions/*/bin"):
        match = re.match(r"(\d+)\.(\d+)", folder.parent.name)
        if match is not None and (int(match[1]), int(match[2])) >= OLDEST:
            found.append(((int(match[1]), int(match[2])), folder))
    return [folder for _, folder in sorted(found, reverse=True)]
