"""Finding, starting and stopping a backend; a small stand-in program is the backend."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio

from fal_serverless import config, launcher
from fal_serverless.config import Config, Context
from fal_serverless.errors import NotFound, StateFailed, Unreachable

STAND_IN = """
import http.server, json, os, signal, sys
from pathlib import Path

state = Path(os.environ["FAL_SERVERLESS_HOME"]) / "state"
with open(state / "starts", "a") as file:
    file.write("x")
if os.environ.get("STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"status": "ok", "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Health)
port = server.server_address[1]
told = {"pid": os.getpid(), "port": port, "url": f"http://127.0.0.1:{port}", "version": "1",
        "started_at": "2026-01-01T00:00:00Z", "domain": os.environ.get("FAL_SERVERLESS_DOMAIN", "")}
credentials = '[contexts.local]\\nkey = "made:at-start"\\nuser_id = "7"\\n'
(state.parent / "credentials.toml").write_text(credentials)
(state / "backend.json.part").write_text(json.dumps(told))
(state / "backend.json.part").rename(state / "backend.json")
server.serve_forever()
"""


@pytest_asyncio.fixture
async def lonely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Config]:
    """A home without a backend, where a stand-in is started as one."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr(launcher, "MODULE", "stand_in")
    made = config.load(
        {**os.environ, "FAL_SERVERLESS_HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    )
    yield made
    await launcher.stop(made, timeout=1)


def starts(here: Config) -> int:
    return len((here.paths.state / "starts").read_text())


async def test_nothing_runs_before_it_was_started(lonely: Config) -> None:
    assert await launcher.running(lonely) is None
    assert not await launcher.stop(lonely)


async def test_ensure_starts_one_and_finds_it_again(lonely: Config) -> None:
    there = config.load({**lonely.environ, "FAL_SERVERLESS_DOMAIN": "example.test"})
    started = await launcher.ensure(there)
    assert started.domain == "example.test"
    assert started == await launcher.ensure(lonely) == await launcher.running(lonely)
    assert starts(lonely) == 1


async def test_two_at_once_start_one(lonely: Config) -> None:
    one, other = await asyncio.gather(launcher.ensure(lonely), launcher.ensure(lonely))
    assert one == other and starts(lonely) == 1


async def test_it_outlives_its_starter_and_keeps_no_terminal(lonely: Config) -> None:
    info = await launcher.ensure(lonely)
    assert os.getsid(info.pid) == info.pid != os.getsid(0)


async def test_stop_ends_it(lonely: Config) -> None:
    await launcher.ensure(lonely)
    assert await launcher.stop(lonely)
    assert await launcher.running(lonely) is None


async def test_stop_kills_what_does_not_go(lonely: Config) -> None:
    stubborn = config.load({**lonely.environ, "STUBBORN": "1"})
    await launcher.ensure(stubborn)
    assert await launcher.stop(stubborn, timeout=0.1)
    assert await launcher.running(stubborn) is None


async def test_a_killed_one_is_seen_to_be_dead_and_replaced(lonely: Config) -> None:
    first = await launcher.ensure(lonely)
    os.kill(first.pid, signal.SIGKILL)
    second = await launcher.ensure(lonely)
    assert second.pid != first.pid and starts(lonely) == 2


async def test_one_that_ends_at_once_says_its_last_lines(lonely: Config, tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text(
        "import sys\nprint('one', flush=True)\nsys.exit('no such disk')\n"
    )
    with pytest.raises(Unreachable, match=r"exit code 1: one \| no such disk") as caught:
        await launcher.ensure(lonely)
    assert caught.value.exit_code == 3
    assert "no such disk" in lonely.paths.backend_log.read_text()


async def test_one_whose_words_found_no_room_is_told_as_a_full_disk(
    lonely: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stand_in.py").write_text("raise SystemExit(1)\n")
    with pytest.raises(Unreachable, match=r"exit code 1; see .*backend\.log$"):
        await launcher.ensure(lonely)
    monkeypatch.setattr(launcher, "_free", lambda _: 4096)
    with pytest.raises(Unreachable, match=r"exit code 1: the disk of .*/state is full$"):
        await launcher.ensure(lonely)


async def test_a_folder_that_cannot_be_is_told(lonely: Config) -> None:
    lonely.paths.state.parent.mkdir(parents=True, exist_ok=True)
    lonely.paths.state.write_text("a file where a folder has to be")
    with pytest.raises(StateFailed, match=r"the state folder .* cannot be used"):
        await launcher.ensure(lonely)


async def test_one_that_never_answers_is_given_up(lonely: Config, tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text("import threading\nthreading.Event().wait()\n")
    with pytest.raises(Unreachable, match="did not answer in time"):
        await launcher.ensure(lonely, wait=0.3)


def record(here: Config, pid: int, port: int = 9) -> None:
    """A `backend.json` as a crash leaves it."""
    told = launcher.BackendInfo(pid, port, f"http://127.0.0.1:{port}", "1", datetime.now(UTC))
    config.make_private(here.paths.state)
    text = json.dumps({**told.__dict__, "started_at": told.started_at.isoformat()})
    here.paths.backend.write_text(text)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that is no backend."""
    process = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
    yield process
    process.kill()
    process.wait()


async def test_a_strangers_process_with_the_recorded_number_is_left_alone(
    lonely: Config, stranger: subprocess.Popen[bytes]
) -> None:
    record(lonely, stranger.pid)
    assert await launcher.running(lonely) is None
    assert not await launcher.stop(lonely)
    assert (await launcher.ensure(lonely)).pid != stranger.pid
    assert stranger.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}'])
async def test_a_broken_record_counts_as_none(lonely: Config, text: str) -> None:
    config.make_private(lonely.paths.state)
    lonely.paths.backend.write_text(text)
    assert await launcher.running(lonely) is None


async def test_connect_starts_the_embedded_one_and_takes_its_credentials(lonely: Config) -> None:
    context, client = await launcher.connect(lonely, None, "ignored:key")
    async with client:
        info = await launcher.running(lonely)
        assert info and (context.url, context.key) == (info.url, "made:at-start")
        assert client.url == info.url


async def test_connect_starts_nothing_when_told_so(lonely: Config) -> None:
    with pytest.raises(Unreachable, match="does not run"):
        await launcher.connect(lonely, start=False)


async def test_connect_to_another_context_asks_nothing(lonely: Config) -> None:
    config.save_context(lonely.paths, Context("there", "http://127.0.0.1:9", readonly=True))
    again = config.load(lonely.environ)
    context, client = await launcher.connect(again, "there", "a:b")
    async with client:
        assert (context.key, client.readonly) == ("a:b", True)
    assert not lonely.paths.state.exists()
    with pytest.raises(NotFound, match="no context 'x'; there are: local, there"):
        await launcher.connect(again, "x")
