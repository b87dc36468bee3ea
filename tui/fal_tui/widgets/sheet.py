"""What the list of rows and the log view share: strips that reach the terminal as they were drawn.

Textual makes each line of a widget anew before it is shown, for borders, tints and the like, and
with that forgets what it knew of the strip: its cuts, its colours for this terminal, its text. On
a whole frame that takes as long as drawing all rows. A sheet has nothing of the sort, its strips
are kept, and so is all that was found out about them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual._styles_cache import StylesCache
from textual.color import Color
from textual.css.styles import StylesBase
from textual.geometry import Region, Size, Spacing
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget


class Sheet(ScrollView):
    """A widget whose `render_line` gives strips with a background, as wide as its content."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._styles_cache = PlainStyles()


class PlainStyles(StylesCache):
    """Leaves strips alone where there is nothing to add but blank cells at the right."""

    _plain = False

    def render_widget(self, widget: Widget, crop: Region) -> list[Strip]:
        self._plain = widget.opacity == 1.0 and is_plain(widget.styles)
        return super().render_widget(widget, crop)

    def render_line(
        self,
        styles: StylesBase,
        y: int,
        size: Size,
        content_size: Size,
        padding: Spacing,
        base_background: Color,
        background: Color,
        render_content_line: Callable[[int], Strip],
        *args: Any,
    ) -> Strip:
        if not self._plain:
            return super().render_line(
                styles,
                y,
                size,
                content_size,
                padding,
                base_background,
                background,
                render_content_line,
                *args,
            )
        inner, _ = self.get_inner_outer(base_background, background)
        return render_content_line(y).adjust_cell_length(size.width, inner.rich_style)


def is_plain(styles: StylesBase) -> bool:
    """Whether nothing is drawn around, over or under the content, but for padding at the right."""
    top, _, bottom, left = styles.gutter
    return (
        not (top or bottom or left or any(edge for edge, _ in styles.border))
        and not any(edge for edge, _ in styles.outline)
        and styles.text_opacity == 1.0
        and not styles.tint.a
        and not styles.has_rule("hatch")
    )
