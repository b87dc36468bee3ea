"""The main path in a real terminal, key by key, over a real backend that the program starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.main_path import MainPath, environ, stop_backend, write
from tui.terminal import Terminal, processes_about, wait_until_gone


@pytest.mark.timeout(400)  # waits for events, each with patience of its own
@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
def test_the_main_path_from_nothing_to_the_end(size: tuple[int, int], tmp_path: Path) -> None:
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    write(folder, "Hello")
    env = environ(home, FAL_SERVERLESS_PORT="0")
    terminal = Terminal(env=env, size=size, cwd=folder)
    path = MainPath(terminal, folder)
    try:
        path.walk()
        told = terminal.text
        assert path.quit() == 0
    except BaseException:
        terminal.kill()
        stop_backend(env)
        raise
    assert "Undone: hello" in told and "hello is public now" in told
    wait_until_gone(processes_about(home))


def test_a_file_is_offered_to_be_served_at_once(tmp_path: Path) -> None:
    write(tmp_path, "Hello")
    env = environ(tmp_path / "home", FAL_SERVERLESS_PORT="0")
    terminal = Terminal("hello.py", env=env, cwd=tmp_path)
    try:
        terminal.until("Makes the alias")
        terminal.type("\r")
        terminal.until("enter close")
        assert "live on hello" in terminal.text
        terminal.type("\r")
        terminal.until_gone("enter close")
        assert MainPath(terminal, tmp_path).quit() == 0
    except BaseException:
        terminal.kill()
        stop_backend(env)
        raise
