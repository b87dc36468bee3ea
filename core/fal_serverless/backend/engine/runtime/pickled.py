"""Runs calls whose arguments came as a pickle, and answers with one: calls from a Python program.

The same face as `calls.Served`, for the threads and the event loop that run calls. An answer is

- status 200 and the pickle of the return value, or
- status 500 and a failure: the length of a JSON head (type, message, traceback), the head, and the
  pickle of the exception, which is empty when it has none, or
- for generators a stream, whose chunks are each one item: a tag, and what `ITEM` and `FAILURE` say.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import sys
import threading
from types import CodeType, ModuleType
from typing import Any, Iterator

from . import channel as wire
from . import loading
from .calls import CANCELLED, CallCancelled, Request, answer
from .channel import Channel
from .loading import Loaded
from .output import Output, traceback_of

KIND = "application/x-python-pickle"
ITEM, FAILURE, RESULT = b"i", b"f", b"r"
"""Tags in a stream: an item, the failure that ends it, the generator's return value."""
NO_FILE = "<dynamic-code>"
"""What cloudpickle since 3.1.3 calls the file of any code."""
LARGEST = 1 << 30
"""Bytes of one pickle that goes back."""


class NotSendable(Exception):
    """The function ran, but what it returned cannot be pickled."""


class Pickled:
    """The function, and how pickles become its arguments and its result a pickle."""

    def __init__(
        self,
        channel: Channel,
        output: Output,
        loaded: Loaded,
        first: tuple[Any, ...],
        folders: list[str],
    ) -> None:
        self.channel = channel
        self.output = output
        self._func = loaded.func
        self._first = first
        self._cloudpickle = loading.our_cloudpickle(folders)
        self._pickler = _naming_files(self._cloudpickle["cloudpickle"].Pickler)
        self._lock = threading.Lock()

    def request(self, call: int, payload: bytes) -> Request:
        (length,) = wire.META.unpack_from(payload)
        start = wire.META.size + length
        request_id = json.loads(payload[wire.META.size : start])[0]
        return Request(call, request_id, [], "", "", payload[start:])

    def invoke(self, request: Request) -> Any:
        """What the function returns. Raises what the function raises."""
        args, kwargs = loading.Unpickler(io.BytesIO(request.body), self._cloudpickle).load()
        return self._func(*self._first, *args, **kwargs)

    def stream_of(self, value: Any) -> Any:
        """The tagged items of a generator; None for any other value."""
        if inspect.isasyncgen(value):
            return self._async_items(value)
        return self._items(value) if inspect.isgenerator(value) else None

    def whole(self, request: Request, value: Any) -> bytes:
        return answer(200, KIND, self._dump(value))

    def pieces(self, request: Request, first: Any) -> _Items:
        self.channel.send(wire.STREAM, request.call, answer(200, KIND))
        return _Items()

    def refusal(self, request: Request, error: BaseException) -> bytes:
        """The answer for a call that raised. The log is told by the backend, not from here."""
        if isinstance(error, CallCancelled):
            return answer(CANCELLED, KIND)
        return answer(500, KIND, self._failure(error))

    def _items(self, value: Any) -> Iterator[bytes]:
        try:
            while True:
                try:
                    item = next(value)
                except StopIteration as end:
                    yield RESULT + self._dump(end.value)
                    return
                yield ITEM + self._dump(item)
        except (CallCancelled, GeneratorExit):
            raise
        except BaseException as exc:
            yield FAILURE + self._failure(exc)
        finally:
            value.close()

    async def _async_items(self, value: Any) -> Any:
        try:
            async for item in value:
                yield ITEM + self._dump(item)
            yield RESULT + self._dump(None)
        except (CallCancelled, GeneratorExit):
            raise
        except BaseException as exc:
            if type(exc).__name__ == "CancelledError":
                raise
            yield FAILURE + self._failure(exc)
        finally:
            await value.aclose()

    def _failure(self, error: BaseException) -> bytes:
        unsent, content = isinstance(error, NotSendable), b""
        if not unsent:
            with contextlib.suppress(NotSendable):
                content = self._dump(_parts(error))
        head = {
            "type": _name_of(type(error)),
            "message": _text_of(error),
            "traceback": traceback_of(error),
            "unsent": unsent,
        }
        encoded = json.dumps(head).encode()
        return b"".join((wire.META.pack(len(encoded)), encoded, content))

    def _dump(self, value: Any) -> bytes:
        """Raises NotSendable."""
        out = io.BytesIO()
        try:
            with self._lock, _imported(self._cloudpickle):
                self._pickler(out).dump(value)
        except CallCancelled:
            raise
        except BaseException as exc:
            why = " ".join(str(exc).split())
            raise NotSendable(f"{_name_of(type(value))} cannot be pickled: {why}") from exc
        if out.tell() > LARGEST:
            raise NotSendable(f"its pickle has {out.tell():,} bytes; {LARGEST:,} are allowed")
        return out.getvalue()


class _Items:
    """Items come as bytes already."""

    def write(self, piece: bytes) -> bytes:
        return piece


def _naming_files(base: Any) -> Any:
    """The pickler, for code that keeps the name of its file: cloudpickle 3.1.3 takes it away.

    As `source/pickling.py` has it for what comes here.
    """

    def reducer_override(self: Any, value: Any) -> Any:
        if not isinstance(value, CodeType):
            return base.reducer_override(self, value)
        kind, args = self.dispatch_table[CodeType](value)
        return kind, tuple(value.co_filename if arg == NO_FILE else arg for arg in args)

    return type("Pickler", (base,), {"reducer_override": reducer_override})


@contextlib.contextmanager
def _imported(ours: dict[str, ModuleType]) -> Iterator[None]:
    """Our copy under its own name, so that pickles may name it, where the user has another."""
    before = {name: sys.modules.get(name) for name in ours}
    sys.modules.update(ours)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def _parts(error: BaseException) -> Any:
    """Class, arguments and state, as its pickle would have them; itself where it has its own way.

    Apart, they can be put together where `__init__` wants other arguments than it passed on.
    """
    kind = type(error)
    if kind.__reduce__ is BaseException.__reduce__ and kind.__reduce_ex__ is object.__reduce_ex__:
        return (kind, error.args, error.__dict__)
    return error


def _name_of(kind: type) -> str:
    name = kind.__qualname__
    return name if kind.__module__ == "builtins" else f"{kind.__module__}.{name}"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""
