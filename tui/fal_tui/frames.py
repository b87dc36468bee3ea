"""How soon a frame may follow the one before it.

Textual draws at most so many frames a second, and its timer for them lets one or two of its turns
pass after a frame (`Timer._run` of 8.2.8 counts one too far where it skips): at the usual 60 a key
that comes just after a frame, of news or of the key before, waits 17 to 33 ms for its own. Whoever
holds a key down sees that. A frame is drawn only where something changed, so that more turns cost
nothing at rest; what comes in masses (lines of logs, news) is gathered before.
"""

from __future__ import annotations

import os

PER_SECOND = 240
VARIABLE = "TEXTUAL_FPS"


def quicken() -> None:
    """To be called before Textual is imported. Who chose another number keeps it.

    Textual reads it once, and only from the environment; what is started later need not have it.
    """
    if VARIABLE in os.environ:
        return
    os.environ[VARIABLE] = str(PER_SECOND)
    try:
        import textual.constants  # noqa: F401 - for what it reads
    finally:
        del os.environ[VARIABLE]
