"""What can go wrong, in one tree.

FalError                      anything this project reports; the rest is a bug
├── BadInput                  what was asked cannot be done as written
│   ├── InvalidOption         an @isolated option that does not exist or has a wrong value
│   ├── InvalidName           an alias, label or nickname outside the rule
│   ├── InvalidSetting        a setting or context that cannot be read
│   ├── InvalidCall           the arguments of a served function do not fit its parameters
│   ├── MethodNotAllowed      the address exists, and answers to other methods
│   ├── SourceError           the user's file
│   │   ├── FileMissing       it is not there, or not a Python file
│   │   ├── LoadFailed        it does not parse, or raised while it was imported
│   │   ├── FunctionMissing   it holds no function of that name
│   │   ├── NotIsolated       the function has no @isolated
│   │   ├── NotServable       it has, but neither `serve` nor `exposed_port`
│   │   └── NotPicklable      it cannot be sent to a worker
│   ├── PythonMismatch        pickled by one Python minor, to be run by another
│   ├── BuildFailed           the environment could not be made (uv's own words)
│   └── HeadTooSlow           a request line and headers that do not end
├── NotAuthenticated          no key, or none that we know
├── NotAllowed                a valid key without the right
│   └── ReadOnly              the context is read-only; nothing was sent
├── NotFound                  no such function, revision, alias, key, worker, user
├── Conflict                  it exists, and stands in the way
├── TooLarge                  a body over its limit
│   └── HeadTooLarge          request line and headers over theirs
├── WorkerFailed              the user's code never became ready, or died
│   ├── StartupTimeout        not ready in time
│   └── RequestTimeout        no answer in time
├── CallFailed                a call from Python whose outcome cannot be given as it is
│   ├── RemoteError           it raised an exception whose type cannot be made here
│   └── ResultLost            what it returned cannot be pickled there, or not be read here
├── TooManyCalls              a key calls more often than it may
├── QueueFull                 more calls are waiting than the endpoint may hold
├── StateFailed               what a backend keeps cannot be read or written: a full disk, a damage
├── Unreachable               no backend answers there
├── VersionSkew               client and backend are too far apart to understand each other
├── PortTaken                 somebody else listens on that port
└── BadAnswer                 the backend's answer is not one we understand

Every class carries a stable `code` (it travels in the API as `error_type`), the HTTP `status` it
is answered with and the `exit_code` of a command that ends with it. The message is for people: what
was asked for, what exists, what to do next. `data` holds JSON values for programs.

This file goes into workers of other Python versions as it is: standard library only, Python 3.8.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, Type  # noqa: UP035 - workers may run Python 3.8

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_NOT_ALLOWED = 4
EXIT_NOT_FOUND = 5
EXIT_INTERRUPTED = 130


class FalError(Exception):
    """Anything this project reports on purpose. `data` must be JSON values."""

    code = "error"
    status = 500
    exit_code = EXIT_ERROR

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.message = message
        self.data: Dict[str, Any] = data  # noqa: UP006

    def __reduce__(self) -> Any:
        return (_rebuild, (type(self), self.message, self.data))


def _rebuild(cls: Type[FalError], message: str, data: Dict[str, Any]) -> FalError:  # noqa: UP006
    return cls(message, **data)


class BadInput(FalError):
    code = "bad_input"
    status = 400


class InvalidOption(BadInput):
    code = "invalid_option"


class InvalidName(BadInput):
    code = "invalid_name"


class InvalidSetting(BadInput):
    code = "invalid_setting"


class InvalidCall(BadInput):
    code = "invalid_call"
    status = 422


class MethodNotAllowed(BadInput):
    code = "method_not_allowed"
    status = 405


class SourceError(BadInput):
    code = "source_error"


class FileMissing(SourceError):
    code = "file_missing"


class LoadFailed(SourceError):
    code = "load_failed"


class FunctionMissing(SourceError):
    code = "function_missing"


class NotIsolated(SourceError):
    code = "not_isolated"


class NotServable(SourceError):
    code = "not_servable"


class NotPicklable(SourceError):
    code = "not_picklable"


class PythonMismatch(BadInput):
    code = "python_mismatch"


class BuildFailed(BadInput):
    code = "build_failed"
    status = 422


class HeadTooSlow(BadInput):
    code = "head_too_slow"
    status = 408


class NotAuthenticated(FalError):
    code = "not_authenticated"
    status = 401
    exit_code = EXIT_NOT_ALLOWED


class NotAllowed(FalError):
    code = "not_allowed"
    status = 403
    exit_code = EXIT_NOT_ALLOWED


class ReadOnly(NotAllowed):
    code = "read_only"


class NotFound(FalError):
    code = "not_found"
    status = 404
    exit_code = EXIT_NOT_FOUND


class Conflict(FalError):
    code = "conflict"
    status = 409


class TooLarge(FalError):
    code = "too_large"
    status = 413


class HeadTooLarge(TooLarge):
    code = "head_too_large"
    status = 431


class WorkerFailed(FalError):
    code = "worker_failed"
    status = 502


class StartupTimeout(WorkerFailed):
    code = "startup_timeout"
    status = 504


class RequestTimeout(WorkerFailed):
    code = "request_timeout"
    status = 504


class CallFailed(FalError):
    code = "call_failed"


class RemoteError(CallFailed):
    code = "remote_error"


class ResultLost(CallFailed):
    code = "result_lost"


class TooManyCalls(FalError):
    code = "too_many_calls"
    status = 429


class QueueFull(FalError):
    code = "queue_full"
    status = 503


class StateFailed(FalError):
    code = "state_failed"
    status = 507


class Unreachable(FalError):
    code = "unreachable"
    status = 503
    exit_code = EXIT_UNREACHABLE


class VersionSkew(FalError):
    code = "version_skew"
    status = 426


class PortTaken(FalError):
    code = "port_taken"


class BadAnswer(FalError):
    code = "bad_answer"
    status = 502


NAMED = 20
"""Names that a message lists at most; there may be thousands."""


def listed(names: Iterable[str], wanted: str) -> str:
    """`call, calls and 9,998 more`: all of few names, of many those that begin as `wanted` does."""
    have = sorted(names)
    if len(have) <= NAMED:
        return ", ".join(have)
    alike = [name for name in have if name.startswith(wanted[:2])]
    shown = (alike or have)[:NAMED]
    return f"{', '.join(shown)} and {len(have) - len(shown):,} more"


def meant(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'alias'?`, of the nearest that there is; '' where none is near."""
    import difflib

    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def every_class(root: Type[FalError] = FalError) -> Iterator[Type[FalError]]:  # noqa: UP006
    """The whole tree, root first."""
    yield root
    for child in root.__subclasses__():
        yield from every_class(child)


def to_json(error: FalError, request_id: str = "") -> Dict[str, Any]:  # noqa: UP006
    """The body of an error answer: `{"detail", "error_type", "request_id", "data"?}`."""
    body: Dict[str, Any] = {"detail": error.message, "error_type": error.code}  # noqa: UP006
    body["request_id"] = request_id
    if error.data:
        body["data"] = error.data
    return body


def from_json(body: Dict[str, Any], status: int = 500) -> FalError:  # noqa: UP006
    """The same error again, on the other side of the wire.

    An `error_type` of a newer backend that is not known here becomes a plain FalError with its
    message; a body without one becomes a BadAnswer that quotes the status.
    """
    code = body.get("error_type")
    if not isinstance(code, str):
        return BadAnswer(f"the backend answered with status {status} and no reason")
    message = str(body.get("detail", code))
    data = body.get("data")
    for cls in every_class():
        if cls.code == code:
            return cls(message, **(data if isinstance(data, dict) else {}))
    return FalError(message)
