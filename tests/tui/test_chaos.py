"""The program in a terminal, while all goes wrong at once: afterwards it still answers keys."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

import crowd
from running import RunningBackend
from serving import serve
from tui.terminal import Terminal

COUNT = 10_000
STRANGE = (
    "[/oops] [bold red]x[/] [@click=app.quit]q[/] {{}} %s \x1b[31mred\x1b[2J\x1b]0;title\x07 "
    "\x00\x08\x7f\x9b5A \r\n\t 漢字 👩‍👩‍👧 \u202eback\u202c \u0301 \ufeff end"
)
"""Markup, control characters, what moves the cursor, clears the screen or turns text around."""
SIZES = ((20, 5), (200, 60), (59, 14), (20, 5), (99, 15), (21, 6), (300, 8), (20, 5))
FILE = f"""
import sys

from fal_serverless import isolated


@isolated(serve=True)
def odd():
    strange = {STRANGE!r}
    print(strange)
    print("[/] " + "x" * 1_000_000)
    sys.stdout.buffer.write(b"\\xff\\xfe \\x00 no text \\x1b[999;999H\\n" * 50)
    sys.stdout.buffer.flush()
    print("]" * 500 + "[" * 500, file=sys.stderr)
    print("the last strange line", end="", flush=True)
    return strange
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    found = tmp_path / "home"
    crowd.settle(found, COUNT, lambda n: f"{n} {STRANGE}", lambda n: n % 3 == 1)
    return found


@pytest.fixture
def backends(home: Path) -> Iterator[list[RunningBackend]]:
    """The one that runs is the last."""
    running = [crowd.start(home, called=10)]
    yield running
    for each in running:
        each.stop()


@pytest.fixture
def screen(backends: list[RunningBackend]) -> Iterator[Terminal]:
    terminal = Terminal(env=backends[0].env, size=(160, 45))
    yield terminal
    if terminal.pid:
        terminal.kill()


async def talk_strangely(backend: RunningBackend, folder: Path) -> None:
    path = folder / "odd.py"
    path.write_text(FILE)
    async with backend.client() as client:
        await serve(backend, client, path, "odd", "odd")
        assert (await client.invoke("odd", b"{}")).status == 200


def storm(screen: Terminal) -> None:
    """Other sizes, with keys in between, and back."""
    for size in SIZES:
        screen.resize(*size)
        screen.type("jGkg")
    screen.until("Not enough space")
    screen.resize(160, 45)


def test_whatever_happens_it_still_answers(
    backends: list[RunningBackend], screen: Terminal, tmp_path: Path
) -> None:
    screen.until("● live")
    screen.until("function-0")
    asyncio.run(talk_strangely(backends[0], tmp_path))
    screen.type("4")
    screen.until("the last strange line")
    storm(screen)
    screen.type("G")
    screen.until("the last strange line")

    screen.type("1")
    screen.until("function-0")
    backends[0].kill()
    screen.until("retrying")
    screen.type("Gj0jk24Gkg1Gjg")
    storm(screen)
    backends.append(crowd.start(backends[0].home, called=10, port=backends[0].port))
    screen.until("● live")

    # what was too small for any pane has given the focus away
    screen.type("1")
    screen.until("functions")
    screen.type("gG")
    screen.until(f"function-{COUNT - 1}")
    screen.type("4G")
    screen.until("the last strange line")
    screen.type("\x11\x11")
    assert screen.wait() == 0, screen.text
    screen.pid = 0
