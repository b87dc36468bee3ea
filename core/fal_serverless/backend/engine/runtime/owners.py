"""Which call does a thread work for? The one that started it, or gave it this piece of work.

A context variable does not go along into a thread before Python 3.14, nor into the threads of a
pool, which outlive the call that needed them first. So a mark is put on the thread.
"""

from __future__ import annotations

import threading
from typing import Any, Callable

MARK = "_fal_request_id"


def of_thread(thread: int) -> str | None:
    """The mark on a thread; None: nobody has seen it start."""
    # Not `current_thread`, which makes an object for every thread that it does not know.
    known = getattr(threading, "_active", {}).get(thread)
    return None if known is None else getattr(known, MARK, None)


class Bound:
    """A piece of work for a pool that belongs to a call."""

    __slots__ = ("_name", "_work")

    def __init__(self, name: str, work: Callable[..., Any]) -> None:
        self._name = name
        self._work = work

    def __call__(self, *args: Any, **more: Any) -> Any:
        thread = threading.current_thread()
        before = getattr(thread, MARK, "")
        setattr(thread, MARK, self._name)
        try:
            return self._work(*args, **more)
        finally:
            setattr(thread, MARK, before)


def install(request_id: Callable[[], str]) -> None:
    """Mark what is started from now on with what `request_id` says there and then."""
    from concurrent.futures import ThreadPoolExecutor

    start, submit = threading.Thread.start, ThreadPoolExecutor.submit

    def marked_start(self: threading.Thread) -> None:
        setattr(self, MARK, request_id())
        start(self)

    def bound_submit(self: Any, fn: Callable[..., Any], /, *args: Any, **more: Any) -> Any:
        return submit(self, Bound(request_id(), fn), *args, **more)

    threading.Thread.start = marked_start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = bound_submit  # type: ignore[method-assign]
