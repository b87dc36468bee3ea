"""Sample functions of `fal-tui --demo`, and the throw-away backend that serves them."""

from __future__ import annotations

from fal_tui.demo.stage import run_demo

__all__ = ["run_demo"]
