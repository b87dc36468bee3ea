"""Who sees to it that nothing of a worker is left? Its parent: a fork that runs no user code.

The backend starts the supervisor, which forks the worker and then only waits: for the worker to
end, or for the backend to go, which closes the channel. In either case it ends every process that
came of the worker, daemons too (on Linux, where orphans are handed to it), and then ends as the
worker did. User code cannot hold it up, and it holds nothing open but the channel. Where namespaces
can be had the kernel does that (see `namespaces.py`), even when the supervisor is killed itself.
Where a worker has an address of its own, its supervisor also answers its bind and connect calls
(see `moves.py`).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Callable, Dict

if TYPE_CHECKING:
    from .limits import Watch

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38

IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Sent to the whole group, and meant for the worker."""


class Guard:
    """What a worker has of its supervisor."""

    def __init__(self, link: socket.socket, orders: Dict[str, Any], kind: str, pid: int) -> None:
        self._link = link
        self._moves = orders.get("moves")
        self._limits = orders.get("limits")
        self._kind = kind
        self.pid = pid
        """The worker's process id as the backend sees it."""
        self.lacks_namespace = bool(orders.get("namespace")) and not kind
        """It was to have a namespace, and there was none to be had."""

    def settle(self) -> None:
        """Do what is left to do in the worker; from now on the supervisor answers its calls of
        bind and connect, where it was ordered to.

        Raises OSError.
        """
        if self._limits is not None:
            from . import limits

            limits.join(self._limits)
        if self._kind:
            from . import namespaces

            namespaces.settle(self._kind)
        if self._moves is not None:
            from . import seccomp

            seccomp.hand_over(self._link, seccomp.install(not self._moves["hands"]))
        self._link.close()


def fork_worker(channel: int, orders: Dict[str, Any], report: int | None = None) -> Guard:
    """Returns in the worker only; the caller is its supervisor from then on.

    `report`: where the supervisor says last how it ends, if the backend is not its parent.
    """
    control(PR_SET_NO_NEW_PRIVS, 1)
    control(PR_SET_CHILD_SUBREAPER, 1)
    kind = _enter(orders.get("namespace", ""))
    supervisor = os.getpid()
    ours, theirs = socket.socketpair()
    told, tell = os.pipe()
    child = os.fork()
    if child:
        theirs.close()
        os.close(tell)
        charge = _Charge(child, told if kind else None)
        _supervise(charge, channel, ours, orders, report)
    ours.close()
    os.close(told)
    if report is not None:
        os.close(report)
    if kind:
        from . import namespaces

        return Guard(theirs, orders, kind, namespaces.keep(tell))
    os.close(tell)
    # The supervisor may be gone by now: then this comes too late, and is looked at.
    control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(1)
    return Guard(theirs, orders, kind, os.getpid())


def _enter(kind: str) -> str:
    """The kind of namespace it is in; '' for none."""
    if kind:
        from . import namespaces

        try:
            namespaces.enter(kind)
        except OSError:
            # There is a limit to how many a machine has.
            return ""
    return kind


def control(option: int, value: int) -> None:
    """prctl, where there is one."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


class _Charge:
    """The worker, as its supervisor sees it."""

    def __init__(self, child: int, told: int | None) -> None:
        self.child = child
        """The worker, or the keeper of its namespace."""
        self._told = told
        """A pipe from the keeper; None: there is no keeper."""
        self._worker: int | None = None

    def listen(self) -> None:
        """Pass on to the worker what is sent to the group that it is not in."""
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN if self._told is None else self._pass_on)
        if self._told is not None:
            self._worker = self._line()

    def _pass_on(self, number: int, _: Any) -> None:
        if self._worker is not None:
            with contextlib.suppress(OSError):
                os.killpg(self._worker, number)

    def status(self) -> int | None:
        """The worker's wait status when it has ended; orphans on the way are only buried."""
        status = _reap(self.child)
        if status is not None and self._told is not None:
            said = self._line()
            return status if said is None else said
        return status

    def _line(self) -> int | None:
        """What the keeper says; None: it is gone."""
        text = b""
        while self._told is not None and not text.endswith(b"\n"):
            more = os.read(self._told, 1)
            if not more:
                return None
            text += more
        return int(text)


def _supervise(
    charge: _Charge,
    channel: int,
    link: socket.socket,
    orders: Dict[str, Any],
    report: int | None,
) -> None:
    try:
        wake = _prepare()
        charge.listen()
        status = _until_over(charge, channel, wake, link, orders)
    except BaseException:
        status = None
    _end_the_rest()
    if report is not None:
        # The backend may be gone.
        with contextlib.suppress(OSError):
            os.write(report, f"{_code(status)}\n".encode())
    _end_like(status)


def _prepare() -> int:
    """A descriptor that can be read when a child has ended."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nowhere, descriptor)
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def _until_over(
    charge: _Charge, channel: int, wake: int, link: socket.socket, orders: Dict[str, Any]
) -> int | None:
    """The worker's wait status; None: the backend is gone, or the worker takes too much."""
    poll = select.poll()
    # Nothing is asked for: only that the other end is closed is told.
    poll.register(channel, 0)
    poll.register(wake, select.POLLIN)
    poll.register(link, select.POLLIN)
    moves: Dict[int, Callable[[], None]] = {}
    watch = _watch(orders.get("limits", {}))
    while True:
        status = charge.status()
        if status is not None:
            return status
        if watch is not None and watch.is_over():
            return None
        for descriptor, event in poll.poll(None if watch is None else watch.patience()):
            if descriptor == channel:
                return None
            if descriptor == wake:
                os.read(wake, 4096)
            elif descriptor == link.fileno():
                poll.unregister(link)
                moves.update(_take_over(link, orders))
                for listener in moves:
                    poll.register(listener, select.POLLIN)
            elif event & select.POLLIN:
                moves[descriptor]()
            else:
                # Everybody who could ask is gone.
                poll.unregister(descriptor)


def _watch(asked: Dict[str, Any]) -> Watch | None:
    if "note" not in asked:
        return None
    from .limits import Watch

    return Watch(asked["memory"], asked["processes"], asked["note"])


def _take_over(link: socket.socket, orders: Dict[str, Any]) -> Dict[int, Callable[[], None]]:
    """The listener that the worker sends, and what handles its requests; nothing if it sent none.

    Files read for this alone are read now, not by every supervisor.
    """
    from . import seccomp
    from .moves import Moves

    with link:
        listener = seccomp.take_over(link)
    if listener is None:
        return {}
    asked = orders["moves"]
    planned = {int(port): place for port, place in asked["ports"].items()}
    moves = Moves(seccomp.Listener(listener), asked["host"], planned, asked["hands"])
    return {listener: moves.handle}


def _reap(child: int) -> int | None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == child:
            return status


def _end_the_rest() -> None:
    """Kill children until there are none: the orphans of those killed become children too."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    path = f"/proc/self/task/{os.getpid()}/children"
    try:
        with open(path) as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        os.killpg(0, signal.SIGKILL)
        return []


def _code(status: int | None) -> int:
    """Exit code, negative for a signal."""
    if status is not None and os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else 1


def _end_like(status: int | None) -> None:
    code = _code(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(abs(code))
