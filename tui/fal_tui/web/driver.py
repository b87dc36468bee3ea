"""Textual's driver for browsers, which here does not outlive the program that it speaks through.

Without it, an application whose server was killed stays for ever: nobody asks it to quit, and the
end of its input is not told.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

from textual.drivers.web_driver import WebDriver

PATIENCE = 3.0
"""Seconds for the application to end by itself once nobody listens."""


class BrowserDriver(WebDriver):
    """Started through the environment variable TEXTUAL_DRIVER."""

    def start_application_mode(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._fileno_write, self._write = self._write, self._written  # type: ignore[assignment]
        super().start_application_mode()

    def run_input_thread(self) -> None:
        super().run_input_thread()
        if not self.exit_event.is_set():  # the input ended first
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._app.exit)
            if not self.exit_event.wait(PATIENCE):
                os.kill(os.getpid(), signal.SIGKILL)

    def _written(self, data: bytes) -> int:
        try:
            return self._fileno_write(data)
        except BrokenPipeError:
            return len(data)
