"""Where does a server go that binds a port of this machine? To its worker's own address.

`0.0.0.0:8080`, `127.0.0.1:8080`, `[::]:8080` become `127.x.y.z:8080`, so that workers do not get
in each other's way; and who of the same worker connects to that port arrives there. Everything
else is let be: port 0, other addresses, datagrams, sockets of other families.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Dict, NamedTuple, Tuple

from . import seccomp
from .seccomp import Listener, Request

_FAMILY = struct.Struct("=H")
_PORT = struct.Struct("!H")
LONGEST = 28
"""Bytes of an IPv6 address structure."""
MAPPED = b"\x00" * 10 + b"\xff\xff"
"""In front of an IPv4 address as IPv6 writes it."""
WILDCARD_SIX, LOOPBACK_SIX = b"\x00" * 16, b"\x00" * 15 + b"\x01"


class Address(NamedTuple):
    """What bind and connect are called with."""

    family: int
    host: bytes
    port: int

    @property
    def is_here(self) -> bool:
        """All of this machine, or its loopback; not the addresses that workers have."""
        if self.family == socket.AF_INET6:
            if self.host[:12] == MAPPED:
                return _is_here(self.host[12:])
            return self.host in (WILDCARD_SIX, LOOPBACK_SIX)
        return _is_here(self.host)


def _is_here(host: bytes) -> bool:
    return host == b"\x00\x00\x00\x00" or host[:2] == b"\x7f\x00"


def parse(raw: bytes) -> Address | None:
    """None: not an internet address."""
    if len(raw) < _FAMILY.size:
        return None
    (family,) = _FAMILY.unpack_from(raw)
    if family == socket.AF_INET and len(raw) >= 16:
        return Address(family, raw[4:8], _PORT.unpack_from(raw, 2)[0])
    if family == socket.AF_INET6 and len(raw) >= 24:
        return Address(family, raw[8:24], _PORT.unpack_from(raw, 2)[0])
    return None


def packed(family: int, host: str, port: int) -> bytes:
    """An IPv4 host for a socket of that family, as the kernel reads it."""
    start, number = _FAMILY.pack(family) + _PORT.pack(port), socket.inet_aton(host)
    if family == socket.AF_INET6:
        return start + b"\x00" * 4 + MAPPED + number + b"\x00" * 4
    return start + number + b"\x00" * 8


class Moves:
    """The ports of one worker, and where they went."""

    def __init__(self, listener: Listener, host: str, planned: Dict[int, int], hands: bool) -> None:
        self._listener = listener
        self._host = host
        self._planned = planned
        """Where somebody expects a port: there or nowhere."""
        self._hands = hands
        """Whether sockets of the worker can be had; if not, only its memory is changed."""
        self._ports: Dict[int, int] = {}
        """Port asked for to port given."""
        self._families: Dict[Tuple[int, int], int] = {}
        """Port asked for and family to port given."""

    def handle(self) -> None:
        """One request."""
        request = self._listener.receive()
        if request is None:
            return
        try:
            raw = seccomp.read(request, LONGEST)
            wanted = parse(raw)
            if wanted is None or not wanted.port or not wanted.is_here:
                self._listener.go_on(request)
            elif self._listener.is_waiting(request):
                (self._bind if request.is_bind else self._connect)(request, wanted)
        except OSError as exc:
            # Never leave a caller waiting.
            self._listener.answer(request, exc.errno or errno.EIO)

    def _bind(self, request: Request, wanted: Address) -> None:
        if not self._hands:
            port = self._choose(wanted)
            seccomp.write(request, packed(wanted.family, self._host, port))
            self._remember(wanted, port)
            self._listener.go_on(request)
            return
        with seccomp.socket_of(request) as sock:
            if sock.type != socket.SOCK_STREAM or sock.family != wanted.family:
                self._listener.go_on(request)
                return
            if wanted.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            self._place(sock, wanted)
        self._listener.answer(request, 0)

    def _place(self, sock: socket.socket, wanted: Address) -> None:
        port = self._planned.get(wanted.port) or self._ports.get(wanted.port, wanted.port)
        try:
            self._bind_at(sock, port)
        except OSError as exc:
            other = self._other_port(wanted, exc.errno or 0)
            if other is None:
                raise
            self._bind_at(sock, other)
        self._remember(wanted, sock.getsockname()[1])

    def _bind_at(self, sock: socket.socket, port: int) -> None:
        host = f"::ffff:{self._host}" if sock.family == socket.AF_INET6 else self._host
        sock.bind((host, port))

    def _other_port(self, wanted: Address, error: int) -> int | None:
        """What else will do when the port cannot be had (0: any); None: nothing, it is an error."""
        if error not in (errno.EADDRINUSE, errno.EACCES):
            return None
        if self._other_family(wanted) in self._families:
            # A server that binds both families: one of the two sockets gets all the visitors.
            return self._families.get((wanted.port, wanted.family), 0)
        if wanted.port in self._planned or wanted.port in self._ports:
            return None
        # Somebody else has it on all addresses, or it is one for root.
        return 0

    def _other_family(self, wanted: Address) -> Tuple[int, int]:
        is_six = wanted.family == socket.AF_INET6
        return (wanted.port, socket.AF_INET if is_six else socket.AF_INET6)

    def _remember(self, wanted: Address, port: int) -> None:
        self._ports.setdefault(wanted.port, port)
        self._families[(wanted.port, wanted.family)] = port

    def _choose(self, wanted: Address) -> int:
        """The port to write into memory, where nobody tells how the call went."""
        port = self._planned.get(wanted.port) or self._ports.get(wanted.port, wanted.port)
        error = bind_error(self._host, port)
        other = self._other_port(wanted, error) if error else None
        return port if other is None else other or _free_port(self._host)

    def _connect(self, request: Request, wanted: Address) -> None:
        port = self._ports.get(wanted.port)
        if port is not None and bind_error(self._host, port) and self._is_stream(request, wanted):
            seccomp.write(request, packed(wanted.family, self._host, port))
        self._listener.go_on(request)

    def _is_stream(self, request: Request, wanted: Address) -> bool:
        if not self._hands:
            return True
        with seccomp.socket_of(request) as sock:
            if sock.type != socket.SOCK_STREAM or sock.family != wanted.family:
                return False
            if wanted.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return True


def bind_error(host: str, port: int) -> int:
    """0, or the errno: EADDRINUSE when somebody listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            return exc.errno or errno.EIO
    return 0


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port
