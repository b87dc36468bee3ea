"""Can a worker have a process tree of its own? In a PID namespace, whose end ends all in it.

The supervisor enters one; its next child is process 1 of it, the keeper, which forks the worker and
buries orphans. When the keeper ends, the kernel ends everything in there, whatever it did to get
away. The worker sees a /proc of its own. Root needs nothing for this, others a user namespace,
in which they stay who they are.

Sources: pid_namespaces(7), user_namespaces(7), mount_namespaces(7), capabilities(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import struct
from typing import Any

NEW_MOUNTS, NEW_USERS, NEW_PIDS = 0x20000, 0x10000000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_RECURSIVE, MS_SLAVE = 2, 4, 8, 1 << 14, 1 << 19
CAPABILITIES = 0x20080522
PR_SET_PDEATHSIG = 1
LAST_PID = "/proc/sys/kernel/ns_last_pid"
TRIES = 4
"""Forks for a worker that has the same process id inside and outside."""

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def enter(kind: str) -> None:
    """From now on this process's children are in a namespace. `kind`: "root" or "user".

    Raises OSError.
    """
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.unshare(NEW_PIDS | (NEW_USERS if kind == "user" else 0)))
    if kind == "user":
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def keep(tell: int) -> int:
    """In process 1: fork the worker, and stay. Returns in the worker only: its id outside.

    `tell` is a pipe to the supervisor, for that id and in the end for the worker's wait status.
    """
    _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if _is_closed(tell):
        os._exit(1)
    number = _number_outside()
    for attempt in range(TRIES):
        _aim(number + 1)
        ours, theirs = socket.socketpair()
        inside = os.fork()
        if not inside:
            ours.close()
            return _be_worker(theirs, tell)
        theirs.close()
        number = struct.unpack("=i", ours.recv(4))[0]
        if number == inside or attempt == TRIES - 1:
            ours.send(b"y")
            ours.close()
            os.write(tell, f"{number}\n".encode())
            _bury_until(inside, tell)
        ours.close()
        os.waitpid(inside, 0)
    raise AssertionError("not reached")


def _is_closed(pipe: int) -> bool:
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


def _number_outside() -> int:
    """This process's id where /proc was mounted."""
    return int(os.readlink("/proc/self"))


def _aim(number: int) -> None:
    """Give the next child of this namespace that id, where it is allowed.

    All workers would have the same id otherwise, and people tell them apart by it.
    """
    with contextlib.suppress(OSError):
        _write(LAST_PID, str(number - 1))


def _be_worker(link: socket.socket, tell: int) -> int:
    number = _number_outside()
    link.send(struct.pack("=i", number))
    if not link.recv(1):
        os._exit(0)
    link.close()
    os.close(tell)
    return number


def _bury_until(worker: int, tell: int) -> None:
    """Wait for whatever ends in here; when the worker does, so do all others."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in [*range(3), *_open_descriptors()]:
        if descriptor not in (tell, nowhere):
            with contextlib.suppress(OSError):
                os.dup2(nowhere, descriptor)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == worker:
            os.write(tell, f"{status}\n".encode())
            os._exit(0)


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def settle(kind: str) -> None:
    """In the worker: a /proc that shows what is in the namespace, a session, no privileges more.

    Raises OSError.
    """
    _checked(_libc.unshare(NEW_MOUNTS))
    _mount(b"none", b"/", None, MS_RECURSIVE | MS_SLAVE)
    _mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.setsid()
    if kind == "user":
        _drop_capabilities()


def _mount(source: bytes, target: bytes, kind: bytes | None, flags: int) -> None:
    _checked(_libc.mount(source, target, kind, ctypes.c_ulong(flags), None))


def _drop_capabilities() -> None:
    """Those over its own namespace, which it got by making it."""
    head: Any = struct.pack("=Ii", CAPABILITIES, 0)
    _checked(_libc.capset(head, b"\x00" * 24))
