"""Which characters may go to a terminal? Every other one is replaced, one for one.

One for one, so that positions of styles and search hits in a text stay true. Colours are not
known here: `lines` takes them out of a line before it comes by.
"""

from __future__ import annotations

import re

UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Control characters, and the invisible ones that reorder or break a line."""

_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)}
_PICTURES |= {0x7F: "\u2421", 0x09: " ", 0x0A: "\u21b5", 0x0D: "\u240d"}


def printable(text: str) -> str:
    """The same number of characters, all of which are safe to draw."""
    if text.isprintable():
        return text
    return UNPRINTABLE.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    return _PICTURES.get(ord(match[0]), "\ufffd")
