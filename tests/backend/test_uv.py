"""Uv, and the guard that leaves nothing of a command."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from fal_serverless.backend.uv import GUARD, Uv, reason
from fal_serverless.errors import BuildFailed

DAEMON = "setsid sh -c 'echo $$ > {mark}; exec sleep 600' & "


async def guarded(command: str) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """A shell command under the guard, and our end of its channel."""
    ours, theirs = socket.socketpair()
    with theirs:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", GUARD, str(theirs.fileno()), "/bin/sh", "-c", command),
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
        )
    return child, ours


async def pid_in(mark: Path) -> int:
    """Of the process that wrote it there, as a descriptor (pidfd)."""
    async with asyncio.timeout(20):
        while True:
            if mark.exists() and (text := mark.read_text()).endswith("\n"):
                return os.pidfd_open(int(text))
            await asyncio.sleep(0.01)


async def ended(handle: int) -> None:
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(handle, event.set)
    await asyncio.wait_for(event.wait(), 5)
    loop.remove_reader(handle)
    os.close(handle)


async def test_output_and_status_are_the_commands() -> None:
    child, ours = await guarded("echo said; exit 7")
    with ours:
        assert (await child.communicate())[0] == b"said\n"
    assert child.returncode == 7


async def test_what_a_finished_command_left_is_ended(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    child, ours = await guarded(DAEMON.format(mark=mark) + f"until [ -s {mark} ]; do :; done")
    with ours:
        # The daemon holds the pipe: this would wait for it.
        await asyncio.wait_for(child.communicate(), 5)
    assert child.returncode == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


async def test_a_closed_channel_ends_the_command_and_its_daemons(tmp_path: Path) -> None:
    child, ours = await guarded(DAEMON.format(mark=tmp_path / "pid") + "sleep 600")
    handle = await pid_in(tmp_path / "pid")
    ours.close()
    assert await asyncio.wait_for(child.wait(), 5) == 1
    await ended(handle)


async def test_a_killed_guard_takes_the_command_along(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    child, ours = await guarded(f"echo $$ > {mark}; exec sleep 600")
    with ours:
        handle = await pid_in(mark)
        child.kill()
        await ended(handle)
        await child.wait()


async def test_a_command_that_uv_refuses_is_its_own_reason() -> None:
    with pytest.raises(BuildFailed, match="unrecognized subcommand") as failed:
        await Uv(os.environ, "never").run(["no-such-thing"], lambda _: None)
    assert failed.value.data["log"]


async def test_lines_come_without_colours_and_blank_ones_are_not_told() -> None:
    told: list[str] = []
    lines = await Uv(os.environ, "never").run(["--color", "always", "help"], told.append)
    assert lines and not any("\x1b" in line for line in lines)
    assert "" not in told


CONFLICT = """\
error: No solution found when resolving dependencies
  cause: Because flask==2.0.0 depends on werkzeug>=2.0 and you require flask==2.0.0, we can conclude that you require werkzeug>=2.0.
         And because you require werkzeug==0.9, we can conclude that your requirements are unsatisfiable."""  # noqa: E501


def test_a_conflict_is_told_to_its_end() -> None:
    told = reason(CONFLICT.splitlines(), 1)
    assert told.startswith("No solution found when resolving dependencies: Because flask==2.0.0")
    assert told.endswith("you require werkzeug==0.9, we can conclude that your requirements are unsatisfiable.")  # fmt: skip  # noqa: E501


def test_of_a_long_chain_of_reasons_the_last_one_is_told() -> None:
    first, cause, last = CONFLICT.splitlines()
    between = ["    And all of:"] + [f"             pandas=={n}" for n in range(99)]
    told = reason([first, cause, *between, last], 1)
    assert told == (
        "No solution found when resolving dependencies: because you require werkzeug==0.9, "
        "we can conclude that your requirements are unsatisfiable."
    )


def test_what_points_at_a_character_is_no_part_of_a_reason() -> None:
    lines = ["error: Failed to parse: `a>>1`", "  cause: no such operator", "  a>>1", "   ^^^"]
    assert reason(lines, 1) == "Failed to parse: `a>>1`: no such operator"
