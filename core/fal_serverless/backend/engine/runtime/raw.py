"""What goes past Python into descriptors 1 and 2: by C code, and by what a function starts.

The backend reads it from pipes, and takes it for the words of the call that runs. So where there
may be some, a call is not over before it was read. To look costs more than many a call, and is not
done before this worker has started a program or a fork.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import termios
import time
from typing import Any, Callable

PATIENCE = 0.5
"""Seconds to wait for the backend's reading; a busy one takes its time."""
RESPITE = 10.0
"""Seconds without such waits after one that was in vain."""
PAUSE = 0.0002
NONE = bytes(4)
"""What the kernel says of an empty pipe."""
LINE_BUFFERED = 1
"""`_IOLBF`, in glibc, musl and macOS alike."""

_STARTERS = {"os": ("system", "posix_spawn", "posix_spawnp"), "_posixsubprocess": ("fork_exec",)}


class Raw:
    """Of one worker."""

    def __init__(self) -> None:
        self.has_children = False
        """Somebody may write whom we do not see, and whom it is worth waiting for."""
        self._none_until = 0.0
        """When the next call waits, by the monotonic clock."""

    def install(self) -> None:
        end_lines_of_c()
        for module, names in _STARTERS.items():
            with contextlib.suppress(ImportError):
                found = __import__(module)
                for name in names:
                    if hasattr(found, name):
                        setattr(found, name, self._noting(getattr(found, name)))
        known = sys.modules.get("subprocess")
        if hasattr(known, "_fork_exec"):
            known._fork_exec = self._noting(known._fork_exec)  # type: ignore[union-attr]
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._note)

    def settle(self) -> None:
        """Until what was written so far is read."""
        now = time.monotonic()
        until = now + PATIENCE
        while any(map(_is_unread, (1, 2))):
            if now < self._none_until:
                return
            if now > until:
                # Somebody writes all the time, or it is no pipe any more.
                self._none_until = now + RESPITE
                return
            time.sleep(PAUSE)
            now = time.monotonic()

    def _note(self) -> None:
        self.has_children = True

    def _noting(self, start: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **more: Any) -> Any:
            self._note()
            return start(*args, **more)

        return noted


def _is_unread(descriptor: int) -> bool:
    try:
        return fcntl.ioctl(descriptor, termios.FIONREAD, NONE) != NONE
    except OSError:
        return False


def end_lines_of_c() -> None:
    """What C code prints leaves with its line: into a pipe it would leave when the program ends."""
    ctypes: Any = sys.modules.get("ctypes")  # whatever keeps workers apart has read it
    if ctypes is not None:
        with contextlib.suppress(AttributeError, OSError, ValueError):
            libc = ctypes.CDLL(None)
            libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, LINE_BUFFERED, 0)
