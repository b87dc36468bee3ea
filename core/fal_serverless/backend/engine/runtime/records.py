"""What is more than a line: log records, warnings and tracebacks, each one entry with its level.

The user's own handlers keep their formats; where they write to the worker's stdout or stderr, the
level is kept as well.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from .output import Output

CALL, TOLD = "_fal_request_id", "_fal_told"
"""On a record: the call it was made in, and that it is in the log already."""
OF_USER = "request_id"
"""On a record: the call it belongs to, as the user's code says (`extra=`, a filter)."""
LONGEST_ID = 128
"""Characters of a request id."""

_OWN_TARGET = ("filename", "stream", "handlers", "force")


def install(output: Output) -> None:
    _keep_calls(output)
    _keep_levels(output)
    _show_all(output)
    _show_warnings(output)
    _show_tracebacks(output)


def _keep_calls(output: Output) -> None:
    """A record may be handled by another thread than the one that made it."""
    made = logging.getLogRecordFactory()

    def factory(*args: Any, **more: Any) -> logging.LogRecord:
        record = made(*args, **more)
        record.__dict__[CALL] = output.request_id()
        return record

    logging.setLogRecordFactory(factory)


def _tell(output: Output, handler: logging.Handler, record: logging.LogRecord) -> None:
    """As `StreamHandler.emit`, but whole and with its level."""
    try:
        text = handler.format(record)
    except RecursionError:
        raise
    except Exception:
        with output.as_one("ERROR"):
            handler.handleError(record)
        return
    record.__dict__[TOLD] = True
    output.entry(level_name(record.levelno), text.rstrip("\n"), _call_of(record))


def _call_of(record: logging.LogRecord) -> str | None:
    said = record.__dict__.get(OF_USER)
    if isinstance(said, str) and 0 < len(said) <= LONGEST_ID and said.isprintable():
        return said
    return record.__dict__.get(CALL)


def _keep_levels(output: Output) -> None:
    """Handlers that write to our streams give us the record; what others print is one entry."""
    original = logging.StreamHandler.emit

    def emit(self: Any, record: logging.LogRecord) -> None:
        is_ours = self.stream is output.stderr or self.stream is output.stdout
        if is_ours and self.terminator == "\n" and not output.forked:
            _tell(output, self, record)
        else:
            original(self, record)

    logging.StreamHandler.emit = emit  # type: ignore[method-assign]
    handled = logging.Handler.handle

    def handle(self: Any, record: logging.LogRecord) -> Any:
        if output.forked or type(self).emit in (emit, RecordHandler.emit):
            return handled(self, record)
        with output.printed(level_name(record.levelno), _call_of(record)) as told:
            done = handled(self, record)
        if told:
            record.__dict__[TOLD] = True
        return done

    logging.Handler.handle = handle  # type: ignore[method-assign]


class RecordHandler(logging.Handler):
    """On the root: for records that no handler of the user's shows."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        if TOLD in record.__dict__ or any(map(_shows, logging.getLogger().handlers)):
            return
        _tell(self._output, self, record)


def _shows(handler: logging.Handler) -> bool:
    """Whether what it gets may come to be seen without us; what goes into a file does not."""
    return not isinstance(handler, (RecordHandler, logging.FileHandler, logging.NullHandler))


def level_name(number: int) -> str:
    if number >= logging.ERROR:
        return "ERROR"
    if number >= logging.WARNING:
        return "WARNING"
    if number >= logging.INFO:
        return "INFO"
    return "DEBUG" if number >= logging.DEBUG else "TRACE"


def _show_all(output: Output) -> None:
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


def _show_warnings(output: Output) -> None:
    original = warnings.showwarning

    def show(
        message: Any, category: Any, filename: Any, lineno: Any, file: Any = None, line: Any = None
    ) -> None:
        if file is not None or sys.stderr is not output.stderr:
            original(message, category, filename, lineno, file, line)
            return
        text = warnings.formatwarning(message, category, filename, lineno, line)
        output.entry("WARNING", text.rstrip("\n"))

    warnings.showwarning = show


def _show_tracebacks(output: Output) -> None:
    """However one is printed: it comes in many pieces, and is one entry."""
    sys.excepthook = _whole(output, sys.excepthook)
    sys.unraisablehook = _whole(output, sys.unraisablehook)
    threading.excepthook = _whole(output, threading.excepthook)
    original = traceback.print_exception

    def print_exception(*args: Any, **more: Any) -> None:
        file = more.get("file")
        if file is None and len(args) > 4:
            file = args[4]
        target = sys.stderr if file is None else file
        if target is not output.stderr and target is not output.stdout:
            original(*args, **more)
            return
        with output.as_one("ERROR", target):
            original(*args, **more)

    traceback.print_exception = print_exception


def _whole(output: Output, show: Callable[..., Any]) -> Callable[..., None]:
    def shown(*args: Any) -> None:
        with output.as_one("ERROR"):
            show(*args)

    return shown
