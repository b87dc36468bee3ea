"""The reading end of a pipe that a child writes to, beside the channel that it answers over.

Not a transport of asyncio's: whoever reads has to know what the child said over its channel before
it wrote. What it answered last may lie there unread, and the event loop comes to the two in any
order.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import termios
from collections.abc import Callable
from typing import Protocol

MOST = 256 * 1024
"""Bytes that are read at once."""
NONE = bytes(4)


class Taker(Protocol):
    """Who gets the bytes."""

    def opened(self, pipe: Pipe) -> None:
        """Before anything is read."""

    def data_received(self, data: bytes) -> None:
        """At least one byte."""

    def connection_lost(self) -> None:
        """Nothing more comes: all writers are gone, or it was closed."""


class Pipe:
    """All methods are for the event loop's thread."""

    def __init__(self, taker: Taker, before: Callable[[], object] = lambda: None) -> None:
        """`before` takes in what is said beside it; called before each reading.

        Raises OSError where there are no more descriptors.
        """
        self._taker = taker
        self._before = before
        self._loop = asyncio.get_running_loop()
        self._reading, self.writing = os.pipe()
        """`writing`: for the child; to be closed by whoever passes it on."""
        os.set_blocking(self._reading, False)
        self._is_closed = False
        taker.opened(self)
        self._loop.add_reader(self._reading, self._read)

    def _read(self) -> None:
        # So much was written before what is now taken in could be answered; and whose it is, is
        # not over as long as it is unread.
        size = self._unread()
        self._before()
        if self._is_closed:
            return
        try:
            data = os.read(self._reading, min(size, MOST) or 1)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._taker.data_received(data)
        else:
            self.close()

    def _unread(self) -> int:
        return int.from_bytes(fcntl.ioctl(self._reading, termios.FIONREAD, NONE), sys.byteorder)

    def pause(self) -> None:
        """Nothing is read until `resume`."""
        if not self._is_closed:
            self._loop.remove_reader(self._reading)

    def resume(self) -> None:
        if not self._is_closed:
            self._loop.add_reader(self._reading, self._read)

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._reading)
        os.close(self._reading)
        self._loop.call_soon(self._taker.connection_lost)
