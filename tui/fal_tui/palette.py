"""The few colours that carry a meaning, whatever the theme. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fal_serverless.models import AuthMode


@dataclass(frozen=True)
class Palette:
    """Rich colour names or `#rrggbb`."""

    good: str = "green"
    bad: str = "red"
    warn: str = "yellow"
    accent: str = "cyan"
    muted: str = "bright_black"
    name: str = "bold"
    """Style of what an item is called."""

    def auth(self, mode: AuthMode) -> str:
        """Open to anybody stands out, closed does not."""
        return {"private": self.good, "shared": self.accent, "public": self.warn}[mode]

    def state(self, state: str) -> str:
        """Of a worker."""
        known = {"ready": self.good, "busy": self.accent, "failed": self.bad}
        return known.get(state, self.warn if state in ("starting", "draining") else self.muted)


PLAIN = Palette()

_VARIABLES = {
    "good": "text-success",
    "bad": "text-error",
    "warn": "text-warning",
    "accent": "text-accent",
}


def from_theme(variables: Mapping[str, str], dark: bool) -> Palette:
    """The palette of a theme, given the variables its style sheets use."""
    found = {
        name: variables[key]
        for name, key in _VARIABLES.items()
        if variables.get(key, "").startswith("#") and len(variables[key]) == 7
    }
    if not found:  # the terminal's own colours
        return PLAIN
    return Palette(**found, muted="#8b93a1" if dark else "#6b7280")
