"""Where does what a function prints go? Into log entries that know their call.

`sys.stdout` and `sys.stderr` become line writers; what has more to it than lines goes through
`records.py`. What is written to the descriptors 1 and 2 past Python goes through pipes and is not
seen here.
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import contextvars
import io
import os
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any, Callable, Iterator, NoReturn, Tuple, Union

from . import owners, records
from .lines import Lines
from .raw import Raw

LONGEST = 1 << 20
"""Characters of one entry; more are cut into pieces."""
QUIET, OLDEST = 1.0, 5.0
"""Seconds after which a half line goes: when nothing was added to it, and in any case."""
TRACEBACK = "Traceback (most recent call last):"
NEAR = 500
"""Characters that may stand before a traceback in what is printed with it."""
HERE = __file__.rpartition("/")[0]

_current: contextvars.ContextVar[str] = contextvars.ContextVar("fal_request_id", default="")

_this_thread = threading.get_ident

Key = Union[str, Tuple[str, int]]
"""Whose half line it is: a request id, and the thread if it is not the main one."""


class Output:
    """The one place that knows which call an entry belongs to."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.sole = ""
        """The call that runs on the main thread, where only one runs at a time."""
        self.main = threading.get_ident()
        self._raw = Raw()
        self.forked = False
        """This is a copy of the worker's process."""
        self.stdout = LineWriter(self, lines, "STDOUT", 1)
        self.stderr = LineWriter(self, lines, "STDERR", 2)

    def install(self) -> None:
        sys.stdout = sys.__stdout__ = self.stdout  # type: ignore[misc, assignment]
        sys.stderr = sys.__stderr__ = self.stderr  # type: ignore[misc, assignment]
        records.install(self)
        self._lines.look = self._look
        # Before any of the user's, so after all of them.
        atexit.register(self._end)
        self._hear_exit()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_fork)

    def carry(self) -> None:
        """From now on threads belong to the call that started them, and children to theirs."""
        owners.install(self.request_id)
        self._raw.install()

    def request_id(self) -> str:
        return _current.get() or self.of_thread(threading.get_ident())

    def of_thread(self, thread: int) -> str:
        """The call that it works for; one that nobody has seen start works for the sole one."""
        if thread == self.main:
            return self.sole
        owner = owners.of_thread(thread)
        return self.sole if owner is None else owner

    @contextlib.contextmanager
    def of_call(self, request_id: str) -> Any:
        """Lines written in the block belong to that call."""
        token = _current.set(request_id)
        try:
            yield
        finally:
            self.finish(request_id)
            _current.reset(token)

    def finish(self, request_id: str) -> None:
        """Before the answer of a call."""
        self.stdout.finish(request_id)
        self.stderr.finish(request_id)
        if self._raw.has_children:
            self._raw.settle()
        self.settle()

    def settle(self) -> None:
        """Before a piece of an answer: the lines that go with it wait for room."""
        self._lines.settle()

    def entry(self, level: str, text: str, request_id: str | None = None) -> None:
        """One entry, of however many lines."""
        if self.forked:
            write_plain(1 if level == "STDOUT" else 2, text + "\n")
            return
        name = self.request_id() if request_id is None else request_id
        now = time.time()
        if len(text) <= LONGEST:
            self._lines.add(level, text, now, name)
            return
        for start in range(0, len(text), LONGEST):
            self._lines.add(level, text[start : start + LONGEST], now, name)

    def late(self, level: str, text: str, name: str) -> None:
        """An entry that goes with the next ones; whoever tells it is not held up."""
        self._lines.put(level, text, time.time(), name)

    def failure(self, error: BaseException) -> None:
        self.entry("ERROR", traceback_of(error).rstrip("\n"))

    @contextlib.contextmanager
    def as_one(self, level: str, writer: LineWriter | None = None) -> Iterator[None]:
        """What this thread writes to stderr, or to `writer`, in the block is one entry."""
        writer = writer or self.stderr
        pieces = writer.gather()
        try:
            yield
        finally:
            text = writer.gathered(pieces).strip("\n")
            if text:
                writer.finish(self.request_id())
                self.entry(level, text)

    @contextlib.contextmanager
    def printed(self, level: str, name: str | None) -> Iterator[list[str]]:
        """What this thread prints in the block is one entry, and is in the list after it.

        A half line at its end is none: it may be of a progress bar that is drawn anew.
        """
        gathering = [(writer, writer.gather()) for writer in (self.stdout, self.stderr)]
        told: list[str] = []
        try:
            yield told
        finally:
            for writer, pieces in gathering:
                whole, _, half = writer.gathered(pieces).rpartition("\n")
                text = shown(whole.strip("\n"))
                if text:
                    if not whole.startswith("\r"):
                        writer.finish(self.request_id())
                    told.append(text)
                    self.entry(level, text, name)
                if half:
                    writer.write(half)

    def _look(self) -> bool:
        """For half lines that have waited long enough; whether there are others."""
        now = time.monotonic()
        return self.stdout.look(now) | self.stderr.look(now)

    def _end(self) -> None:
        if not self.forked:
            for writer in (self.stdout, self.stderr):
                writer.finish_all()
            self._lines.end()

    def _hear_exit(self) -> None:
        """`os._exit` ends the process as it is: what was said goes first."""
        leave = os._exit

        def leave_told(status: int) -> NoReturn:
            for writer in (self.stdout, self.stderr):
                if self.forked:
                    writer.flush()
                else:
                    writer.let_go()
            if not self.forked:
                self._lines.hurry()
            leave(status)

        os._exit = leave_told

    def _in_fork(self) -> None:
        """A fork must not write into the channel beside us: its lines go to plain descriptors.

        Log handlers made before hold on to these writers, so they stay and do something else.
        """
        self.forked = True
        self._lines.forget()
        self.stdout.begin_again()
        self.stderr.begin_again()


def write_plain(descriptor: int, text: str) -> None:
    content = text.encode("utf-8", "backslashreplace")
    # Nobody may read any more, and that must not end the program.
    with contextlib.suppress(OSError):
        while content:
            content = content[os.write(descriptor, content) :]


class LineWriter(io.TextIOBase):
    """Stands for sys.stdout or sys.stderr; a line leaves when it is complete or its call ends."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, output: Output, lines: Lines, level: str, descriptor: int) -> None:
        self.output = output
        self._lines = lines
        self._level = level
        self._descriptor = descriptor
        self.begin_again()
        self.buffer = ByteWriter(self)

    def begin_again(self) -> None:
        """Forget half lines, and a lock that another thread held when it was forked."""
        self._pending: dict[Key, str] = {}
        self._seen: dict[Key, tuple[float, float, str]] = {}
        """Half lines at the last look: when they began, when they grew last, and the text."""
        self._gathering: dict[int, list[str]] = {}
        """Threads that write one entry, and what they wrote."""
        # Reentrant: a signal handler or finaliser may print while a line is on its way.
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        thread, output = _this_thread(), self.output
        if self._gathering and thread in self._gathering:
            self._gathering[thread].append(text)
            return len(text)
        name = _current.get()
        if not name:
            name = output.sole if thread == output.main else output.of_thread(thread)
        key = name if thread == output.main else (name, thread)
        with self._lock:
            rest = self._pending.pop(key, "")
            if text == "\n":  # as every print says
                # Spelled out: it is what a flood runs through.
                output.entry("ERROR" if "\n" in rest else self._level, shown(rest), name)
                return 1
            # In two steps: so Python adds in place, and a line may come in a million pieces.
            rest += text
            if "\n" in text:
                *lines, rest = self._taken_apart(rest)
                for line in lines:
                    output.entry(self._level_of(line), shown(line), name)
            while len(rest) > LONGEST:
                output.entry(self._level_of(rest), rest[:LONGEST], name)
                rest = rest[LONGEST:]
            if rest:
                self._pending[key] = rest if "\r" not in text else state(rest)
                if not self._lines.watched:
                    self._lines.watch()
        return len(text)

    def _taken_apart(self, text: str) -> list[str]:
        """Its lines, the last without an end; what holds a traceback is not taken apart.

        `print(traceback.format_exc())` says one thing, and so do loggers that write their own way.
        """
        if TRACEBACK not in text[: NEAR + len(TRACEBACK)] or self.output.forked:
            return text.split("\n")
        return [text.rstrip("\n"), ""] if text.endswith("\n") else [text]

    def _level_of(self, text: str) -> str:
        return "ERROR" if "\n" in text else self._level

    def finish(self, name: str) -> None:
        """The half lines of a call."""
        if self._pending:
            with self._lock:
                for key in [key for key in self._pending if _name_in(key) == name]:
                    text = self._pending.pop(key)
                    self.output.entry(self._level_of(text), shown(text), name)

    def finish_all(self) -> None:
        for name in set(map(_name_in, self._pending)):
            self.finish(name)

    def let_go(self) -> None:
        """All half lines, also when another thread is stuck in the middle of one."""
        if self._lock.acquire(timeout=QUIET):
            try:
                for key in list(self._pending):
                    text = self._pending.pop(key)
                    self.output.late(self._level_of(text), shown(text), _name_in(key))
            finally:
                self._lock.release()

    def look(self, now: float) -> bool:
        """Let half lines go that are due; whether there are others. Never waits."""
        if not self._pending:
            self._seen.clear()
            return False
        if not self._lock.acquire(blocking=False):
            return True
        try:
            seen = {}
            for key, text in list(self._pending.items()):
                began, grew, known = self._seen.get(key, (now, now, ""))
                if text is not known:
                    grew = now
                    if not text.startswith(known) and "\r" not in text:
                        began = now
                if now - grew >= QUIET or now - began >= OLDEST:
                    del self._pending[key]
                    self.output.late(self._level_of(text), shown(text), _name_in(key))
                else:
                    seen[key] = (began, grew, text)
            self._seen = seen
            return bool(seen)
        finally:
            self._lock.release()

    def gather(self) -> list[str] | None:
        """From now on this thread's writes are kept; None: they are already."""
        thread = threading.get_ident()
        if thread in self._gathering or self.output.forked:
            return None
        pieces: list[str] = []
        self._gathering[thread] = pieces
        return pieces

    def gathered(self, pieces: list[str] | None) -> str:
        """What was written since, and no more of it."""
        if pieces is None:
            return ""
        self._gathering.pop(threading.get_ident(), None)
        return "".join(pieces)

    def flush(self) -> None:
        """A half line stays until it is whole; a fork has no call that would end it."""
        if self.output.forked:
            for rest in self._pending.values():
                write_plain(self._descriptor, rest)
            self._pending.clear()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False

    @property
    def name(self) -> str:
        return f"<{self._level.lower()}>"

    def reconfigure(self, **options: Any) -> None:
        """Accepted, as a real text stream would; there is nothing to change."""


class ByteWriter(io.RawIOBase):
    """`sys.stdout.buffer`."""

    def __init__(self, text: LineWriter) -> None:
        self._text = text
        # A character may come in two pieces.
        self._decode: Callable[..., str] = codecs.getincrementaldecoder("utf-8")("replace").decode

    def write(self, data: Any) -> int:
        content = bytes(data)
        text = self._decode(content)
        if text:
            self._text.write(text)
        return len(content)

    def flush(self) -> None:
        self._text.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()


def _name_in(key: Key) -> str:
    return key if isinstance(key, str) else key[0]


def shown(line: str) -> str:
    """What a terminal would leave on the line: progress bars write over themselves."""
    if "\r" not in line:
        return line
    if "\n" in line:
        return "\n".join(map(shown, line.split("\n")))
    line = line.rstrip("\r")
    return line.rpartition("\r")[2] or line


def state(half: str) -> str:
    """What is still to be seen of a half line; the mark stays that it was written over."""
    if "\n" in half:
        return half
    text = half.rstrip("\r")
    return "\r" + text.rpartition("\r")[2] + "\r" * (len(half) > len(text))


def traceback_of(error: BaseException) -> str:
    """The traceback as Python prints it, from the user's first frame on."""
    trace = _users(_TRACE(error))
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception as exc:
        # Python asks the user's class for attributes, and that may raise anything.
        frames = "".join(traceback.format_tb(trace))
        return f"{TRACEBACK}\n{frames}{_not_shown(error, exc)}"


_TRACE = BaseException.__dict__["__traceback__"].__get__
"""Whatever a class makes of its attributes."""


def _not_shown(error: BaseException, why: Exception) -> str:
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}: <not shown: {type(why).__name__}: {why}>"


def _users(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(HERE):
        trace = trace.tb_next
    return trace


def last_line(error: BaseException) -> str:
    """`ValueError: bad`, with the place of a syntax error."""
    try:
        shown = "".join(traceback.format_exception_only(type(error), error))
    except Exception as exc:
        shown = _not_shown(error, exc)
    return shown.strip().splitlines()[-1]
