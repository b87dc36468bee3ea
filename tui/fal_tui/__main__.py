"""The program `fal-tui`: reads its arguments, refuses where there is no terminal, runs the app.

Textual is imported only when the application really runs.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from fal_serverless.errors import EXIT_INTERRUPTED, EXIT_USAGE, FalError
from fal_tui.frames import quicken

if TYPE_CHECKING:
    from fal_serverless.config import Config


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as fal-serverless does."""

    def error(self, message: str) -> NoReturn:
        print(f"Error: {message} (see: {self.prog} --help)", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="fal-tui",
        description="Functions, revisions, aliases and logs in a terminal. "
        "Starts the embedded backend when it does not run.",
        epilog="Press ? inside for all keys.",
        allow_abbrev=False,
    )
    made.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a Python file to serve")
    made.add_argument("--context", metavar="NAME", help="backend to use; default: the one in use")
    made.add_argument("--readonly", action="store_true", help="refuse every change")
    made.add_argument("--no-mouse", action="store_true", help="leave the mouse to the terminal")
    made.add_argument(
        "--demo", action="store_true", help="try it: a throw-away backend with sample functions"
    )
    made.add_argument(
        "--web", action="store_true", help="in a browser of this machine, behind a token"
    )
    made.add_argument(
        "--web-port", type=port, default=0, metavar="N", help="of --web; default: any free one"
    )
    made.add_argument(
        "--screenshot", type=Path, metavar="PATH", help="draw the first screen to .svg or .png"
    )
    made.add_argument(
        "--size", type=size, default=(120, 36), metavar="WxH", help="of the screenshot: 160x45"
    )
    made.add_argument("--version", action="store_true", help="print the version")
    return made


def size(text: str) -> tuple[int, int]:
    """`160x45` as (columns, rows)."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is not like 160x45")
    found = int(width), int(height)
    if not (20 <= found[0] <= 500 and 5 <= found[1] <= 300):
        raise argparse.ArgumentTypeError(f"'{text}' is not between 20x5 and 500x300")
    return found


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"'{text}' is no port")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Console script. Exit codes: 0, 1 error, 2 usage or no terminal, 5 unknown context, 130."""
    given = parser().parse_args(arguments)
    if given.version:
        from fal_serverless import __version__

        print(f"fal-tui {__version__}")
        return
    try:
        sys.exit(run(given))
    except FalError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def run(given: argparse.Namespace) -> int:
    if given.screenshot is None and not given.web and not has_screen():
        print(
            "Error: fal-tui needs a terminal; in scripts use fal-serverless, "
            "or --screenshot PATH for a picture",
            file=sys.stderr,
        )
        return EXIT_USAGE
    problem = misuse(given)
    if problem:
        print(f"Error: {problem}", file=sys.stderr)
        return EXIT_USAGE
    if given.web:
        return run_web(given)
    # A tenth of the time until the first paint went into looking for garbage among modules that
    # were just read. The application enables it again once it has begun.
    gc.disable()
    quicken()
    if given.demo:
        from fal_tui.demo import run_demo

        return run_demo(given.screenshot, given.size, mouse=not given.no_mouse)
    return run_app(given)


def has_screen() -> bool:
    """A terminal, or a browser that `--web` speaks for."""
    from fal_serverless.config import in_browser

    return in_browser() or (sys.stdin.isatty() and sys.stdout.isatty())


def misuse(given: argparse.Namespace) -> str:
    """What does not go together; '' for nothing."""
    if given.web and given.screenshot is not None:
        return "--screenshot draws no browser, --web does not go with it"
    if given.web_port and not given.web:
        return "--web-port goes with --web"
    if given.file is None:
        return ""
    if given.file.is_dir():
        return f"{given.file} is a folder: name a Python file in it"
    if not given.file.is_file():
        return f"no file {given.file}"
    for flag in ("readonly", "demo"):
        if getattr(given, flag):
            return f"FILE is to be served, --{flag} does not go with it"
    return ""


def run_web(given: argparse.Namespace) -> int:
    """Until ctrl+c; what is wrong with the arguments is said here, not in each tab."""
    from fal_serverless.config import load

    load().context(given.context)
    try:
        from fal_tui.web.server import serve
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("fal_"):
            raise
        print(
            f"Error: --web needs {error.name}, which is not installed; "
            "pip install 'fal-tui[web]', or '.[web]' in the project's folder",
            file=sys.stderr,
        )
        return 1
    import asyncio

    asyncio.run(serve(tab_words(given), given.web_port, announce))
    return 0


def tab_words(given: argparse.Namespace) -> list[str]:
    """What each tab's `fal-tui` is given."""
    words = ["--context", given.context] if given.context else []
    words += [f"--{name}" for name in ("readonly", "demo") if getattr(given, name)]
    return [*words, *(["--", str(given.file.absolute())] if given.file else [])]


def announce(address: str) -> None:
    print(address, flush=True)
    print(
        "Open it in a browser of this machine, and keep it to yourself: whoever has the address\n"
        "can run code as you. Each tab is a session of its own. ctrl+c ends all.",
        file=sys.stderr,
        flush=True,
    )


def run_app(given: argparse.Namespace) -> int:
    from fal_serverless.config import load
    from fal_tui.app import FalTui, Start

    config: Config = load()
    context = config.context(given.context)
    keymap = None
    if config.keymap or config.commands:
        from fal_tui.keymap import read
        from fal_tui.widgets.bindings import WIDGETS

        keymap = read(config, WIDGETS)  # what is wrong is said here, before the screen is taken
    app = FalTui(config, context, start=Start(given.file, given.readonly), keymap=keymap)
    if given.screenshot is not None:
        from fal_tui.screenshot import take

        take(app, given.screenshot, given.size)
        return 0
    app.run(mouse=config.settings.mouse and not given.no_mouse)
    return app.return_code or 0


if __name__ == "__main__":
    main()
