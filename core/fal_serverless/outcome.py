"""What came of a call in a worker, read here: a value, or an exception with its remote traceback.

The pickles come from the backend this program chose to send its functions to, and are as trusted.
"""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from typing import Any

from cloudpickle import cloudpickle

from fal_serverless.errors import RemoteError, ResultLost

_CLASS_ID = {"_make_skeleton_class": 4, "_make_skeleton_enum": 5}
"""Where cloudpickle's makers of classes take the number that tells a class made before."""


@dataclass(frozen=True)
class Raised:
    """The call raised; not raised here, because whoever waits for it is elsewhere."""

    error: BaseException


class RemoteTraceback(Exception):
    """The cause of an exception that came from a worker: Python prints it above the exception."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"in the worker:\n\n{self.text.rstrip()}"


def read(name: str, kind: str, content: bytes) -> Any:
    """The value of a `returned` or `yielded` event; Raised for `raised`, or what is unreadable."""
    if kind == "raised":
        return Raised(_exception(name, content))
    try:
        return Unpickler(io.BytesIO(content)).load()
    except Exception as exc:
        error = ResultLost(f"the result of {name}() cannot be read here: {_why(exc)}")
        error.__cause__ = exc
        return Raised(error)


class Unpickler(pickle.Unpickler):
    """Gives back the classes of this process as they are.

    cloudpickle finds a class that was sent from here again, but would set all its attributes to
    what the worker made of them.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._known: list[Any] = []

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if not module.startswith("cloudpickle"):
            return found
        if name in _CLASS_ID:
            return self._noting(found, _CLASS_ID[name])
        return self._sparing(found) if name == "_class_setstate" else found

    def _noting(self, make: Any, place: int) -> Any:
        def made(*args: Any) -> Any:
            came_before = args[place] in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID
            cls = make(*args)
            if came_before:
                self._known.append(cls)
            return cls

        return made

    def _sparing(self, set_state: Any) -> Any:
        def set_new(cls: Any, state: Any) -> Any:
            return cls if any(cls is known for known in self._known) else set_state(cls, state)

        return set_new


def _exception(name: str, content: bytes) -> BaseException:
    """A failure (see the worker's `pickled.py`) as the exception it was."""
    end = 4 + int.from_bytes(content[:4], "big")
    head = json.loads(content[4:end])
    if head["unsent"]:
        return ResultLost(f"what {name}() returned cannot come back: {head['message']}")
    error = _loaded(content[end:])
    if error is None:
        said = f"{head['type']}: {head['message']}" if head["message"] else head["type"]
        error = RemoteError(said, type=head["type"])
    error.__cause__ = RemoteTraceback(head["traceback"])
    return error


def _loaded(content: bytes) -> BaseException | None:
    """None: its type cannot be made here."""
    try:
        found = Unpickler(io.BytesIO(content)).load()
        if isinstance(found, tuple):
            found = _put_together(*found)
    except Exception:
        return None
    return found if isinstance(found, BaseException) else None


def _put_together(
    kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    """As unpickling would; without `__init__` when that wants other arguments than it passed on."""
    try:
        error = kind(*args)
    except TypeError:
        error = kind.__new__(kind, *args)
    if state:
        error.__setstate__(state)
    return error


def _why(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error}; install it where this program runs, or return plain values"
    return f"{type(error).__name__}: {error}"
