"""Can this machine's servers be moved? `python -I -S probe.py HOST` tries it and says so in JSON.

A small worker binds a free port of 127.0.0.1, which must end up at HOST, and connects to itself.
Tried with the worker's socket in hand first, then with nothing but its memory.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import socket
import sys
from typing import Any, Dict

PR_SET_NO_NEW_PRIVS = 38


def attempt(host: str, hands: bool) -> None:
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


def probe(host: str) -> Dict[str, Any]:
    """`method` is "socket", "memory" or ""; `why` tells why not a better one."""
    why = []
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for method in ("socket", "memory"):
        try:
            attempt(host, method == "socket")
        except OSError as exc:
            why.append(str(exc))
        else:
            return {"method": method, "why": "; ".join(why)}
    return {"method": "", "why": "; ".join(dict.fromkeys(why))}


if __name__ == "__main__":
    package = type(sys)("_fal_worker")
    package.__path__ = [__file__.rpartition("/")[0]]
    sys.modules["_fal_worker"] = package
    print(json.dumps(probe(sys.argv[1])))
