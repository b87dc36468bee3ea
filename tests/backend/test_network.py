"""Other machines: TLS, proxies that speak for callers, and callers that ask too often."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from backend.gateway.raw import post, wire
from cli.conftest import CONSOLE, run_here
from fal_serverless import launcher
from fal_serverless.backend.network import Proxies, check
from fal_serverless.backend.rates import KEYS, Rates
from fal_serverless.client import Client
from fal_serverless.config import Settings
from fal_serverless.errors import InvalidSetting
from fal_serverless.tls import trusting
from running import FUNCTIONS, RunningBackend, StartBackend
from serving import serve

FILES = Path(__file__).parent.parent / "certificates"
"""ca.pem vouches for one.pem and two.pem, for fal.test and 127.0.0.1."""
CA = str(FILES / "ca.pem")


def copied(folder: Path, name: str) -> dict[str, str]:
    """Settings with a certificate that a test may replace."""
    for kind in ("pem", "key"):
        (folder / f"tls.{kind}").write_bytes((FILES / f"{name}.{kind}").read_bytes())
    return {
        "FAL_SERVERLESS_TLS_CERT": str(folder / "tls.pem"),
        "FAL_SERVERLESS_TLS_KEY": str(folder / "tls.key"),
        "FAL_SERVERLESS_DOMAIN": "fal.test",
    }


# What is refused

ONE = {"tls_cert": str(FILES / "one.pem"), "tls_key": str(FILES / "one.key")}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"host": "0.0.0.0"}, "say --insecure"),
        ({"host": "::"}, "without TLS"),
        ({"host": "192.0.2.1"}, "on their way to 192.0.2.1"),
        ({"host": "fal.example.com"}, "without TLS"),
        ({"tls_cert": ONE["tls_cert"]}, "go together"),
        ({"tls_key": ONE["tls_key"]}, "go together"),
        ({**ONE, "tls_cert": "/no/such.pem"}, "No such file"),
        ({**ONE, "tls_key": str(FILES / "two.key")}, "belong together"),
        ({**ONE, "tls_key": ONE["tls_cert"]}, "belong together"),
        ({**ONE, "gateways": 2}, "reverse proxy"),
        ({"trusted_proxies": "10.0.0.0/8, proxy"}, "not 'proxy'"),
        ({"public_url": "fal.example.com"}, "https://host"),
        ({"public_url": "https://"}, "https://host"),
    ],
)
def test_what_would_not_be_safe_or_not_work_is_refused(
    settings: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        check(Settings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"host": "localhost"},
        {"host": "::1"},
        {"host": "127.0.0.2"},
        {"host": "0.0.0.0", "insecure": True},
        {"host": "0.0.0.0", **ONE},
        {"public_url": "https://fal.example.com", "trusted_proxies": ""},
    ],
)
def test_what_is_safe_is_not_refused(settings: dict[str, object]) -> None:
    check(Settings(**settings))  # type: ignore[arg-type]


def test_a_backend_does_not_listen_to_other_machines_unasked(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fal_serverless.backend"]
    env = {"FAL_SERVERLESS_HOME": str(tmp_path), "FAL_SERVERLESS_HOST": "0.0.0.0"}
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: without TLS, keys would be readable")
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "state").exists()


# TLS


@pytest.fixture(scope="module")
def secure(backends: StartBackend, tmp_path_factory: pytest.TempPathFactory) -> RunningBackend:
    return backends(**copied(tmp_path_factory.mktemp("tls"), "one"))


@pytest.fixture
async def owner(secure: RunningBackend) -> AsyncIterator[Client]:
    """As the command line and fal-tui reach it."""
    _, client = await launcher.connect(secure.config, start=False)
    async with client:
        yield client


async def test_calls_and_the_control_api_are_served_over_tls(
    secure: RunningBackend, owner: Client
) -> None:
    made = await serve(secure, owner, "texts.py", "call_text", "secure", "public")
    assert made.url == f"https://1-secure.gateway.fal.test:{secure.port}"
    async with httpx.AsyncClient(verify=trusting(CA), trust_env=False) as http:
        for _ in range(3):
            answer = await http.post(f"{secure.url}/1/secure", json={"text": "x"})
            assert (answer.status_code, answer.json()) == (200, "x")
        by_name = await http.post(
            secure.url,
            json={"text": "y"},
            headers={"Host": f"1-secure.gateway.fal.test:{secure.port}"},
            extensions={"sni_hostname": "1-secure.gateway.fal.test"},
        )
        assert by_name.json() == "y"


async def test_a_functions_own_server_is_told_of_tls(secure: RunningBackend, owner: Client) -> None:
    await serve(secure, owner, "echo_server.py", "echo_server", "echo", "public")
    async with httpx.AsyncClient(verify=trusting(CA), trust_env=False) as http:
        for body in (b"short", b"x" * 200_000):
            answer = await http.post(f"{secure.url}/1/echo/path", content=body)
            headers = dict(answer.json()["headers"])
            assert answer.json()["size"] == len(body)
            assert headers["x-forwarded-proto"] == "https"


async def test_what_is_no_tls_gets_nothing(secure: RunningBackend) -> None:
    async with wire(secure) as connection:
        await connection.send(post("/1/secure"))
        assert b"HTTP" not in await connection.rest()
    async with httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await http.get(f"{secure.url}/healthz")


async def test_a_certificate_is_renewed_while_it_runs(
    backends: StartBackend, tmp_path: Path
) -> None:
    backend = backends(**copied(tmp_path, "one"))
    (old, new) = ((FILES / f"{name}.pem").read_text() for name in ("one", "two"))
    assert await presented(backend) == old.strip()
    copied(tmp_path, "two")
    backend.process.send_signal(signal.SIGHUP)
    while await presented(backend) != new.strip():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    (tmp_path / "tls.pem").write_text("half of a fi")
    backend.process.send_signal(signal.SIGHUP)
    assert await presented(backend) == new.strip()
    assert backend.stop() == 0


def test_a_reload_without_a_certificate_ends_nothing(backends: StartBackend) -> None:
    backend = backends()
    backend.process.send_signal(signal.SIGHUP)
    while not any("there is none: nothing changes" in line for line in backend.said):
        assert backend.process.poll() is None
        time.sleep(0.01)
    assert httpx.get(f"{backend.url}/healthz").is_success
    assert backend.stop() == 0


def test_a_terminal_that_closes_ends_its_backend_in_order(tmp_path: Path) -> None:
    environ = {**os.environ, "FAL_SERVERLESS_HOME": str(tmp_path), "FAL_SERVERLESS_PORT": "0"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(CONSOLE, [CONSOLE, "backend", "run"], environ)
    said = b""
    while b"listening on" not in said:
        said += os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not (tmp_path / "state" / "backend.json").exists()


async def presented(backend: RunningBackend) -> str:
    """The certificate that it shows."""
    address = ("127.0.0.1", backend.port)
    return (await asyncio.to_thread(ssl.get_server_certificate, address)).strip()


def test_a_context_can_bring_the_certificates_it_trusts(
    secure: RunningBackend, tmp_path: Path
) -> None:
    env = {"FAL_SERVERLESS_HOME": str(tmp_path), "PATH": "/usr/bin"}
    cli = partial(run_here, env)
    added = ("context", "add", "far", secure.url, "--key", secure.key)
    assert cli(*added).code == 0
    refused = cli("--context", "far", "function", "list")
    assert refused.code == 3
    assert "is not trusted here (unable to get local issuer certificate)" in refused.err
    plain = secure.url.replace("https", "http")
    assert cli("context", "add", "plain", plain, "--key", secure.key).code == 0
    assert cli("--context", "plain", "function", "list").code == 3
    assert cli(*added, "--ca", CA).code == 0
    assert cli("--context", "far", "alias", "list").code == 0
    serve = ("function", "serve", FUNCTIONS / "texts.py", "call_text", "--alias", "vouched")
    assert cli("--context", "far", *serve).code == 0
    line = cli("--context", "far", "function", "show", "vouched").lines[-1]
    assert line.startswith(f"curl --cacert {CA} -X POST ")


# Proxies


def test_who_is_believed() -> None:
    proxies = Proxies("127.0.0.0/8, ::1, 10.1.0.0/16")
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.1.2.3"):
        assert proxies.trusts(address)
        assert proxies.trusts(address)
    for address in ("10.2.0.1", "192.0.2.1", "2001:db8::1", "", "unix", "127.0.0.1.example"):
        assert not proxies.trusts(address)
    assert not Proxies("").trusts("127.0.0.1")


@pytest.mark.parametrize(
    ("address", "said", "caller"),
    [
        ("192.0.2.9", "", "192.0.2.9"),
        ("192.0.2.9", "1.2.3.4", "192.0.2.9"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("127.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("127.0.0.1", "6.6.6.6, 1.2.3.4, 10.1.0.5", "1.2.3.4"),
        ("127.0.0.1", "10.1.0.5", "10.1.0.5"),
        ("127.0.0.1", "1.2.3.4, <script>", "127.0.0.1"),
    ],
)
def test_a_caller_is_the_last_one_no_proxy_of_ours_is(address: str, said: str, caller: str) -> None:
    headers = [(b"x-forwarded-for", said.encode())] if said else []
    assert Proxies("127.0.0.0/8,10.1.0.0/16").caller(address, headers) == caller


@pytest.mark.parametrize(("trusted", "proto"), [("127.0.0.1", "https"), ("192.0.2.7", "http")])
async def test_only_trusted_proxies_say_how_a_request_came(
    backends: StartBackend, trusted: str, proto: str
) -> None:
    backend = backends(FAL_SERVERLESS_TRUSTED_PROXIES=trusted)
    async with backend.client() as client, wire(backend) as connection:
        await serve(backend, client, "echo_server.py", "echo_server", "echo", "public")
        for body in (b"x", b"x" * 100_000):
            asked = post("/1/echo", body, "X-Forwarded-Proto: https", "X-Forwarded-For: 1.2.3.4")
            headers = dict(json.loads((await connection.ask(asked)).body)["headers"])
            assert headers["x-forwarded-proto"] == proto
            assert headers["x-forwarded-for"] == "1.2.3.4, 127.0.0.1"
        key = {"Authorization": f"Key {backend.key}", "X-Forwarded-For": "1.2.3.4"}
        async with httpx.AsyncClient(headers=key) as http:
            asked = await http.patch(f"{backend.url}/v1/endpoints/echo", json={"auth": "shared"})
            assert asked.is_success
        (newest,) = await client.audit(1)
        assert newest.address == ("1.2.3.4" if proto == "https" else "127.0.0.1")
    assert backend.stop() == 0


async def test_urls_are_those_of_the_proxy_before_it(backends: StartBackend) -> None:
    backend = backends(
        FAL_SERVERLESS_PUBLIC_URL="https://fal.test", FAL_SERVERLESS_DOMAIN="fal.test"
    )
    async with backend.client() as client, httpx.AsyncClient() as http:
        made = await serve(backend, client, "texts.py", "call_text", "shown")
        assert made.url == "https://1-shown.gateway.fal.test"
        assert (await client.alias("shown")).path_url == "https://fal.test/1/shown"
        key = {"Authorization": f"Key {backend.key}"}
        for host, status in (("fal.test", 200), ("other.test", 403)):
            asked = await http.get(f"{backend.url}/v1/user", headers={**key, "Host": host})
            assert asked.status_code == status
    assert backend.stop() == 0


# Rates


def test_a_bucket_fills_again_as_time_passes() -> None:
    now = 100.0
    rates = Rates(2, lambda: now)
    assert [rates.take("a"), rates.take("a"), rates.take("a")] == [0, 0, 0.5]
    assert rates.take("b") == 0
    now += 0.25
    assert rates.take("a") == 0.25
    now += 0.25
    assert rates.take("a") == 0
    now += 60
    assert [rates.take("a"), rates.take("a"), rates.take("a")] == [0, 0, 0.5]


def test_less_than_one_call_a_second_is_a_rate_as_well() -> None:
    now = 0.0
    rates = Rates(0.1, lambda: now)
    assert [rates.take("a"), rates.take("a")] == [0, 10]
    now += 10
    assert rates.take("a") == 0


def test_buckets_that_are_full_are_forgotten() -> None:
    now = 0.0
    rates = Rates(1, lambda: now)
    for number in range(KEYS):
        rates.take(str(number))
    now += 5
    assert rates.take("one more") == 0
    assert len(rates._buckets) == 1


@pytest.mark.parametrize("name", ["call_text", "echo_server"])
async def test_a_key_that_calls_too_often_is_told_when_to_come_again(
    backends: StartBackend, name: str
) -> None:
    backend = backends(FAL_SERVERLESS_KEY_RATE="0.01")
    file = "texts.py" if name == "call_text" else "echo_server.py"
    async with backend.client() as client, wire(backend) as connection:
        await serve(backend, client, file, name, "rated")
        await serve(backend, client, file, name, "open", "public")
        keys = [await client.generate_key("API") for _ in range(2)]
        for made in keys:
            key = f"Authorization: Key {made.key.id}:{made.secret}"
            asked = post("/1/rated", b'{"text": "x"}', key)
            assert (await connection.ask(asked)).status == 200
            for general in (False, True):
                more = ["Expect: 100-continue"] if general else []
                answer = await connection.ask(post("/1/rated", b'{"text": "x"}', key, *more))
                assert answer.status == 429
                assert 90 <= int(answer.headers(b"retry-after")[0]) <= 100
                assert json.loads(answer.body)["error_type"] == "too_many_calls"
            for _ in range(3):
                assert (await connection.ask(post("/1/open", b'{"text": "x"}', key))).status == 200
    assert backend.stop() == 0
