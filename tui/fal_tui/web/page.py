"""The page around the terminal: xterm.js as textual-serve ships it, nothing from other hosts."""

from __future__ import annotations

from html import escape

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{base}/static/css/xterm.css">
<script src="{base}/static/js/textual.js"></script>
<script src="{base}/focus.js"></script>
<style>
@font-face {{
  font-family: "Roboto Mono";
  src: url("{base}/static/fonts/RobotoMono-VariableFont_wght.ttf");
  font-weight: 100 700;
}}
html, body {{ margin: 0; height: 100%; overflow: hidden; background: #121212; color: #e0e0e0;
  font: 16px "Roboto Mono", monospace; }}
#terminal {{ width: 100vw; height: 100vh; }}
.note {{ position: fixed; inset: 0; display: none; z-index: 1; place-content: center;
  text-align: center; background: #121212; }}
body:not(.-first-byte) .opening, body.-closed .ended {{ display: grid; }}
body.-closed .opening {{ display: none; }}
.ended a {{ color: #0178d4; }}
</style>
</head>
<body>
<div class="note opening">fal-tui starts…</div>
<div class="note ended"><p>fal-tui was left, or its server ended.</p>
<p><a href="{base}/">Open it again</a></p></div>
<div id="terminal" class="textual-terminal" data-session-websocket-url="ws://{host}{base}/ws"
  data-font-size="{size}"></div>
</body>
</html>
"""
FOCUS = """// Keys go to the terminal without a click into it first.
const focus = () => document.querySelector(".xterm-helper-textarea")?.focus();
addEventListener("load", () => {
  new MutationObserver(focus).observe(document.body, {attributes: true});
  focus();
});
addEventListener("focus", focus);
"""
FONT_SIZES = (8, 48)
"""Least and most, in pixels."""


def page(host: str, base: str, size: str, title: str) -> str:
    """`host` as the browser calls us, `base` the path before all; `size` is as a query says it."""
    least, most = FONT_SIZES
    wanted = int(size) if size.isascii() and size.isdigit() else 16
    return PAGE.format(
        host=escape(host),
        base=escape(base),
        size=min(max(wanted, least), most),
        title=escape(title),
    )


def policy(host: str) -> dict[str, str]:
    """Headers of every answer: only our own scripts, no frame of others around it, no traces."""
    content = (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        f"font-src 'self'; img-src 'self' data:; connect-src 'self' ws://{host}; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return {
        "Content-Security-Policy": content,
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
