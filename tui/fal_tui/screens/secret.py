"""A new key's secret: seen once, and by nobody but the one before the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Static

from fal_serverless.models import NewKey
from fal_tui.chrome.detail_pane import drawn
from fal_tui.palette import Palette
from fal_tui.screens.page import PageScreen

COVER = "•"


class SecretScreen(PageScreen):
    """Shows it until it is closed; pictures of the screen are taken while it is `covered`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # A second enter after the label would take it away before it was seen.
        Binding("q,enter", "stay", show=False),
    ]

    hint = "c copy both lines · esc close, for good"

    def __init__(self, new: NewKey, palette: Palette) -> None:
        self._new = new
        self._palette = palette
        super().__init__("New key", self._written(new.secret), _lines(new, new.secret), short=True)

    def _written(self, secret: str) -> Text:
        tone = self._palette
        label = f" for {self._new.key.alias}" if self._new.key.alias else ""
        text = Text(f"Scope {self._new.key.scope}{label}. ", tone.muted)
        text.append("This is the only time the secret will be visible.\n\n", tone.warn)
        text.append(_lines(self._new, secret), "bold")
        return text.append("\n\nIf it is lost, make another key and revoke this one.", tone.muted)

    def action_stay(self) -> None:
        self.notify("esc closes it, for good.", severity="warning", markup=False)

    @contextmanager
    def covered(self) -> Iterator[None]:
        """Dots in its place."""
        page = self.query_one("Body > Static", Static)
        page.update(drawn(self._written(COVER * len(self._new.secret))))
        try:
            yield
        finally:
            page.update(drawn(self._written(self._new.secret)))


def _lines(new: NewKey, secret: str) -> str:
    return f"FAL_KEY_ID='{new.key.id}'\nFAL_KEY_SECRET='{secret}'"
