"""What tests of calls from Python share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping

import pytest


def use(monkeypatch: pytest.MonkeyPatch, environ: Mapping[str, str]) -> None:
    """Let calls of this process go where programs with that environment would call."""
    for name in [name for name in os.environ if name.startswith("FAL_")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        if name.startswith("FAL_"):
            monkeypatch.setenv(name, value)


def until(holds: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 20
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline
        pause.wait(0.01)
