"""Where does a function's own server listen, when they all want port 8080?

Each worker gets an address of its own: on Linux an address in 127.64.0.0/10 with the port the
function names, elsewhere another port of 127.0.0.1. Its supervisor sends servers there (see
`runtime/moves.py`); where it cannot, a patch of Python's `bind` does (see `runtime/bind`). A server
the patch does not reach listens on the real port; it is used there when it is the only one. How
servers are moved is known to this module alone.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fal_serverless.backend.engine.isolation import Method
from fal_serverless.errors import WorkerFailed

BIND_FOLDER = Path(__file__).parent / "runtime" / "bind"
VARIABLE = "FAL_SERVERLESS_BIND"
"""The patch reads it; a test compares the name."""
REAL_HOSTS = ("127.0.0.1", "::1")
CONNECT_TIMEOUT = 1.0
PROBE_FIRST, PROBE_LAST = 0.01, 0.1
"""Seconds between two looks whether a server accepts; it grows."""
SLOW = 3.0
"""Seconds after which a server that is not there yet is worth a word."""
HOSTS_TRIED = 3
"""Addresses looked at for the port asked for, before another port will do."""

Address = tuple[str, int]


@dataclass(frozen=True)
class Place:
    """Where one worker's server is expected."""

    wanted: int
    """The port that the function names."""
    private: Address
    """Where it is sent."""
    was_free: bool
    """Nobody listened on the real port before the worker started."""
    method: Method

    @property
    def environ(self) -> dict[str, str]:
        host, port = self.private
        named = {"PORT": str(self.wanted)}
        if self.method.by_kernel:
            return named
        patch = {VARIABLE: f"{self.wanted}={host}:{port}", "PYTHONPATH": str(BIND_FOLDER)}
        return named | patch

    @property
    def orders(self) -> dict[str, Any]:
        """For the worker's supervisor."""
        if not self.method.by_kernel:
            return {}
        host, port = self.private
        hands = self.method.name == "socket"
        return {"moves": {"host": host, "ports": {self.wanted: port}, "hands": hands}}


class Ports:
    """The addresses of one backend's workers."""

    def __init__(self, method: Callable[[], Method]) -> None:
        """`method` may have to wait until it is known."""
        self._method = method
        # Another backend on this machine starts elsewhere; whoever comes too near is probed.
        self._hosts = _hosts(random.randrange(1 << 22))
        self._real: dict[int, Place] = {}

    async def claim(self, port: int) -> Place:
        """A place for a worker that is about to start."""
        method = await asyncio.to_thread(self._method)
        was_free = method.by_kernel or await _real_host(port) is None
        return Place(port, self._private(port, method), was_free, method)

    def release(self, place: Place) -> None:
        if self._real.get(place.wanted) is place:
            del self._real[place.wanted]

    async def reach(
        self,
        place: Place,
        sessions: set[int],
        over: asyncio.Future[str],
        slow: Callable[[], object],
    ) -> Address | None:
        """Wait for the server of a worker; None: it is over. `slow` is called when it takes long.

        Raises WorkerFailed, as `find`.
        """
        timer = asyncio.get_running_loop().call_later(SLOW, slow)
        delay = PROBE_FIRST
        try:
            while not over.done():
                found = await self.find(place, sessions)
                if found is not None:
                    return found
                await asyncio.wait((over,), timeout=delay)
                delay = min(delay * 1.3, PROBE_LAST)
        finally:
            timer.cancel()
        return None

    async def find(self, place: Place, sessions: set[int]) -> Address | None:
        """Where the server of a worker, in these sessions, accepts connections; None: nowhere yet.

        Raises WorkerFailed when it listens on the real port, which is another's.
        """
        if await accepts(place.private) and _is_at(place):
            return place.private
        if place.method.by_kernel:
            return None
        host = await _real_host(place.wanted)
        if host is None or not _owns_real(place, sessions):
            return None
        if not self._may_be_real(place):
            raise WorkerFailed(
                f"the function's server takes no address but port {place.wanted} of this "
                "machine, and there another one listens"
            )
        self._real[place.wanted] = place
        return (host, place.wanted)

    def hint(self, place: Place) -> str:
        """What to add when a server never came up; '' when the port is not the reason."""
        if place.method.by_kernel:
            others = sorted(_ports_at(place.private[0]) - {place.private[1]})
            return f" (it listens on port {others[0]})" if others else ""
        if self._may_be_real(place):
            return ""
        return f" (another program listens on port {place.wanted} of this machine)"

    def _may_be_real(self, place: Place) -> bool:
        return place.was_free and self._real.get(place.wanted, place) is place

    def _private(self, port: int, method: Method) -> Address:
        """An address nobody uses, with the port asked for where that can be had."""
        if not method.own_hosts:
            return ("127.0.0.1", _free_port("127.0.0.1"))
        for host in itertools.islice(self._hosts, HOSTS_TRIED):
            if _can_bind(host, port):
                return (host, port)
        # Somebody listens on the port on all addresses, or it is one for root alone.
        return (host, _free_port(host))


async def _real_host(port: int) -> str | None:
    for host in REAL_HOSTS:
        if await accepts((host, port)):
            return host
    return None


async def accepts(address: Address) -> bool:
    """Whether somebody accepts connections there."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(*address)
    except OSError:
        return False
    writer.transport.abort()
    return True


def _hosts(first: int) -> Iterator[str]:
    """The addresses of 127.64.0.0/10, over and over."""
    for number in itertools.count(first):
        rest = number % (1 << 22)
        if rest & 255 not in (0, 255):
            yield f"127.{64 + (rest >> 16)}.{rest >> 8 & 255}.{rest & 255}"


def _can_bind(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


# Linux: whose socket is it?

_LISTEN = "0A"


def _is_at(place: Place) -> bool:
    """Whether somebody listens at just this address, not at all of them."""
    host, port = place.private
    return not place.method.own_hosts or port in _ports_at(host)


def _owns_real(place: Place, sessions: set[int]) -> bool:
    """Whether the listener is of those sessions; taken for granted where nobody can tell."""
    if not place.method.own_hosts:
        return True
    inodes = {inode for _, port, inode in _listeners() if port == place.wanted}
    return any(inodes & _sockets_of(pid) for pid in _pids_of(sessions))


def _ports_at(host: str) -> set[int]:
    """The ports at which somebody listens at just this address."""
    # In these tables an IPv4 address is its bytes in reverse, also at the end of IPv6's.
    wanted = socket.inet_aton(host)[::-1].hex().upper()
    return {port for at, port, _ in _listeners() if at.endswith(wanted)}


def _listeners() -> Iterator[tuple[str, int, str]]:
    """Address in hexadecimal, port, and inode of each listening socket."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                parts = line.split()
                host, _, port = parts[1].partition(":")
                if parts[3] == _LISTEN:
                    yield host, int(port, 16), parts[9]


def _pids_of(sessions: set[int]) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if os.getsid(int(entry.name)) in sessions:
                    found.append(int(entry.name))
    return found


def _sockets_of(pid: int) -> set[str]:
    found = set()
    folder = Path(f"/proc/{pid}/fd")
    with suppress(OSError):
        for entry in folder.iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found
