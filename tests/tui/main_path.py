"""The main path, key by key: serve, call, tail, serve again, roll back, undo, auth, quit.

`screenshots/record.py` takes its recording of it, `test_terminal.py` checks it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tui.terminal import Terminal

FILE = """\
from fal_serverless import isolated


@isolated(serve=True)
def hello(name: str = "world"):
    print("greeting", name)
    return f"{greeting}, {{name}}!"
"""
NAME = "hello.py"

Step = Callable[[str], None]
"""Is told what was just shown."""


def write(folder: Path, greeting: str) -> None:
    (folder / NAME).write_text(FILE.format(greeting=greeting).replace("{{name}}", "{name}"))


def environ(home: Path, **more: str) -> dict[str, str]:
    """For a `fal-tui` with nothing configured."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
    return {**kept, "FAL_SERVERLESS_HOME": str(home), **more}


def stop_backend(env: dict[str, str]) -> None:
    """Whatever went wrong before, nothing stays; none that runs is fine."""
    command = [sys.executable, "-m", "fal_serverless.cli.main", "backend", "stop"]
    subprocess.run(command, env=env, check=False, capture_output=True)


class MainPath:
    """Walks it in a terminal; after each step `shown` hears its name."""

    def __init__(self, terminal: Terminal, folder: Path, shown: Step = lambda _: None) -> None:
        self.terminal = terminal
        self.folder = folder
        self.shown = shown

    def walk(self) -> None:
        self.begin()
        self.serve("first")
        self.call("Hello, world!")
        self.tail()
        write(self.folder, "Good day")
        self.serve("second", again=True)
        self.call("Good day, world!")
        self.roll_back()
        self.call("Hello, world!")
        self.undo()
        self.auth()
        self.activity()

    def begin(self) -> None:
        self.terminal.until("No functions yet")
        self.shown("begin")

    def serve(self, message: str, *, again: bool = False) -> None:
        t = self.terminal
        t.type("S")
        t.until(NAME)
        self.shown("files")
        t.type("\r")
        t.until("Moves hello" if again else "Makes the alias")
        t.wait_for(lambda: t.has_cursor("alias"), "the cursor in the alias")
        self.shown("form")
        t.type("\t\t")
        t.wait_for(lambda: t.has_cursor("message"), "the cursor in the message")
        t.type(message)
        t.until(message)
        self.shown("message")
        t.type("\r")
        t.until("live on hello")
        self.shown("served")
        t.until("enter close")
        t.type("\r")
        t.until_gone("enter close")
        self.shown("listed")

    def call(self, answer: str) -> None:
        t = self.terminal
        t.type("i")
        t.until("The answer appears here")
        self.shown("body")
        t.type("\n")
        t.until(answer)
        self.shown("answer")
        t.type("\x1b")
        t.until_gone("Invoke hello")

    def tail(self) -> None:
        t = self.terminal
        t.type("l")
        t.until("greeting world")
        self.shown("logs")
        if "S Serve" not in t.text:  # one pane at a time: back to the list
            t.type("\x1b")
            t.until("S Serve")

    def roll_back(self) -> None:
        t = self.terminal
        t.type("R")
        t.until("first")
        self.shown("revisions")
        t.type("\r")
        t.until("Good day")
        self.shown("diff")
        t.type("y")
        t.until("Rolled back hello")
        self.shown("rolled back")

    def undo(self) -> None:
        t = self.terminal
        t.type("z")
        t.until("Undone: hello")
        self.shown("undone")

    def auth(self) -> None:
        t = self.terminal
        t.type("A")
        t.until("anybody, without a key")
        self.shown("modes")
        t.type("\r")
        t.until("y make public")
        self.shown("question")
        t.type("y")
        t.until("hello is public now")
        self.shown("public")

    def activity(self) -> None:
        self.terminal.type("7")
        self.terminal.until("Rolled back hello: ")
        self.shown("activity")

    def quit(self) -> int:
        """Stops the backend, too; the exit code."""
        self.terminal.type("\x11")
        self.terminal.until("Stop and quit")
        self.shown("quit")
        self.terminal.type("s")
        return self.terminal.wait()
