"""Gives a worker's server an address of its own, by changing what `bind` and `connect` do.

`FAL_SERVERLESS_BIND=8080=127.64.0.5:8080`: who binds the port 8080 of this machine gets that
address instead, and who connects to it on loopback arrives there. Two functions that both want
port 8080 then run side by side. Sockets made past Python (C, Rust) are out of reach.

The worker imports this file; its Python children find it by PYTHONPATH, and then whatever
`sitecustomize` it stands before is run too.
"""

from __future__ import annotations

import errno
import importlib
import os
import socket
import sys
from typing import Any

VARIABLE = "FAL_SERVERLESS_BIND"
ANY = ("", "0.0.0.0", "::", "::0", "*")
HERE = ("localhost", "::1", "127.0.0.1")


class Moved:
    """One port and where it went."""

    def __init__(self, text: str) -> None:
        wanted, _, place = text.partition("=")
        host, _, port = place.rpartition(":")
        self.wanted = int(wanted)
        self.host = host
        self.port = int(port)

    def is_meant(self, address: Any, hosts: tuple[str, ...]) -> bool:
        if not isinstance(address, tuple) or len(address) < 2 or address[1] != self.wanted:
            return False
        host = address[0].decode() if isinstance(address[0], bytes) else address[0]
        return host in hosts or (isinstance(host, str) and host.startswith("127.0."))

    def address(self, family: int) -> Any:
        if family == socket.AF_INET6:
            return (f"::ffff:{self.host}", self.port, 0, 0)
        return (self.host, self.port)


def patch(moved: Moved) -> None:
    real_bind, real_connect = socket.socket.bind, socket.socket.connect
    real_connect_ex = socket.socket.connect_ex

    def bind(self: socket.socket, address: Any) -> None:
        if not moved.is_meant(address, ANY + HERE) or not _is_inet(self):
            return real_bind(self, address)
        if self.family == socket.AF_INET:
            return real_bind(self, moved.address(self.family))
        return _bind_six(self)

    def _bind_six(self: socket.socket) -> None:
        self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            real_bind(self, moved.address(self.family))
        except OSError as exc:
            # A server that binds both families has it already; nobody comes by this one.
            if exc.errno != errno.EADDRINUSE:
                raise
            real_bind(self, ("::1", 0, 0, 0))

    def connect(self: socket.socket, address: Any) -> None:
        real_connect(self, _target(self, address))

    def connect_ex(self: socket.socket, address: Any) -> int:
        return real_connect_ex(self, _target(self, address))

    def _target(self: socket.socket, address: Any) -> Any:
        if not moved.is_meant(address, ANY + HERE) or not _is_inet(self):
            return address
        if self.family == socket.AF_INET6:
            self.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return moved.address(self.family)

    for name, function in (("bind", bind), ("connect", connect), ("connect_ex", connect_ex)):
        setattr(socket.socket, name, function)


def _is_inet(sock: socket.socket) -> bool:
    return sock.family in (socket.AF_INET, socket.AF_INET6)


def _run_shadowed() -> None:
    """The `sitecustomize` that this file stands before, if there is one."""
    here = os.path.dirname(os.path.abspath(__file__))
    ours = sys.modules.pop("sitecustomize", None)
    before = sys.path[:]
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    try:
        importlib.import_module("sitecustomize")
    except ImportError:
        if ours is not None:
            sys.modules["sitecustomize"] = ours
    finally:
        sys.path[:] = before


if os.environ.get(VARIABLE):
    patch(Moved(os.environ[VARIABLE]))
if __name__ == "sitecustomize":
    _run_shadowed()
