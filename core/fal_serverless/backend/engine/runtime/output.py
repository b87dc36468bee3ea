"""Where does what a function prints go? Into log lines that know their call.

`sys.stdout` and `sys.stderr` become line writers, `logging` gets a handler that keeps the level.
What is written to the descriptors 1 and 2 past Python goes through pipes and is not seen here.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import io
import logging
import os
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any, Callable

from .lines import Lines

LONGEST = 64 * 1024
"""Characters of one line; more are cut into pieces."""

HERE = __file__.rpartition("/")[0]

_current: contextvars.ContextVar[str] = contextvars.ContextVar("fal_request_id", default="")

Send = Callable[[str, str, float, str], None]
"""Level, text, seconds since 1970, request id."""


class Output:
    """The one place that knows which call a line belongs to."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.sole = ""
        """The call that runs, where only one runs at a time: threads of the function belong to
        it, though they do not see its context."""
        self.forked = False
        """This is a copy of the worker's process."""
        self.stdout = LineWriter(self, "STDOUT", 1)
        self.stderr = LineWriter(self, "STDERR", 2)

    def install(self) -> None:
        sys.stdout, sys.stderr = self.stdout, self.stderr
        _install_logging(self)
        # Before any of the user's, so after all of them.
        atexit.register(self._end)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._in_fork)

    def request_id(self) -> str:
        return _current.get() or self.sole

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
        self.settle()

    def settle(self) -> None:
        """Before a piece of an answer: the lines that go with it wait for room."""
        self._lines.settle()

    def line(self, level: str, text: str, request_id: str | None = None) -> None:
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

    def failure(self, error: BaseException) -> None:
        for line in traceback_of(error).splitlines():
            self.line("ERROR", line)

    def _end(self) -> None:
        if not self.forked:
            self._lines.end()

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

    def __init__(self, output: Output, level: str, descriptor: int) -> None:
        self._output = output
        self._level = level
        self._descriptor = descriptor
        self.begin_again()
        self.buffer = ByteWriter(self)

    def begin_again(self) -> None:
        """Forget half lines, and a lock that another thread held when it was forked."""
        self._pending: dict[str, str] = {}
        # Reentrant: a signal handler or finaliser may print while a line is on its way.
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        name = _current.get() or self._output.sole
        with self._lock:
            rest = self._pending.pop(name, "") + text
            if "\n" in text:
                *lines, rest = rest.split("\n")
                for line in lines:
                    self._output.line(self._level, shown(line), name)
            if len(rest) >= LONGEST:
                self._output.line(self._level, rest, name)
            elif rest:
                self._pending[name] = rest
        return len(text)

    def finish(self, name: str) -> None:
        if name in self._pending:
            with self._lock:
                rest = self._pending.pop(name, "")
                if rest:
                    self._output.line(self._level, shown(rest), name)

    def flush(self) -> None:
        """A half line stays until it is whole; a fork has no call that would end it."""
        if self._output.forked:
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

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._text.write(content.decode("utf-8", "replace"))
        return len(content)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()


def shown(line: str) -> str:
    """What a terminal would leave on the line: progress bars write over themselves."""
    if "\r" not in line:
        return line
    line = line.rstrip("\r")
    return line.rpartition("\r")[2] or line


class RecordHandler(logging.Handler):
    """Log records as lines with their own level, as long as the user has no handlers."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        if len(logging.getLogger().handlers) > 1:
            return
        try:
            lines = self.format(record).splitlines() or [""]
            for line in lines:
                self._output.line(_level_name(record.levelno), line)
        except Exception:
            self.handleError(record)


def _level_name(number: int) -> str:
    if number >= logging.ERROR:
        return "ERROR"
    if number >= logging.WARNING:
        return "WARNING"
    return "INFO" if number >= logging.INFO else "DEBUG"


_OWN_TARGET = ("filename", "stream", "handlers", "force")


def _install_logging(output: Output) -> None:
    """`basicConfig` does nothing where a handler exists; ours must not make it useless."""
    root = logging.getLogger()
    ours = RecordHandler(output)
    root.addHandler(ours)
    root.setLevel(logging.INFO)
    original = logging.basicConfig

    def basic_config(**options: Any) -> None:
        if root.handlers == [ours] and any(options.get(name) for name in _OWN_TARGET):
            root.removeHandler(ours)
        if root.handlers != [ours]:
            original(**options)
            return
        if "format" in options or "datefmt" in options:
            style = options.get("style", "%")
            ours.setFormatter(
                logging.Formatter(options.get("format"), options.get("datefmt"), style)
            )
        if options.get("level") is not None:
            root.setLevel(options["level"])

    logging.basicConfig = basic_config


def traceback_of(error: BaseException) -> str:
    """The traceback as Python prints it, from the user's first frame on."""
    return "".join(traceback.format_exception(type(error), error, _users(error.__traceback__)))


def _users(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(HERE):
        trace = trace.tb_next
    return trace


def last_line(error: BaseException) -> str:
    """`ValueError: bad`, with the place of a syntax error."""
    return "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
