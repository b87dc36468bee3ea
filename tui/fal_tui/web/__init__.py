"""`fal-tui --web`: the same application in a browser, by textual-serve, for this machine alone.

textual-serve has neither a login nor a check of where a request comes from, and whoever reaches the
terminal can serve files, so run code. Hence `guard`: everything is behind a token, and what another
web page or another name for this machine asks for is refused.
"""

from __future__ import annotations

__all__: list[str] = []
