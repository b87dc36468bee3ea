"""Which lines of somebody's error output are one traceback?

For programs that we cannot ask: what a function starts, and its forks. Python's own form is known;
where it ends shows only in the line behind it, or in silence.
"""

from __future__ import annotations

from typing import Literal

from fal_serverless.models import Level

BEGIN = b"Traceback (most recent call last):"
GROUP = b"Exception Group Traceback (most recent call last):"
BEFORE = (b"Exception in thread ", b"Exception ignored ")
"""What Python says in the line before one."""
CHAINS = (
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
)
FATAL = b"Fatal Python error: "
"""What an interpreter says that dies, as of a signal; its stacks follow."""
STACKS = (
    b"  ", b"Thread 0x", b"Current thread", b"Python runtime state: ", b"Extension modules: ",
)  # fmt: skip
"""How the lines behind that begin, blank ones between them."""
LONGEST = 1 << 20
"""Bytes of one; more is not joined."""

Entry = tuple[Level, bytes]

State = Literal["", "before", "inside", "group", "whole", "gap", "chained", "fatal"]
"""Nothing is held · the line that may come before one · its frames · those of an exception group,
which are all indented · its last line is there · a blank line behind that · another one follows ·
an interpreter dies."""


def follows(state: State, line: bytes) -> State:
    """What it is with one more line; '': the line does not belong to it."""
    if line == BEGIN or line.lstrip(b" +").startswith(GROUP):
        starts = state in ("", "before", "chained")
        return ("inside" if line == BEGIN else "group") if starts or state == "group" else ""
    if line.startswith(FATAL):
        return "fatal" if state == "" else ""
    if state == "fatal":
        return state if not line or line.startswith(STACKS) else ""
    if state == "":
        return "before" if line.startswith(BEFORE) else ""
    if state in ("inside", "group"):
        if line.startswith((b" ", b"\t")):
            return state
        return "whole" if state == "inside" and line else ""
    if state == "whole":
        return "" if line else "gap"
    if state == "gap":
        return "chained" if line in CHAINS else ""
    return "chained" if state == "chained" and not line else ""


class Joiner:
    """Takes lines, gives entries: a traceback whole, as an error; anything else as it comes."""

    def __init__(self, level: Level) -> None:
        self._level: Level = level
        self._held: list[bytes] = []
        """Of a traceback that may go on."""
        self._size = 0
        self._state: State = ""

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def feed(self, lines: list[bytes]) -> list[Entry]:
        entries: list[Entry] = []
        for line in lines:
            self._size += len(line)
            state = follows(self._state, line) if self._size <= LONGEST else ""
            if self._held and not state:
                entries += self.release()
                state = follows("", line)
            self._state = state
            if state:
                self._held.append(line)
            else:
                entries.append((self._level, line))
        return entries

    def release(self) -> list[Entry]:
        """What is held, as what it has turned out to be."""
        held, state = self._held, self._state
        self._held, self._state, self._size = [], "", 0
        if state == "before":
            return [(self._level, line) for line in held]
        blank: list[Entry] = []
        while held and not held[-1]:
            blank.append((self._level, held.pop()))
        return [("ERROR", b"\n".join(held)), *blank] if held else []
