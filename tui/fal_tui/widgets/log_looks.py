"""What can look differently in a log, and how it looks unless a theme says otherwise."""

from __future__ import annotations

LABEL_COLOURS = 6
"""Names of endpoints are told apart by so many colours."""

LOOKS = (
    "time", "gap", "hit", "message", "aside",
    "trace", "debug", "info", "warning", "error", "stdout", "stderr",
    *(f"label-{number}" for number in range(LABEL_COLOURS)),
)  # fmt: skip
"""Parts of a line, by the component class without its prefix."""

COMPONENTS = {
    *(f"log--{name}" for name in LOOKS),
    "log--cursor",
    "log--cursor-blurred",
    "log--mark",
    "log--tick",
}

CSS = """
LogSheet {
    background: $surface;
    color: $foreground;
    overflow-x: auto;
    overflow-y: scroll;
    scrollbar-size-vertical: 1;
    scrollbar-size-horizontal: 0;
    scrollbar-color: $foreground 25%;
    scrollbar-background: $surface;
    scrollbar-background-hover: $surface;
    scrollbar-background-active: $surface;
    scrollbar-corner-color: $surface;
    & > .log--time { color: $text-muted; }
    & > .log--gap { color: $text-warning; text-style: italic; }
    & > .log--hit { color: auto 90%; background: $warning; text-style: bold; }
    & > .log--message { color: $foreground; }
    & > .log--aside { color: $text-muted; }
    & > .log--trace { color: $text-disabled; }
    & > .log--debug { color: $text-muted; }
    & > .log--info { color: $text-success; }
    & > .log--warning { color: $text-warning; }
    & > .log--error { color: $text-error; text-style: bold; }
    & > .log--stdout { color: $text-primary; }
    & > .log--stderr { color: $text-accent; }
    & > .log--label-0 { color: $text-primary; }
    & > .log--label-1 { color: $text-success; }
    & > .log--label-2 { color: $text-accent; }
    & > .log--label-3 { color: $text-secondary; }
    & > .log--label-4 { color: $text-warning; }
    & > .log--label-5 { color: $foreground; text-style: bold; }
    & > .log--cursor { background: $primary 45%; }
    & > .log--cursor-blurred { background: $primary 15%; }
    & > .log--tick { color: $warning; text-style: bold; }
    & > .log--mark { color: $text-warning; text-style: bold; }
}
"""
