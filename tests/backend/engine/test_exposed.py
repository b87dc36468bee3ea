"""Functions with a server of their own, by each way of moving servers that this machine has."""

from __future__ import annotations

import asyncio
import functools
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.backend.engine import LocalEngine, Sink, isolation
from fal_serverless.backend.engine.isolation import Isolation, Method, Namespace
from fal_serverless.backend.engine.ports import Ports, accepts
from fal_serverless.config import Settings
from fal_serverless.errors import StartupTimeout, WorkerFailed

SERVER = """
import http.server, os
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(f"{os.getpid()} {os.environ['PORT']}".encode())
    def log_message(self, *args): print('asked')
def f():
    http.server.ThreadingHTTPServer((%r, %d), Tell).serve_forever()
"""

METHODS = [Method("socket"), Method("memory", "a test"), Method("patch", "a test")]
FOUND = isolation.start()()
HERE = METHODS[[method.name for method in METHODS].index(FOUND.method.name) :]
BY_KERNEL = [method for method in HERE if method.by_kernel]

each_by_kernel = pytest.mark.parametrize("stage", BY_KERNEL, ids=lambda m: m.name, indirect=True)
by_patch = pytest.mark.parametrize("stage", METHODS[-1:], ids=["patch"], indirect=True)


@pytest.fixture(params=HERE, ids=lambda method: method.name)
async def stage(make_stage: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    return make_stage(Isolation(request.param, FOUND.namespace))


@pytest.fixture
def port() -> Iterator[int]:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = probe.getsockname()[1]
    yield found


async def get(address: tuple[str, int]) -> str:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer.decode().rpartition("\r\n\r\n")[2]


async def ask(stage: Any, spec: Any) -> str:
    async with stage.engine.lease(spec) as lease:
        return await get(lease.address)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost", ""])
async def test_its_server_is_reached_by_a_lease(
    stage: Any, make_spec: Any, port: int, host: str
) -> None:
    spec = make_spec(SERVER % (host, port), exposed_port=port)
    async with stage.engine.lease(spec) as lease:
        (worker,) = stage.engine.workers()
        assert (await get(lease.address)).endswith(f" {port}")
        assert lease.cold is not None and lease.worker == worker.id
        assert worker.address == "{}:{}".format(*lease.address)
        assert (worker.state, worker.running) == ("busy", 1)
    assert stage.lines() == ["asked"]


async def test_many_functions_on_one_port(stage: Any, make_spec: Any, port: int) -> None:
    specs = [make_spec(SERVER % ("0.0.0.0", port), exposed_port=port) for _ in range(3)]
    answers = await asyncio.gather(*(ask(stage, spec) for spec in specs))
    assert len(set(answers)) == 3
    assert not await accepts(("127.0.0.1", port))


async def test_two_workers_of_one_function(stage: Any, make_spec: Any, port: int) -> None:
    spec = make_spec(SERVER % ("0.0.0.0", port), exposed_port=port, max_concurrency=2)
    async with stage.engine.lease(spec) as one, stage.engine.lease(spec) as two:
        assert await get(one.address) != await get(two.address)


SIX = """
import socket
def f():
    server = socket.create_server(('::', %d), family=socket.AF_INET6, dualstack_ipv6=True)
    while True:
        client, _ = server.accept()
        client.recv(100); client.sendall(b'\\r\\n\\r\\nsix'); client.close()
"""
BOTH = """
import socket, threading
def serve(server, text):
    while True:
        client, _ = server.accept()
        client.recv(100); client.sendall(text); client.close()
def f():
    four = socket.create_server(('0.0.0.0', %d))
    six = socket.create_server(('::', %d), family=socket.AF_INET6)
    threading.Thread(target=serve, args=(six, b'six'), daemon=True).start()
    serve(four, b'\\r\\n\\r\\nfour')
"""


async def test_a_server_on_ipv6(stage: Any, make_spec: Any, port: int) -> None:
    assert await ask(stage, make_spec(SIX % port, exposed_port=port)) == "six"


async def test_a_server_on_both_families(stage: Any, make_spec: Any, port: int) -> None:
    assert await ask(stage, make_spec(BOTH % (port, port), exposed_port=port)) == "four"


CHILDREN = """
import subprocess, sys
def f():
    code = '''import http.server
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"child")
http.server.HTTPServer(("", %d), Tell).serve_forever()'''
    subprocess.run([sys.executable, '-c', code])
"""
SELF = """
import http.server, threading, urllib.request
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        inner = '' if self.path == '/in' else urllib.request.urlopen(
            'http://localhost:%d/in').read().decode()
        self.wfile.write(f"<{inner}>".encode())
def f():
    http.server.ThreadingHTTPServer(('', %d), Tell).serve_forever()
"""


async def test_a_server_in_a_python_child(stage: Any, make_spec: Any, port: int) -> None:
    specs = [make_spec(CHILDREN % port, exposed_port=port) for _ in range(2)]
    assert await asyncio.gather(*(ask(stage, spec) for spec in specs)) == ["child"] * 2


async def test_a_server_that_calls_itself(stage: Any, make_spec: Any, port: int) -> None:
    specs = [make_spec(SELF % (port, port), exposed_port=port) for _ in range(2)]
    assert await asyncio.gather(*(ask(stage, spec) for spec in specs)) == ["<<>>"] * 2


ASYNC = """
import asyncio
async def answer(reader, writer):
    await reader.readline(); writer.write(b'\\r\\n\\r\\nasync'); writer.close()
async def f(word='x'):
    server = await asyncio.start_server(answer, '0.0.0.0', %d)
    await server.serve_forever()
"""


async def test_an_async_function(stage: Any, make_spec: Any, port: int) -> None:
    assert await ask(stage, make_spec(ASYNC % port, exposed_port=port, is_async=True)) == "async"


# A socket made past Python's `socket.socket`, as servers in C or Rust make it.
NATIVE = """
import _socket, socket
def f():
    server = _socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(('127.0.0.1', %d)); server.listen()
    while True:
        fd, _ = server._accept()
        client = socket.socket(fileno=fd)
        client.recv(100); client.sendall(b'\\r\\n\\r\\nnative'); client.close()
"""


@by_patch
async def test_a_server_out_of_reach_of_the_patch_gets_the_real_port_once(
    stage: Any, make_spec: Any, port: int
) -> None:
    first, second = (make_spec(NATIVE % port, exposed_port=port) for _ in range(2))
    assert await ask(stage, first) == "native"
    assert stage.engine.workers()[0].address == f"127.0.0.1:{port}"
    with pytest.raises(WorkerFailed, match="Address already in use") as failed:
        await stage.engine.warm(second)
    assert f"another program listens on port {port}" in failed.value.message
    await stage.engine.retire(first.revision)
    assert await ask(stage, second) == "native"


@by_patch
async def test_a_native_server_on_all_addresses_is_not_taken_for_anothers(
    stage: Any, make_spec: Any, port: int
) -> None:
    shared = NATIVE.replace("SO_REUSEADDR", "SO_REUSEPORT").replace("127.0.0.1", "0.0.0.0")
    first, second = (make_spec(shared % port, exposed_port=port) for _ in range(2))
    async with stage.engine.lease(first) as lease:
        assert lease.address == ("127.0.0.1", port)
        with pytest.raises(WorkerFailed, match="takes no address but port"):
            await stage.engine.warm(second)
        assert await get(lease.address) == "native"


async def test_a_port_that_somebody_has_everywhere(stage: Any, make_spec: Any) -> None:
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        spec = make_spec(SERVER % ("0.0.0.0", port), exposed_port=port)
        async with stage.engine.lease(spec) as lease:
            assert lease.address[1] != port
            assert (await get(lease.address)).endswith(f" {port}")


@by_patch
async def test_somebody_elses_server_is_not_taken_for_the_functions(
    stage: Any, make_spec: Any
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        source = "import time\ndef f(): time.sleep(60)"
        spec = make_spec(source, exposed_port=port, startup_timeout=0.5)
        with pytest.raises(StartupTimeout, match=f"another program listens on port {port}"):
            await stage.engine.warm(spec)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(): pass", "f returned without listening on port {port}"),
        ("import sys\ndef f(): sys.exit(0)", "f returned without listening on port {port}"),
        ("def f(): raise ValueError('no')", "f raised ValueError: no"),
        ("import sys\ndef f(): sys.exit('bad')", "f raised SystemExit: bad"),
        ("import os\ndef f(): os._exit(4)", "exit code 4"),
    ],
)
async def test_a_function_that_does_not_listen(
    stage: Any, make_spec: Any, port: int, source: str, said: str
) -> None:
    with pytest.raises(WorkerFailed) as failed:
        await stage.engine.warm(make_spec(source, exposed_port=port))
    assert said.format(port=port) in failed.value.message


async def test_a_server_that_ends_later_is_told_and_started_again(
    stage: Any, make_spec: Any, port: int, until: Any
) -> None:
    source = (
        "import socket\ndef f():\n"
        f"    server = socket.create_server(('', {port}))\n"
        "    while True:\n        client, _ = server.accept(); data = client.recv(100)\n"
        "        client.sendall(b'\\r\\n\\r\\nonce'); client.close()\n"
        "        if data: return"
    )
    spec = make_spec(source, exposed_port=port)
    assert await ask(stage, spec) == "once"
    await until(lambda: stage.engine.workers() == [])
    errors = [e.message for e in stage.entries if e.source == "system" and e.level == "ERROR"]
    assert errors == [f"f returned, and does not listen on port {port} any more"]
    assert await ask(stage, spec) == "once"


async def test_setup_comes_first_and_a_lease_of_a_served_function_is_refused(
    stage: Any, make_spec: Any, port: int
) -> None:
    source = "def load(): return 'x'\n" + SERVER.replace("def f()", "def f(word)") % ("", port)
    assert str(port) in await ask(stage, make_spec(source, setup="load", exposed_port=port))
    with pytest.raises(WorkerFailed, match="no exposed port"):
        await ask(stage, make_spec("def f(): pass"))


FLASK = """
def flask_app():
    from flask import Flask, jsonify, request

    app = Flask(__name__)

    @app.route("/")
    def call_str(str="none"):
        return jsonify({"result": str})

    app.run(host="0.0.0.0", port=8080)
"""


async def test_two_flasks_as_people_write_them(
    stage: Any, make_spec: Any, make_environment: Any
) -> None:
    into = await asyncio.to_thread(make_environment, f"3.{sys.version_info.minor}", ["flask"])
    specs = [make_spec(FLASK, "flask_app", into=into, exposed_port=8080) for _ in range(2)]
    answers = await asyncio.gather(*(ask(stage, spec) for spec in specs))
    assert answers == ['{"result":"none"}\n'] * 2


async def test_elsewhere_than_on_linux_another_port_is_given(port: int) -> None:
    method = Method("patch", "there is none", own_hosts=False)
    place = await Ports(lambda: method).claim(port)
    assert place.private[0] == "127.0.0.1" and place.private[1] != port
    assert "port of 127.0.0.1" in method.describe() and "there is none" in method.describe()
    assert "127.64" in METHODS[0].describe()


# What only the kernel's help can do


@each_by_kernel
async def test_servers_that_are_not_pythons_side_by_side(
    stage: Any, make_spec: Any, port: int
) -> None:
    specs = [make_spec(NATIVE % port, exposed_port=port) for _ in range(2)]
    assert await asyncio.gather(*(ask(stage, spec) for spec in specs)) == ["native"] * 2
    assert not await accepts(("127.0.0.1", port))


NO_PYTHONPATH = """
import subprocess, sys
def f():
    subprocess.run([sys.executable, '-I', '-c', %r], env={})
"""


@each_by_kernel
async def test_a_program_that_shares_nothing_with_the_function(
    stage: Any, make_spec: Any, port: int
) -> None:
    code = (SERVER % ("0.0.0.0", port)).replace("os.environ['PORT']", "'x'") + "f()"
    specs = [make_spec(NO_PYTHONPATH % code, exposed_port=port) for _ in range(2)]
    answers = await asyncio.gather(*(ask(stage, spec) for spec in specs))
    assert len(set(answers)) == 2


SIX_FIRST = """
import socket, threading
def serve(server):
    while True:
        client, _ = server.accept()
        client.recv(100); client.sendall(b'\\r\\n\\r\\nhere'); client.close()
def f():
    six = socket.create_server(('::1', %d), family=socket.AF_INET6)
    four = socket.create_server(('127.0.0.1', %d))
    try: socket.create_server(('127.0.0.1', %d))
    except OSError as exc: print(exc.strerror)
    threading.Thread(target=serve, args=(six,), daemon=True).start()
    serve(four)
"""


@each_by_kernel
async def test_a_server_on_localhost_by_both_families(
    stage: Any, make_spec: Any, port: int
) -> None:
    spec = make_spec(SIX_FIRST % (port, port, port), exposed_port=port)
    assert await ask(stage, spec) == "here"
    (line,) = stage.lines()
    assert line.startswith("Address already in use")


MANY_PORTS = """
import http.server, socket, threading, urllib.request
class Tell(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        inner = ''
        if self.path == '/':
            for host in ('127.0.0.1', 'localhost', '[::1]'):
                with urllib.request.urlopen(f'http://{host}:%(other)d/in') as answer:
                    inner += answer.read().decode()
            with socket.create_connection(('127.0.0.1', %(outside)d)) as to:
                inner += to.recv(100).decode()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, \\
                 socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
                one.bind(('127.0.0.1', 0)); two.sendto(b'.udp', one.getsockname())
                inner += one.recv(100).decode()
        self.wfile.write(f"{self.server.server_port == %(port)d}{inner}".encode())
class Six(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
def f():
    other = http.server.ThreadingHTTPServer
    threading.Thread(target=lambda: Six(('::', %(other)d), Tell).serve_forever()).start()
    http.server.ThreadingHTTPServer(('', %(port)d), Tell).serve_forever()
"""


@each_by_kernel
async def test_all_ports_of_a_function_are_its_own_and_the_machines_are_reached(
    stage: Any, make_spec: Any, port: int
) -> None:
    def greet(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(b"outside")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        outside = server.sockets[0].getsockname()[1]
        source = MANY_PORTS % {"port": port, "other": port + 1, "outside": outside}
        specs = [make_spec(source, exposed_port=port) for _ in range(2)]
        answers = await asyncio.gather(*(ask(stage, spec) for spec in specs))
    assert answers == ["TrueFalseFalseFalseoutside.udp"] * 2


@each_by_kernel
async def test_a_port_given_up_is_the_machines_again(stage: Any, make_spec: Any, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        source = (
            "import socket\n"
            f"with socket.create_server(('127.0.0.1', {taken})) as mine:\n"
            f"    socket.create_connection(('127.0.0.1', {taken})).close()\n"
            "    host = mine.getsockname()[0]\n"
            f"with socket.create_connection(('127.0.0.1', {taken})) as to:\n"
            "    assert to.getpeername()[0] != host\n"
        )
        spec = make_spec(source + SERVER % ("", port), exposed_port=port, from_source=True)
        assert str(port) in await ask(stage, spec)


@each_by_kernel
async def test_a_server_on_another_port_than_it_said(
    stage: Any, make_spec: Any, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fal_serverless.backend.engine.ports.SLOW", 0.5)
    spec = make_spec(SERVER % ("", port + 1), exposed_port=port, startup_timeout=1)
    with pytest.raises(StartupTimeout, match=rf"\(it listens on port {port + 1}\)"):
        await stage.engine.warm(spec)
    said = f"f does not listen on port {port} yet (it listens on port {port + 1})"
    assert said in stage.lines("system")


@pytest.mark.parametrize(
    ("moves", "namespace", "found"),
    [
        (("socket", ""), ("root", ""), (Method("socket"), Namespace("root"))),
        (("memory", "no"), ("user", "no"), (Method("memory", "no"), Namespace("user", "no"))),
        (("", "no"), ("", "never"), (Method("patch", "no"), Namespace("", "never"))),
    ],
)
def test_what_the_trial_says_decides(
    moves: tuple[str, str], namespace: tuple[str, str], found: tuple[Method, Namespace]
) -> None:
    def told(way: tuple[str, str]) -> dict[str, str]:
        return {"way": way[0], "why": way[1]}

    said = json.dumps({"moves": told(moves), "namespace": told(namespace)})
    assert isolation.decide(said) == Isolation(*found)


@pytest.mark.parametrize(
    ("said", "why"),
    [("Traceback\nOSError: no", "the trial failed: OSError: no"), ("", "it said nothing")],
)
def test_a_trial_that_fails_is_told(said: str, why: str) -> None:
    found = isolation.decide(said)
    assert found.method.name == "patch" and not found.namespace.kind
    assert found.describe().count(why) == 2


def test_workers_that_start_at_once_all_hear_what_the_trial_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    again = functools.cache(isolation._start.__wrapped__)
    monkeypatch.setattr(isolation, "_start", again)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(isolation.start()) for _ in range(8)]
        assert {one.result() for one in asked} == {FOUND}


async def test_who_asks_before_the_trial_has_ended_holds_up_nobody(tmp_path: Path) -> None:
    loop, others_had_their_turn = asyncio.get_running_loop(), threading.Event()
    waited: list[bool] = []

    def found() -> Isolation:
        loop.call_soon_threadsafe(others_had_their_turn.set)
        waited.append(others_had_their_turn.wait(5))
        return Isolation(Method("patch", "it was so"), Namespace("", "it was so"))

    sink = Sink(lambda _: None, lambda *_: None)
    engine = LocalEngine(Settings(), tmp_path, {}, sink, lambda _: None, found)
    assert (await engine.describe()).count("it was so") == 2 and waited == [True]
    await engine.close(0)
