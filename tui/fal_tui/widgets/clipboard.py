"""How does text get from a program in a terminal into the clipboard? By OSC 52, within its limits.

Textual writes the sequence; here is what it leaves out: tmux swallows it unless it is wrapped, and
terminals drop what is too long without a word.
"""

from __future__ import annotations

from base64 import b64encode

from textual.app import App

from fal_serverless.config import inside_tmux

MOST = 74_994
"""Bytes that terminals take (xterm's limit of 100,000 after base64)."""


def copy(app: App[object], text: str) -> str:
    """Copy, and the sentence to show for it; what is too long is cut at the end of a line."""
    kept = cut(text)
    app.copy_to_clipboard(kept)
    if inside_tmux():
        app.console.file.flush()
        _write(app, wrapped(kept))
    return _said(kept, text)


def cut(text: str) -> str:
    """At most MOST bytes of it, whole lines where there are several."""
    data = text.encode()
    if len(data) <= MOST:
        return text
    kept = data[:MOST].decode(errors="ignore")
    return kept.rpartition("\n")[0] or kept


def wrapped(text: str) -> str:
    """OSC 52 inside tmux's passthrough: every escape in it is doubled."""
    inner = f"\x1b]52;c;{b64encode(text.encode()).decode()}\x07"
    return "\x1bPtmux;" + inner.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def _write(app: App[object], sequence: str) -> None:
    driver = app._driver
    if driver is not None:
        driver.write(sequence)


def _said(kept: str, text: str) -> str:
    lines = kept.count("\n") + 1
    if kept == text:
        return f"Copied {lines:,} lines" if lines > 1 else "Copied"
    if text[len(kept)] != "\n":
        return f"Copied the first {len(kept):,} of {len(text):,} characters: more do not fit"
    return f"Copied the first {lines:,} of {text.count(chr(10)) + 1:,} lines: more do not fit"
