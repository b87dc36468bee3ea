"""One browser tab: one process of `fal-tui`, which ends with it."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress

from textual_serve.app_service import AppService

DRIVER = "fal_tui.web.driver:BrowserDriver"
PATIENCE = 12.0
"""Seconds to end by itself, a demo's backend included, before it is killed."""


class Tab(AppService):
    """`words` are its command, never seen by a shell. Use `stop`, which comes back by PATIENCE."""

    words: Sequence[str] = ()

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environ = self._build_environment(width=width, height=height)
        self._process = await asyncio.create_subprocess_exec(
            *self.words,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**environ, "TEXTUAL_DRIVER": DRIVER},
            start_new_session=True,  # ctrl+c in the terminal is for the server, which ends us
        )
        assert self._process.stdin is not None
        self._stdin = self._process.stdin
        return self._process

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """Quits it, and kills it when that takes too long."""
        ending = asyncio.create_task(self._ended())
        try:
            # No timeout that cancels: textual-serve takes that for the end of the program.
            await asyncio.wait((ending,), timeout=PATIENCE)
        finally:
            self._kill()
        await ending

    async def _ended(self) -> None:
        await super().stop()
        if self._process is not None:
            await self._process.wait()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
