"""How can one process answer another's bind and connect? By seccomp's notifications (Linux).

The one that is watched installs a filter and hands its listener over; the other receives a request
for each call, may read and change the address it was called with, and lets the call go on or
answers it. No privileges are needed, and no difference is made between Python, C, Rust or Go.
Which address is changed to which is not known here.

Sources: seccomp(2), seccomp_unotify(2), pidfd_getfd(2), linux/seccomp.h, linux/filter.h.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct
from typing import NamedTuple

SET_MODE_FILTER = 1
NEW_LISTENER, WAIT_KILLABLE = 1 << 3, 1 << 5
RECEIVE, SEND, IS_VALID = 0xC0502100, 0xC0182101, 0x40082102
CONTINUE = 1
NOTIFY, ALLOW, PRETEND = 0x7FC00000, 0x7FFF0000, 0x00050000
"""What a filter returns: ask, let it be, or answer 0 at once."""
PIDFD_OPEN, PIDFD_GETFD = 434, 438

_NOTICE = struct.Struct("=QII iIQ 6Q")
_ANSWER = struct.Struct("=QqiI")
_INSTRUCTION = struct.Struct("=HBBI")
LOAD, JUMP_IF, RETURN = 0x20, 0x15, 0x06
AT_NUMBER, AT_ARCH, AT_LEVEL, AT_OPTION = 0, 4, 24, 32
"""Offsets in seccomp_data: the call, the machine, the low halves of arguments 1 and 2."""


class Machine(NamedTuple):
    """What the kernel calls things on one kind of processor."""

    audit: int
    bind: int
    connect: int
    setsockopt: int
    seccomp: int


MACHINES = {
    "x86_64": Machine(0xC000003E, 49, 42, 54, 317),
    "aarch64": Machine(0xC00000B7, 200, 203, 208, 277),
    "riscv64": Machine(0xC00000F3, 200, 203, 208, 277),
}


def machine() -> Machine:
    """Raises OSError where the numbers are not known."""
    name = platform.machine()
    if name not in MACHINES:
        raise OSError(errno.ENOSYS, f"no system call numbers are known for {name}")
    return MACHINES[name]


class Request(NamedTuple):
    """A call that waits for its answer."""

    id: int
    task: int
    """Thread id, as the receiver counts."""
    is_bind: bool
    """False: connect."""
    descriptor: int
    pointer: int
    length: int
    """Of the address, in bytes."""


def program(found: Machine, without_v6only: bool) -> bytes:
    """The filter. `without_v6only` makes setting IPV6_V6ONLY do nothing."""
    ask, pretend, allow = ((RETURN, 0, 0, value) for value in (NOTIFY, PRETEND, ALLOW))
    head = [(LOAD, 0, 0, AT_ARCH), (JUMP_IF, 1, 0, found.audit), allow, (LOAD, 0, 0, AT_NUMBER)]
    asked = [(JUMP_IF, 0, 1, found.bind), ask, (JUMP_IF, 0, 1, found.connect), ask]
    six = [
        (JUMP_IF, 0, 5, found.setsockopt),
        (LOAD, 0, 0, AT_LEVEL),
        (JUMP_IF, 0, 3, socket.IPPROTO_IPV6),
        (LOAD, 0, 0, AT_OPTION),
        (JUMP_IF, 0, 1, socket.IPV6_V6ONLY),
        pretend,
    ]
    steps = [*head, *asked, *(six if without_v6only else []), allow]
    return b"".join(_INSTRUCTION.pack(*step) for step in steps)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]


def install(without_v6only: bool) -> int:
    """Watch this thread and all that comes of it, for ever. Returns the listener's descriptor.

    Needs no_new_privs. Raises OSError.
    """
    found = machine()
    code = program(found, without_v6only)
    argument = _Program(len(code) // _INSTRUCTION.size, code)
    for flags in (NEW_LISTENER | WAIT_KILLABLE, NEW_LISTENER):
        # The first needs Linux 5.19: no signal then makes a call of which we know begin again.
        try:
            return _call(found.seccomp, SET_MODE_FILTER, flags, ctypes.byref(argument))
        except OSError as exc:
            if exc.errno != errno.EINVAL or flags == NEW_LISTENER:
                raise
    raise AssertionError("not reached")


_libc = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


class Listener:
    """The receiving end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def receive(self) -> Request | None:
        """The next request; None: who asked is gone."""
        buffer = bytearray(_NOTICE.size)
        try:
            fcntl.ioctl(self._descriptor, RECEIVE, buffer)
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.EINTR):
                return None
            raise
        number, task, _, call, _, _, descriptor, pointer, length, *_ = _NOTICE.unpack(buffer)
        is_bind = call == machine().bind
        return Request(number, task, is_bind, descriptor & 0xFFFFFFFF, pointer, length & 0xFFFFFFFF)

    def is_waiting(self, request: Request) -> bool:
        """Whether it is still the same process that has this id."""
        try:
            fcntl.ioctl(self._descriptor, IS_VALID, struct.pack("=Q", request.id))
        except OSError:
            return False
        return True

    def go_on(self, request: Request) -> None:
        """Let the call happen, with what is in memory now."""
        self._send(_ANSWER.pack(request.id, 0, 0, CONTINUE))

    def answer(self, request: Request, error: int) -> None:
        """End the call: 0 for success, or an errno."""
        self._send(_ANSWER.pack(request.id, 0, -error, 0))

    def _send(self, answer: bytes) -> None:
        try:
            fcntl.ioctl(self._descriptor, SEND, answer)
        except OSError as exc:
            if exc.errno != errno.ENOENT:
                raise


def read(request: Request, most: int) -> bytes:
    """The address of a call, at most so many bytes."""
    memory = os.open(f"/proc/{request.task}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(memory, min(request.length, most), request.pointer)
    finally:
        os.close(memory)


def write(request: Request, content: bytes) -> None:
    """Change the address of a call; also where the program itself may not write."""
    memory = os.open(f"/proc/{request.task}/mem", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(memory, content, request.pointer)
    finally:
        os.close(memory)


def socket_of(request: Request) -> socket.socket:
    """The very socket of a call, under a descriptor of our own."""
    process = _open_process(request.task)
    try:
        return socket.socket(fileno=_call(PIDFD_GETFD, process, request.descriptor, 0))
    finally:
        os.close(process)


def _open_process(task: int) -> int:
    try:
        return _call(PIDFD_OPEN, task, 0)
    except OSError as exc:
        # A thread other than the first: only whole processes can be opened.
        if exc.errno not in (errno.EINVAL, errno.ENOENT):
            raise
    with open(f"/proc/{task}/status") as file:
        leader = next(line for line in file if line.startswith("Tgid:"))
    return _call(PIDFD_OPEN, int(leader.split()[1]), 0)


def hand_over(through: socket.socket, descriptor: int) -> None:
    """Send a descriptor to another process, and close ours."""
    rights = array.array("i", [descriptor])
    through.sendmsg([b"L"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(descriptor)


def take_over(through: socket.socket) -> int | None:
    """The descriptor that was sent; None: the other end was closed."""
    _, messages, _, _ = through.recvmsg(1, socket.CMSG_SPACE(array.array("i").itemsize))
    for _, _, data in messages:
        received = array.array("i")
        received.frombytes(data[: received.itemsize])
        return received[0]
    return None
