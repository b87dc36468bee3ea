"""What can workers have on this machine? `python -I -S probe.py HOST` tries and says so in JSON.

Can their servers be moved? A small worker binds a port of 127.0.0.1, which must end up at HOST, and
connects to itself: with the worker's socket in hand first, then with nothing but its memory.
Can they have a process namespace? As root first, then in a namespace of users.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import socket
import sys
from typing import Any, Callable, Dict, List, NoReturn

PR_SET_NO_NEW_PRIVS = 38


def try_moves(host: str, hands: bool) -> None:
    """Raises OSError: it does not work, and why."""
    seccomp = importlib.import_module("_fal_worker.seccomp")
    moves = importlib.import_module("_fal_worker.moves")
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        ours.close()
        os._exit(_try_as_worker(seccomp, theirs, host, not hands))
    theirs.close()
    try:
        listener = seccomp.take_over(ours)
        if listener is not None:
            _answer(moves.Moves(seccomp.Listener(listener), host, {}, hands), listener, ours)
        said = ours.recv(1000).decode().lstrip("!")
    finally:
        os.waitpid(child, 0)
    if said != "works":
        raise OSError(said or "the process that tried it died")


def _try_as_worker(seccomp: Any, link: socket.socket, host: str, without_v6only: bool) -> int:
    try:
        seccomp.hand_over(link, seccomp.install(without_v6only))
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", moved_port()))
            server.listen()
            if server.getsockname()[0] != host:
                raise OSError(f"a server did not move to {host}")
            client.settimeout(1)
            client.connect(("127.0.0.1", moved_port()))
        link.sendall(b"works")
    except OSError as exc:
        # Its first byte goes to whoever waits for the listener, if that was not sent.
        link.sendall(f"!{exc}".encode())
    return 0


def moved_port() -> int:
    """Below those for outgoing connections; that another has it would not matter."""
    return 20000 + os.getppid() % 10000


def _answer(moves: Any, listener: int, link: socket.socket) -> None:
    """Until the worker has said how it went, or is gone."""
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(link, select.POLLIN)
    while True:
        ready = dict(poll.poll(2000))
        if not ready or link.fileno() in ready:
            return
        moves.handle()


def try_namespace(kind: str) -> None:
    """Raises OSError: it does not work, and why."""
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        _say(writable, lambda: _supervise_namespace(kind))
    os.close(writable)
    _hear(readable, child)


def _supervise_namespace(kind: str) -> None:
    namespaces = importlib.import_module("_fal_worker.namespaces")
    namespaces.enter(kind)
    _, tell = os.pipe()
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        namespaces.keep(tell)
        _say(theirs, lambda: _settle(namespaces, kind))
    os.close(tell)
    os.close(theirs)
    _hear(ours, child)


def _settle(namespaces: Any, kind: str) -> None:
    namespaces.settle(kind)
    if os.readlink("/proc/self") != str(os.getpid()):
        raise OSError("/proc shows other processes")


def _hear(pipe: int, child: int) -> None:
    """What that process says by `_say`. Raises OSError: it does not work, and why."""
    with open(pipe) as file:
        said = file.read()
    os.waitpid(child, 0)
    if said != "works":
        raise OSError(said or "the process that tried it died")


def _say(pipe: int, act: Callable[[], None]) -> NoReturn:
    """ "works", or what went wrong; and the end of this process."""
    try:
        act()
    except OSError as exc:
        os.write(pipe, str(exc).encode())
    else:
        os.write(pipe, b"works")
    os._exit(0)


def first_of(ways: List[str], attempt: Callable[[str], None]) -> Dict[str, str]:
    """`way` is the first that works, or ""; `why` tells why not one before it."""
    why: List[str] = []
    for way in ways:
        try:
            attempt(way)
        except OSError as exc:
            why.append(str(exc))
        else:
            return {"way": way, "why": "; ".join(dict.fromkeys(why))}
    return {"way": "", "why": "; ".join(dict.fromkeys(why))}


def probe(host: str) -> Dict[str, Dict[str, str]]:
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return {
        "moves": first_of(["socket", "memory"], lambda way: try_moves(host, way == "socket")),
        "namespace": first_of(["root", "user"], try_namespace),
    }


if __name__ == "__main__":
    package = type(sys)("_fal_worker")
    package.__path__ = [__file__.rpartition("/")[0]]
    sys.modules["_fal_worker"] = package
    print(json.dumps(probe(sys.argv[1])))
