"""`--demo` shows functions at work and leaves nothing behind, however it ends."""

from __future__ import annotations

import os
from pathlib import Path

from fal_serverless import source
from fal_tui.demo.stage import HERE, SAMPLES, calls
from tui.terminal import Terminal, processes_about, wait_until_gone


def environ(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
    return {**kept, "TMPDIR": str(folder)}


def test_every_sample_can_be_served() -> None:
    for sample in SAMPLES:
        found = source.scan(HERE / "samples" / sample.file)
        assert [each.name for each in found if each.serve or each.exposed_port] == [sample.name]


def test_traffic_calls_only_what_is_served() -> None:
    assert {call.name for call in calls()} == {sample.name for sample in SAMPLES}


def test_quitting_leaves_nothing_behind(tmp_path: Path) -> None:
    terminal = Terminal("--demo", env=environ(tmp_path))
    terminal.until("story")
    terminal.type("\x11")
    assert terminal.wait() == 0
    assert processes_about(tmp_path) == []
    assert list(tmp_path.glob("fal-tui-demo-*")) == []


def test_a_killed_application_leaves_nothing_behind(tmp_path: Path) -> None:
    terminal = Terminal("--demo", env=environ(tmp_path))
    terminal.until("site")
    pids = [pid for pid in processes_about(tmp_path) if pid != terminal.pid]
    assert len(pids) >= 2
    terminal.kill()
    wait_until_gone(pids)
    assert list(tmp_path.glob("fal-tui-demo-*")) == []
