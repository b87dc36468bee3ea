"""Another program in our terminal: it has it for itself while the application is suspended."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from textual.app import App, SuspendNotSupported

from fal_serverless.config import process_environ


def run(
    app: App[Any], words: Sequence[str], *, given: bytes | None = None, pause: bool = False
) -> str:
    """Until it ends; what went wrong, or ''.

    `given` is its input, None: what is typed. `pause`: wait for a key before coming back.
    """
    try:
        with app.suspend():
            # Nothing may be raised in here: the application would stay suspended.
            return _run(words, given, pause)
    except SuspendNotSupported:
        return "this terminal cannot be given to another program"


def _run(words: Sequence[str], given: bytes | None, pause: bool) -> str:
    # Ctrl+C is for the program, not for us. A handler of ours is none of its.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        done = subprocess.run(words, env=process_environ(), input=given, check=False)
        problem = ended(words[0], done.returncode)
    except (OSError, ValueError) as error:
        problem = cannot(words[0], error)
    finally:
        signal.signal(signal.SIGINT, before)
    if pause:
        with suppress(EOFError, KeyboardInterrupt):
            input(f"\n{problem or 'done'}: press enter to go back to fal-tui ")
    return problem


def ended(name: str, code: int) -> str:
    """What is wrong with how it ended, or ''."""
    if code < 0:
        return f"{name} was ended by {signal.Signals(-code).name}"
    return f"{name} ended with code {code}" if code else ""


def cannot(name: str, error: OSError | ValueError) -> str:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return f"cannot run '{name}': {why}"
