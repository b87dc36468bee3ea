"""Screens over time -> one animated SVG. Pure.

Every different row is drawn once and used wherever it is seen; the frames stand side by side on a
strip that CSS moves past the window. Pictures in a README run no script: there is none in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

CELL_WIDTH, CELL_HEIGHT, FONT_SIZE, BASELINE = 8.43, 18.0, 14, 13.5
MARGIN = 10
FAMILY = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"

Look = tuple[str, str, bool, bool]
"""Foreground and background (#rrggbb), bold, italic."""
Row = tuple[tuple[str, Look], ...]
"""Characters and how they look."""
Screen = tuple[Row, ...]


@dataclass(frozen=True)
class Frame:
    screen: Screen
    seconds: float
    """How long it is seen."""


def svg(frames: Sequence[Frame], columns: int, background: str, title: str) -> str:
    """Raises ValueError without a frame."""
    if not frames:
        raise ValueError("no frame")
    width = columns * CELL_WIDTH
    height = len(frames[0].screen) * CELL_HEIGHT
    rows: dict[Row, int] = {}
    placed = [_placed(frame.screen, number * width, rows) for number, frame in enumerate(frames)]
    drawn = "".join(f'<g id="r{number}">{_row(row)}</g>' for row, number in rows.items())
    outer = width + 2 * MARGIN, height + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" '
        f'viewBox="0 0 {outer[0]:.0f} {outer[1]:.0f}" '
        f'width="{outer[0]:.0f}" height="{outer[1]:.0f}">'
        f"<title>{escape(title)}</title><style>{_style(frames, width)}</style>"
        f'<defs>{drawn}<clipPath id="w"><rect width="{width:.2f}" height="{height:.2f}"/>'
        f'</clipPath></defs><rect width="100%" height="100%" rx="8" fill="{background}"/>'
        f'<g transform="translate({MARGIN},{MARGIN})" clip-path="url(#w)">'
        f'<g class="s">{"".join(placed)}</g></g></svg>\n'
    )


def _style(frames: Sequence[Frame], width: float) -> str:
    whole = sum(frame.seconds for frame in frames)
    steps, at = [], 0.0
    for number, frame in enumerate(frames):
        steps.append(f"{at / whole:.4%}{{transform:translateX({-number * width:.2f}px)}}")
        at += frame.seconds
    return (
        f"text{{font:{FONT_SIZE}px {FAMILY};white-space:pre}}.b{{font-weight:700}}"
        f".i{{font-style:italic}}.s{{animation:m {whole:.2f}s step-end infinite}}"
        f"@keyframes m{{{''.join(steps)}}}"
    )


def _placed(screen: Screen, left: float, rows: dict[Row, int]) -> str:
    uses = []
    for y, row in enumerate(screen):
        number = rows.setdefault(row, len(rows))
        uses.append(f'<use href="#r{number}" y="{y * CELL_HEIGHT:g}"/>')
    return f'<g transform="translate({left:.2f})">{"".join(uses)}</g>'


def _row(row: Row) -> str:
    parts, texts, x = [], [], 0
    for look, group in groupby(row, key=lambda cell: cell[1]):
        text = "".join(character for character, _ in group)
        foreground, background, bold, italic = look
        left, width = x * CELL_WIDTH, len(text) * CELL_WIDTH
        parts.append(
            f'<rect x="{left:.2f}" width="{width + 0.3:.2f}" height="{CELL_HEIGHT + 0.3:g}" '
            f'fill="{background}"/>'
        )
        if text.strip():
            texts.append(_text(text, left, foreground, bold, italic))
        x += len(text)
    return "".join(parts + texts)


def _text(text: str, left: float, colour: str, bold: bool, italic: bool) -> str:
    """Stretched to its cells, whatever font there is."""
    lead = len(text) - len(text.lstrip())
    kept = text.strip()
    names = " ".join(name for name, on in (("b", bold), ("i", italic)) if on)
    kind = f' class="{names}"' if names else ""
    return (
        f'<text x="{left + lead * CELL_WIDTH:.2f}" y="{BASELINE}" fill="{colour}"{kind} '
        f'textLength="{len(kept) * CELL_WIDTH:.2f}">{escape(kept)}</text>'
    )
