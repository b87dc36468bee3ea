"""Programs of the user's own: an editor, and the commands of the config file.

They get their words as they are, never through a shell. Of those in the background the last line
is told.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from fal_serverless.config import Command, editor_command, process_environ
from fal_serverless.errors import FalError
from fal_tui import detail, foreground, safe
from fal_tui.flows.calls import recents
from fal_tui.flows.host import Host
from fal_tui.keymap import words
from fal_tui.screens.page import PageScreen
from fal_tui.store import Item, Topic
from fal_tui.values import values

MOST = 64 * 1024
"""Bytes of a background program's output that are kept: the last ones."""


def line_of(found: Sequence[str]) -> str:
    """As one would type it, control characters visible."""
    return safe.lines(shlex.join(found)).replace("\n", "␊")


async def run(host: Host, command: Command, item: Item | None) -> None:
    """One command on the item under the cursor; asks first where it says so."""
    url = host.link.context.url if host.link.context else host.context.url
    found = words(command, {**values(item), "context": host.context.name, "backend": url})
    line = line_of(found)
    if command.confirm:
        body = Text(command.help or "Run it?")
        if not await host.confirm(command.name, body, verb="Run", command=line):
            return
    started = time.perf_counter()
    if command.background:
        await _behind(host, command, found, started)
    else:
        problem = foreground.run(host.app, found, pause=command.pause)
        _told(host, command, line, started, problem)


async def edit(host: Host, item: Item | None) -> None:
    """The source in the editor: the file it was served from, where that is the same, else a copy.

    What is changed in a copy is kept beside where one is, and said.
    """
    about = detail.subject(item, host.store)
    if about is None:
        return
    try:
        revision = await host.fetch(Topic("revision", about), lambda c: c.revision(about))
    except FalError as error:
        host.complain(str(error), title="Cannot edit")
        return
    source, name = revision.bundle.source, Path(revision.bundle.file_name).name or "source.py"
    own = next((path for path in recents(host) if path.name == name and _is(path, source)), None)
    problem = _open(host, own) if own else _open_copy(host, name, source)
    if problem:
        host.complain(problem, title="Edit")


def _is(path: Path, source: str) -> bool:
    try:
        return path.read_text() == source
    except (OSError, UnicodeDecodeError):
        return False


def _open(host: Host, path: Path) -> str:
    return foreground.run(host.app, [*editor_command(), str(path)])


def _open_copy(host: Host, name: str, source: str) -> str:
    with tempfile.TemporaryDirectory(prefix="fal-tui-") as folder:
        copy = Path(folder) / name
        copy.write_text(source)
        copy.chmod(0o400)
        problem = _open(host, copy)
        if not copy.exists() or _is(copy, source):
            return problem
        kept = Path.cwd() / f"edited-{datetime.now():%Y%m%d-%H%M%S}-{name}"
        try:
            shutil.copyfile(copy, kept)
        except OSError as error:
            return f"your changes could not be kept in {kept}: {error.strerror}"
    host.say(f"Your changes are in {kept}" + host.keys.say("[; {serve} serves it]"))
    return problem


async def _behind(host: Host, command: Command, found: Sequence[str], started: float) -> None:
    host.say(f"{command.name} runs in the background")
    try:
        program = await asyncio.create_subprocess_exec(
            *found,
            env=process_environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        _told(host, command, line_of(found), started, foreground.cannot(found[0], error))
        return
    try:
        output = await _output(program)
        problem = foreground.ended(found[0], await program.wait())
    finally:
        if program.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGTERM)
    _told(host, command, line_of(found), started, problem, output)
    if problem and output.strip():
        await host.ask(PageScreen(f"{command.name}: {problem}", Text(output.strip())))


async def _output(program: Any) -> str:
    kept = b""
    while chunk := await program.stdout.read(65536):
        kept = (kept + chunk)[-MOST:]
    return kept.decode(errors="replace")


def _told(
    host: Host, command: Command, line: str, started: float, problem: str, output: str = ""
) -> None:
    """Into Activity, with the line that does the same; a toast where nothing was seen."""
    host.done(f"Ran {command.name}", line, time.perf_counter() - started, problem)
    if problem:
        host.complain(problem, title=command.name)
    elif command.background:
        last = output.strip().rpartition("\n")[2]
        host.say(f"{command.name} is done" + (f": {last[:200]}" if last else ""))
