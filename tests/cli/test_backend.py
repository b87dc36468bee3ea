"""`backend`: started, found, stopped; ports that are taken."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles import Write
from cli.conftest import CONSOLE, Program, run, run_here
from cli.test_serving import GOOD
from fal_serverless.errors import StateFailed


@pytest.fixture
def home(alone_env: dict[str, str], tmp_path: Path) -> Iterator[Path]:
    """The folder of a backend that the test starts; it is stopped in the end."""
    yield tmp_path / "home"
    run_here(alone_env, "backend", "stop")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_start_status_stop(alone: Program, home: Path) -> None:
    port = free_port()
    started = alone("backend", "start", "--port", str(port))
    url = f"http://127.0.0.1:{port}"
    assert re.fullmatch(rf"Backend started at {url} \(process \d+\)\.\n", started.out)
    assert "runs already" in alone("backend", "start", "--port", str(port)).out
    assert json.loads(alone("backend", "status", "--json").out)["url"] == url
    assert alone("backend", "status").lines[0].startswith(f"Backend:    {url} (process ")
    assert 'context = "local"' in (home / "config.toml").read_text()
    assert alone("backend", "stop").out == "Backend stopped.\n"
    assert alone("backend", "stop").out == "No backend runs.\n"
    assert not (home / "state" / "backend.json").exists()


def test_status_starts_nothing_and_is_code_3_without_a_backend(alone: Program, home: Path) -> None:
    ran = alone("backend", "status")
    assert ran.code == 3 and ran.err.startswith("Error: the embedded backend does not run")
    assert not (home / "state").exists()


def test_a_command_starts_the_embedded_backend_and_finds_it_again(
    alone_env: dict[str, str], home: Path
) -> None:
    env = {**alone_env, "FAL_SERVERLESS_PORT": str(free_port())}
    assert run_here(env, "function", "list").code == 0
    first = json.loads((home / "state" / "backend.json").read_text())["pid"]
    assert run_here(env, "alias", "list").code == 0
    assert json.loads((home / "state" / "backend.json").read_text())["pid"] == first


def test_another_context_s_backend_is_not_taken_for_this_machine_s(
    alone: Program, home: Path
) -> None:
    alone("backend", "start", "--port", str(free_port()))
    alone("context", "add", "prod", "http://127.0.0.1:9")
    for command in ("stop", "start"):
        ran = alone("--context", "prod", "backend", command)
        assert ran.code == 2 and "'prod' is at http://127.0.0.1:9" in ran.err
    assert alone("--context", "absent", "backend", "stop").code == 5
    alone("context", "use", "prod")
    ran = alone("backend", "stop")
    assert ran.out == "Backend stopped.\n" and "the context in use is 'prod'" in ran.err
    assert alone("--context", "local", "backend", "stop").out == "No backend runs.\n"


def test_a_config_file_that_cannot_be_written_stops_no_start(
    alone: Program, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StateFailed("config.toml cannot be written")

    monkeypatch.setattr("fal_serverless.config.save_setting", refuse)
    ran = alone("backend", "start", "--port", str(free_port()))
    assert (ran.code, ran.err) == (0, "") and ran.out.startswith("Backend started at ")


def test_the_context_in_use_stays_when_there_is_one(alone: Program, home: Path) -> None:
    alone("context", "add", "prod", "http://127.0.0.1:9")
    alone("context", "use", "prod")
    alone("backend", "start", "--port", str(free_port()))
    assert 'context = "prod"' in (home / "config.toml").read_text()


def test_a_taken_port_fails_in_the_foreground_and_moves_in_the_background(
    alone: Program, alone_env: dict[str, str], home: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = run(alone_env, "backend", "run", "--port", str(port))
        assert ran.code == 1 and f"Error: port {port} is taken" in ran.err.splitlines()[-1]
        started = alone("backend", "start", "--port", str(port))
    assert re.fullmatch(rf"Port {port} is taken; using \d+\.\n", started.err)


def test_state_says_where_it_keeps_things(alone: Program, home: Path, tmp_path: Path) -> None:
    state = tmp_path / "elsewhere"
    place = ("--port", str(free_port()), "--state", str(state))
    started = alone("backend", "start", *place)
    assert started.err == f"Other commands find it with FAL_SERVERLESS_STATE={state}\n"
    assert (state / "backend.json").exists() and not (home / "state").exists()
    assert alone("backend", "stop", "--state", str(state)).out == "Backend stopped.\n"


def test_two_states_side_by_side_know_their_own_keys(
    alone: Program, alone_env: dict[str, str], home: Path, tmp_path: Path
) -> None:
    state = str(tmp_path / "elsewhere")
    alone("backend", "start", "--port", str(free_port()))
    assert alone("user", "add", "first-only").code == 0
    alone("backend", "start", "--port", str(free_port()), "--state", state)
    try:
        assert "first-only" in alone("user", "list").out
        moved = run_here({**alone_env, "FAL_SERVERLESS_STATE": state}, "user", "list")
        assert moved.code == 0 and "first-only" not in moved.out
    finally:
        alone("backend", "stop", "--state", state)


def test_a_backend_that_cannot_start_says_why(alone: Program, home: Path) -> None:
    ran = alone("backend", "start", "--host", "203.0.113.1", "--insecure")
    assert ran.code == 3 and "cannot listen on 203.0.113.1" in ran.err
    assert ran.err.count("\n") == 1


def test_run_says_when_other_machines_can_reach_it(alone_env: dict[str, str], home: Path) -> None:
    port = str(free_port())
    process = subprocess.Popen(
        [CONSOLE, "backend", "run", "--port", port, "--host", "0.0.0.0", "--insecure"],
        env=alone_env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    said = next(line for line in process.stderr if "listening" in line)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    where = f"all addresses of this machine, here as http://127.0.0.1:{port}"
    assert said.endswith(f"listening on {where}\n")


def test_run_serves_until_it_is_interrupted(alone_env: dict[str, str], home: Path) -> None:
    process = subprocess.Popen(
        [CONSOLE, "backend", "run", "--port", str(free_port())],
        env=alone_env, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    for line in process.stderr:
        if "listening on" in line:
            break
    assert run_here(alone_env, "function", "list").code == 0
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in (0, 130)


def test_what_was_served_is_there_after_a_kill(
    alone_env: dict[str, str], home: Path, write: Write
) -> None:
    env = {**alone_env, "FAL_SERVERLESS_PORT": str(free_port())}
    for alias in ("kept", "kept"):
        assert run_here(env, "fn", "serve", write(GOOD), "f", "--alias", alias).code == 0
    before = run_here(env, "function", "revisions", "kept").out
    pid = json.loads((home / "state" / "backend.json").read_text())["pid"]
    subprocess.run(["kill", "-9", str(pid)], check=True)
    assert run_here(env, "function", "revisions", "kept").out == before
    assert run_here(env, "function", "invoke", "kept", "-d", '{"x": 5}').out == "5"
