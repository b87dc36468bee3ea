"""The sockets a backend listens on: both loopbacks, one port."""

from __future__ import annotations

import errno
import socket

from fal_serverless.errors import InvalidSetting, PortTaken

PORTS_TRIED = 100
BACKLOG = 2048


Sockets = list[socket.socket]


def listen(
    host: str, port: int, *, any_port: bool = False, count: int = 1
) -> tuple[int, list[Sockets]]:
    """The port, and the sockets of so many gateways. 127.0.0.1 brings ::1 along.

    (Some resolvers prefer it.) With `any_port` the next free port is taken when `port` is not free.
    Raises PortTaken, InvalidSetting.
    """
    last = port + (PORTS_TRIED if any_port and port else 1)
    for candidate in range(port, last):
        try:
            return _listen(host, candidate, count)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise InvalidSetting(
                    f"cannot listen on {host}:{candidate}: {exc.strerror}"
                ) from exc
    tried = f"ports {port} to {last - 1} are" if any_port else f"port {port} is"
    raise PortTaken(f"{tried} taken on {host}; choose another with --port", port=port)


def _listen(host: str, port: int, count: int) -> tuple[int, list[Sockets]]:
    if count == 1:
        bound, sockets = _pair(host, port, shared=False)
        return bound, [sockets]
    # The kernel spreads connections evenly over sockets that share a port, but never tells that
    # somebody else has it, too: a socket that shares nothing asks first.
    bound, probes = _pair(host, port, shared=False)
    for probe in probes:
        probe.close()
    return bound, [_pair(host, bound, shared=True)[1] for _ in range(count)]


def _pair(host: str, port: int, *, shared: bool) -> tuple[int, Sockets]:
    first = _bind(host, port, shared)
    bound: int = first.getsockname()[1]
    sockets = [first]
    if host in ("127.0.0.1", "localhost") and socket.has_ipv6:
        try:
            sockets.append(_bind("::1", bound, shared))
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                first.close()
                raise
            # A machine without IPv6: nobody can ask for ::1 there.
    return bound, sockets


def _bind(host: str, port: int, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except BaseException:
        bound.close()
        raise
    return bound
