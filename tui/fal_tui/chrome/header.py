"""The one line on top: where, what, and whether the data is fresh."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from rich.text import Text
from textual.widget import Widget

from fal_serverless.models import Status
from fal_tui import render, safe
from fal_tui.link import LinkState
from fal_tui.palette import PLAIN, Palette
from fal_tui.places import HOME, Place, breadcrumbs


@dataclass(frozen=True)
class Heading:
    """All that the header says."""

    context: str = "local"
    place: Place = HOME
    title: str = ""
    """How the place's name is written; '' for as it is."""
    link: LinkState = field(default_factory=LinkState)
    status: Status | None = None
    readonly: bool = False
    protected: bool = False
    demo: bool = False


def connection(link: LinkState, now: datetime, palette: Palette) -> Text:
    """`● live`, `◐ retrying 4s`, `○ offline since 12:04, data 35 s old`; `○ key refused since`."""
    if link.mood == "live":
        return Text("● live", palette.good)
    if link.mood == "connecting":
        return Text("◐ connecting", palette.warn)
    if link.mood == "retrying":
        wait = _seconds(link.retry_at, now, ahead=True)
        return Text(f"◐ retrying {wait}s" if wait else "◐ retrying", palette.warn)
    since = link.lost_at.strftime("%H:%M") if link.lost_at else "the start"
    what = "key refused" if link.refused else "offline"
    text = Text().append(f"○ {what} since {since}", palette.bad)
    return text.append(f", data {_age(link, now)} old" if link.seen_at else "")


def _age(link: LinkState, now: datetime) -> str:
    seconds = _seconds(link.seen_at, now)
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def _seconds(time: datetime | None, now: datetime, *, ahead: bool = False) -> int:
    if time is None:
        return 0
    distance = (time - now) if ahead else (now - time)
    return max(round(distance.total_seconds()), 0)


def figures(status: Status | None, palette: Palette) -> list[Text]:
    """The backend's figures, the most telling first."""
    if status is None:
        return []
    traffic = status.traffic
    return [
        Text(f"{traffic.per_second:.1f} req/s"),
        Text(f"{_percent(traffic.error_percent)}% err", palette.bad if traffic.errors else ""),
        Text(f"p50 {render.millis(traffic.p50_ms)}"),
        Text(render.counted(status.workers, "worker")),
    ]


def _percent(value: float) -> str:
    """A few in a thousand are not none."""
    return f"{value:.1f}" if 0 < value < 10 else f"{value:.0f}"


def line(heading: Heading, width: int, now: datetime, palette: Palette) -> Text:
    """Left: context, badges, breadcrumbs. Right: figures as far as they fit, and the connection."""
    left = _left(heading, palette)
    right = connection(heading.link, now, palette)
    for figure in reversed(_fitting(heading, width - left.cell_len - right.cell_len, palette)):
        right = Text().append_text(figure).append(" · ", palette.muted).append_text(right)
    gap = width - left.cell_len - right.cell_len - 2
    if gap < 1:
        left = _left(heading, palette, cut=1 - gap)
        left.truncate(max(width - right.cell_len - 3, 1), overflow="ellipsis")
        gap = max(width - left.cell_len - right.cell_len - 2, 1)
    return Text(" ").append_text(left).append(" " * gap).append_text(right)


def _fitting(heading: Heading, room: int, palette: Palette) -> list[Text]:
    shown: list[Text] = []
    room -= 5
    for figure in figures(heading.status, palette) if heading.link.live else ():
        room -= figure.cell_len + 3
        if room < 0:
            break
        shown.append(figure)
    return shown


def _left(heading: Heading, palette: Palette, cut: int = 0) -> Text:
    """`cut`: cells that the name in the middle gives up, so that the last crumb is seen."""
    text = Text().append(safe.lines(heading.context), f"bold {palette.accent}")
    badges = (("DEMO", heading.demo), ("RO", heading.readonly), ("PROTECTED", heading.protected))
    for name, worn in badges:
        if worn:
            text.append(" ").append(f" {name} ", f"bold reverse {palette.warn}")
    text.append("  ")
    crumbs = list(breadcrumbs(heading.place))
    if heading.title and len(crumbs) > 1:
        crumbs[1] = heading.title
    if cut and len(crumbs) > 2:
        middle = Text(crumbs[1])
        middle.truncate(max(middle.cell_len - cut, 1), overflow="ellipsis")
        crumbs[1] = middle.plain
    for index, crumb in enumerate(crumbs):
        last = index == len(crumbs) - 1
        text.append(" ▸ " if index else "", palette.muted)
        text.append(safe.lines(crumb), "bold" if last else palette.muted)
    return text


class Header(Widget):
    """Draws a Heading; give it another one by `show`."""

    DEFAULT_CSS = """
    Header { dock: top; height: 1; background: $panel; color: $foreground; }
    """

    def __init__(self, heading: Heading, palette: Palette = PLAIN) -> None:
        super().__init__()
        self.heading = heading
        self.palette = palette

    def show(self, heading: Heading, palette: Palette) -> None:
        self.heading, self.palette = heading, palette
        self.refresh()

    def render(self) -> Text:
        return line(self.heading, self.size.width, datetime.now(), self.palette)
