"""A process that forks workers: `python -I child.py template FD ORDERS`. It holds no user's code.

An interpreter that has started and read what a worker needs of ours is a worker in the time of a
fork. ORDERS, in JSON: `overlay` holds our packages, `is_async` tells whether the functions are.

1. Template: READY, or why nothing can be forked here, and it ends.
2. Backend: what a worker is to have, in JSON, with its channel, standard output and error, and the
   socket for its report. One message for each worker.
3. The fork becomes the supervisor of that worker. Its report has its process id, when it has a
   session of its own, and when it ends its exit code. No report at all: there is no worker.
4. The backend closes FD: no more forks. The template ends after the last of its children.

What workers of one template share is what a fork shares: the seed of `hash()` and where things lie
in memory. `random` is seeded anew.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
from typing import Any, Dict, List, Tuple

from . import loading
from .main import live

READY = b"ready"
MARK = "FAL_SERVERLESS_WORKER"
"""The backend's `survivors.MARK`."""
LARGEST = 1 << 18
"""Bytes of one message."""
COUNT = 4
"""Descriptors that come with it."""

FOR_ALL = ["calls", "codec", "limits", "moves", "namespaces", "seccomp", "threads"]
FOR_ASYNC = ["tasks"]
OURS = ["cloudpickle", "msgspec"]


def main(descriptor: int, orders: str) -> None:
    asked = json.loads(orders)
    os.set_inheritable(descriptor, False)
    backend = socket.socket(fileno=descriptor)
    mark = _Mark()
    _read_ahead(asked["overlay"], asked["is_async"])
    why = _unfit(descriptor)
    backend.send(why.encode() or READY)
    if not why:
        _fork_on_demand(backend, mark)


def _read_ahead(overlay: List[str], is_async: bool) -> None:
    early = set(sys.modules)
    for name in FOR_ALL + (FOR_ASYNC if is_async else []):
        importlib.import_module(f"_fal_worker.{name}")
    importlib.import_module("concurrent.futures.thread")
    loading.keep(OURS, overlay, early)
    gc.collect()
    # What is here now is never garbage, and looking at it would copy its memory in every worker.
    gc.freeze()


def _unfit(descriptor: int) -> str:
    """Why no worker may come of this process; '' when it may.

    Packages may run code when the interpreter starts; threads do not survive a fork, and what was
    opened is not ours to close.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"its packages start {threads - 1} threads with the interpreter"
    others = _descriptors() - {0, 1, 2, descriptor}
    if others:
        return f"its packages open {len(others)} files with the interpreter"
    return ""


def _descriptors() -> set[int]:
    # The one that lists them is gone by then.
    return {
        int(name)
        for name in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{name}")
    }


def _fork_on_demand(backend: socket.socket, mark: _Mark) -> None:
    # The kernel buries them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, given = _receive(backend)
        if not message:
            break
        if len(given) == COUNT and _fork() == 0:
            backend.detach()
            _become(json.loads(message), given, mark)
            return
        for descriptor in given:
            os.close(descriptor)
    backend.close()
    # With SIGCHLD ignored this waits for all of them.
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-1, 0)


def _fork() -> int:
    """As os.fork; -1 where there is no room for one more."""
    try:
        return os.fork()
    except OSError:
        return -1


def _receive(backend: socket.socket) -> Tuple[bytes, List[int]]:
    """The next message and what came with it; b"" when there are no more."""
    given = array.array("i")
    space = socket.CMSG_SPACE(COUNT * given.itemsize)
    try:
        message, extra, _, _ = backend.recvmsg(LARGEST, space, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return b"", []
    for _, kind, data in extra:
        if kind == socket.SCM_RIGHTS:
            given.frombytes(data[: len(data) - len(data) % given.itemsize])
    return message, list(given)


def _become(asked: Dict[str, Any], given: List[int], mark: _Mark) -> None:
    """In the fork: what a newly started child has, and nothing of the template's."""
    channel, stdout, stderr, report = given
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    try:
        os.write(report, f"{os.getpid()}\n".encode())
        os.chdir(asked["folder"])
    except OSError:
        # Nobody waits for this worker any more.
        os._exit(1)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for descriptor in _descriptors() - {0, 1, 2, channel, report}:
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked["environ"])
    mark.change(asked["environ"][MARK])
    if "tempfile" in sys.modules:
        # Where its packages have asked for it, it was the template's.
        vars(sys.modules["tempfile"])["tempdir"] = None
    live(channel, asked["orders"], report)


class _Mark:
    """The mark in the environment that this process was started with, which a fork cannot leave.

    It is what /proc shows to whoever looks for a worker's processes.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_void_p
        self._address = libc.getenv(MARK.encode())
        self._length = len(os.environ.get(MARK, ""))

    def change(self, text: str) -> None:
        """All marks have the same length."""
        if self._address and len(text) == self._length:
            ctypes.memmove(self._address, text.encode(), self._length)
