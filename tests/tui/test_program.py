"""`fal-tui` as a program: arguments, exit codes, pictures, and what it does not import."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fal_serverless.errors import BadInput
from fal_tui import screenshot
from fal_tui.__main__ import misuse, parser, size
from running import RunningBackend
from tui.conftest import Opening


def fal_tui(
    *words: str, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fal_tui", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=100, env=env, cwd=cwd, check=False
    )


def test_without_a_terminal_it_says_so_and_exits_2() -> None:
    done = fal_tui()
    assert done.returncode == 2
    assert done.stderr.startswith("Error: fal-tui needs a terminal") and not done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_version_is_printed() -> None:
    assert fal_tui("--version").stdout.startswith("fal-tui 0.")


def test_a_missing_file_is_said() -> None:
    done = fal_tui("nothing.py", "--screenshot", "x.svg")
    assert done.returncode == 2 and "no file nothing.py" in done.stderr


def test_a_folder_to_serve_is_told_to_be_one(tmp_path: Path) -> None:
    given = parser().parse_args([str(tmp_path)])
    assert misuse(given) == f"{tmp_path} is a folder: name a Python file in it"


def test_a_file_is_not_served_readonly(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.touch()
    done = fal_tui(str(path), "--readonly", "--screenshot", "x.svg")
    assert done.returncode == 2 and "--readonly does not go with it" in done.stderr


def printed(code: str) -> str:
    """What a Python of its own says."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_help_imports_neither_textual_nor_httpx() -> None:
    code = (
        "import sys, fal_tui.__main__ as m\n"
        "try: m.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([n for n in ('textual', 'httpx', 'msgspec', 'rich') if n in sys.modules])"
    )
    assert printed(code).splitlines()[-1] == "[]"


def test_the_first_paint_imports_no_client() -> None:
    code = (
        "import sys, fal_tui.app\n"
        "print([n for n in ('httpx', 'tomlkit', 'fal_serverless.models') if n in sys.modules])"
    )
    assert printed(code) == "[]"


def test_other_keys_are_read_without_the_widgets_that_have_them() -> None:
    code = (
        "import sys; import fal_tui.app, fal_tui.keymap, fal_tui.widgets.bindings; "
        "print([n for n in ('widgets.log_view', 'screens.pulse') if f'fal_tui.{n}' in sys.modules])"
    )
    assert printed(code) == "[]"


@pytest.mark.parametrize("text", ["", "160", "axb", "5x5", "9999x9"])
def test_a_size_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["--size", text])


@pytest.mark.parametrize("args", [("--contex", "prod"), ("--size", "3"), ("a.py", "b.py")])
def test_wrong_usage_is_one_line_and_code_2(args: tuple[str, ...]) -> None:
    done = fal_tui(*args, env={})
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"Error: .* \(see: fal-tui --help\)\n", done.stderr)


def test_a_size_is_columns_by_rows() -> None:
    assert size("160x45") == (160, 45)


async def test_pictures_are_svg_or_png(opened: Opening, tmp_path: Path) -> None:
    async with opened((80, 24)) as seen:
        seen.save(tmp_path / "a.svg")
        seen.save(tmp_path / "b.png")
        with pytest.raises(BadInput):
            seen.save(tmp_path / "c.gif")
    assert "functions" in (tmp_path / "a.svg").read_text()
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")


def test_what_we_draw_is_in_the_font_that_ships() -> None:
    """Every glyph of ours has an outline: drawn alone it is not an empty picture."""
    blank = screenshot.png(_svg(" "))
    missing = screenshot.png(_svg("\U0010ffff"))
    for glyph in "●◐○▸▶→▌✓·—…▲▼↑↓←›▏╭╮╰╯│─":
        drawn = screenshot.png(_svg(glyph))
        assert drawn != blank and drawn != missing, glyph


def _svg(glyph: str) -> str:
    style = "font-family='Fira Code' font-size='20'"
    text = f"<text x='5' y='25' {style}>{glyph}</text>"
    return f"<svg xmlns='http://www.w3.org/2000/svg' width='40' height='40'>{text}</svg>"


def test_an_unreachable_context_is_one_line_and_exit_3(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[contexts.gone]\nurl = "http://127.0.0.1:9"\n')
    env = {"FAL_SERVERLESS_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = fal_tui("--context", "gone", "--screenshot", str(tmp_path / "a.svg"), env=env)
    assert done.returncode == 3
    assert done.stderr == "Error: no backend answers at http://127.0.0.1:9\n"


def test_an_unknown_context_is_exit_5(tmp_path: Path) -> None:
    env = {"FAL_SERVERLESS_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = fal_tui("--context", "nope", "--screenshot", str(tmp_path / "a.svg"), env=env)
    assert done.returncode == 5 and "no context 'nope'" in done.stderr


def test_the_first_screen_of_a_real_backend_as_a_picture(
    backend: RunningBackend, tmp_path: Path
) -> None:
    picture = tmp_path / "first.png"
    done = fal_tui("--screenshot", str(picture), "--size", "100x30", env=backend.env)
    assert done.returncode == 0, done.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("chosen", "frames"), [("", 240), ("30", 30)])
def test_frames_follow_each_other_soon(chosen: str, frames: int) -> None:
    code = (
        "import os\nfrom fal_tui.frames import VARIABLE, quicken\n"
        "before = os.environ.get(VARIABLE)\nquicken()\nassert os.environ.get(VARIABLE) == before\n"
        "from textual.screen import UPDATE_PERIOD\nprint(round(1 / UPDATE_PERIOD))"
    )
    environ = {name: value for name, value in os.environ.items() if name != "TEXTUAL_FPS"}
    if chosen:
        environ["TEXTUAL_FPS"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    )
    assert int(done.stdout) == frames
