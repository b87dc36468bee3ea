"""One process at the other end of a socket, as the store's program has it: bytes in and out.

What is said and asked is not known here.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from itertools import count

from fal_serverless.backend.logs import wire

BLOCK = 1 << 20
"""Bytes asked of a socket at once."""
AHEAD = 4 << 20
"""Bytes a reader may leave unread before its questions wait."""

_numbers = count(1)


class Peer:
    """A socket with what could not be sent yet."""

    def __init__(
        self,
        sock: socket.socket,
        selector: selectors.BaseSelector,
        heard: Callable[[Peer], object],
    ) -> None:
        """`heard`: called when there are new frames, or the end."""
        sock.setblocking(False)
        self.number = next(_numbers)
        self.name = ""
        """As a writer; what makes its batches its own."""
        self.refused = 0
        """The batch that could not be written; those after it are not looked at. 0: none."""
        self.ended = False
        self.arrived = bytearray()
        """Not taken as frames yet."""
        self._heard = heard
        self._socket = sock
        self._selector = selector
        self._out = bytearray()
        selector.register(sock, selectors.EVENT_READ, self)

    @property
    def is_behind(self) -> bool:
        return len(self._out) >= AHEAD

    def ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ:
            self._read()

    def send(self, kind: int, number: int, payload: bytes = b"") -> None:
        self._out += wire.frame(kind, number, payload)
        self._flush()

    def _read(self) -> None:
        try:
            block = self._socket.recv(BLOCK)
        except BlockingIOError:
            return
        except ConnectionError:
            block = b""
        if block:
            self.arrived += block
        else:
            self.ended = True
            self._selector.unregister(self._socket)
            self._socket.close()
        self._heard(self)

    def _flush(self) -> None:
        if self.ended:
            self._out.clear()
            return
        try:
            while self._out:
                del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        if self._selector.get_key(self._socket).events != wanted:
            self._selector.modify(self._socket, wanted, self)
