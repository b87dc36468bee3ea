"""Runs a command that must leave nothing behind when the backend goes. Started by path, with `-I`.

1. The backend starts `python -I -S guarded.py CHANNEL COMMAND ...`; CHANNEL is one end of a socket
   pair that nothing is ever sent over.
2. This program forks: the fork becomes the command, it waits for it, or for the other end of
   CHANNEL to be closed (the backend cancels, or is killed).
3. In either case everything that came of the command is ended (on Linux what left its process
   group, too: orphans are handed to this program), and the exit status is the command's.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> None:
    channel, command = int(sys.argv[1]), sys.argv[2:]
    _control(PR_SET_CHILD_SUBREAPER, 1)
    wake = _wakes_on_child()
    pid = os.fork()
    if pid == 0:
        _become(command, channel)
    for stream in (0, 1, 2):
        os.close(stream)
    status = _until_over(pid, channel, wake)
    _end_the_rest()
    os._exit(1 if status is None else abs(os.waitstatus_to_exitcode(status)))


def _become(command: list[str], channel: int) -> None:
    guard = os.getppid()
    os.close(channel)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _control(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The guard may be gone by now: then that came too late, and is looked at.
    if os.getppid() == guard:
        os.execv(command[0], command)
    os._exit(1)


def _wakes_on_child() -> int:
    """A descriptor that can be read when a child has ended."""
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return readable


def _until_over(pid: int, channel: int, wake: int) -> int | None:
    """The command's wait status; None: nobody waits for it any more."""
    poll = select.poll()
    # Nothing is asked for: only that the other end is closed is told.
    poll.register(channel, 0)
    poll.register(wake, select.POLLIN)
    while True:
        status = _reap(pid)
        if status is not None:
            return status
        for descriptor, _ in poll.poll():
            if descriptor == channel:
                return None
            os.read(wake, 4096)


def _reap(wanted: int) -> int | None:
    """The status of the command when it has ended; orphans on the way are only buried."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in (0, wanted):
            return status if pid else None


def _end_the_rest() -> None:
    """Kill children until there are none: the orphans of those killed become children too."""
    with suppress(ChildProcessError):
        while True:
            # Asked first: without children there is nobody to end, on any system.
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                for child in _children():
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                os.waitpid(-1, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123
            return [int(pid) for pid in file.read().split()]
    except OSError:
        # No such list here: at least the process group goes, and this program with it.
        os.killpg(0, signal.SIGKILL)
        return []


def _control(option: int, value: int) -> None:
    """prctl, where there is one."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, int(value), 0, 0, 0)


if __name__ == "__main__":
    main()
