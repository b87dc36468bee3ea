"""Every form of a key, of everybody, against everything that asks for one.

The control API's part is made from its table of routes: a route that checks nobody fails here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backend.gateway.raw import wire
from fal_serverless.backend.api import openapi
from fal_serverless.backend.api.app import ROUTES
from fal_serverless.models import AUTH_MODES, AuthMode
from running import RunningBackend, StartBackend, children_of
from security.people import INVALID, VALID, People, Sent, Who, meet, nonsense
from security.tally import tried
from serving import serve

pytestmark = pytest.mark.bad("credentials")
HTTP = httpx.Client(
    trust_env=False,
    timeout=60,
    verify=False,
    # Which gateway answers is decided for each connection: each request gets one of its own.
    limits=httpx.Limits(max_keepalive_connections=0),
)
OPEN = {("GET", "/healthz")}
"""What nobody is checked for."""
OPERATIONS = [(method, route.path) for method, route in openapi.operations(ROUTES)]


@dataclass(frozen=True)
class Stage:
    backend: RunningBackend
    people: People
    owned: dict[str, str]
    """Parameter of a path -> the name of something that the owner has."""


@pytest.fixture(scope="module", params=["1", "2"], ids=["one gateway", "two gateways"])
def stage(backends: StartBackend, request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = asyncio.run(prepare(backends(FAL_SERVERLESS_GATEWAYS=request.param)))
    yield made
    made.backend.stop()


def test_every_gateway_is_asked(stage: Stage) -> None:
    """A connection goes to any of them: so many that none is left out."""
    pid = stage.backend.process.pid
    further = children_of(pid, "fal_serverless.backend.gateways")
    before = {one: accepted(one) for one in (pid, *further)}
    sent = stage.people.keys["owner api"]
    url = f"{stage.backend.url}/1/served-private/"
    with ExitStack() as opened:
        # Connections that stay open can be counted.
        for _ in range(40):
            client = opened.enter_context(httpx.Client(trust_env=False, timeout=60))
            asked = client.post(url, json={"text": "a"}, headers={"Authorization": f"Key {sent}"})
            assert asked.status_code == 200
        assert all(accepted(one) >= count + 5 for one, count in before.items())


def accepted(pid: int) -> int:
    """Sockets that a process has."""
    links = (each.readlink() for each in Path(f"/proc/{pid}/fd").iterdir() if each.is_symlink())
    return sum(str(link).startswith("socket:") for link in links)


async def prepare(backend: RunningBackend) -> Stage:
    async with backend.client() as client:
        for mode in AUTH_MODES:
            await serve(backend, client, "texts.py", "call_text", f"served-{mode}", mode)
            await serve(backend, client, "echo_server.py", "echo_server", f"exposed-{mode}", mode)
        people = await meet(backend, client)
        alias = await client.alias("served-private")
        owned = {
            "name": "served-private",
            "label": "served-private",
            "id": alias.revision,
            "key": (await client.environments())[0].key,
            "digest": "0" * 64,
        }
    return Stage(backend, people, owned)


def expected(mode: AuthMode, who: Who | None) -> int:
    """401 for whom we do not know, 403 for whom it is not meant for, else 200."""
    if mode == "public":
        return 200
    if who is None or who in INVALID:
        return 401
    return 403 if mode == "private" and who.startswith("other") else 200


KINDS = {
    "served": ("POST", "served", "/", b'{"text": "a"}'),
    "a served page": ("GET", "served", "/docs", b""),
    "a served document": ("GET", "served", "/openapi.json", b""),
    "exposed_port": ("GET", "exposed", "/some/where", b""),
    "exposed_port, chunks": ("PUT", "exposed", "/some/where", b"in chunks"),
}


@pytest.mark.parametrize("mode", AUTH_MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_who_may_call_an_endpoint(stage: Stage, kind: str, mode: AuthMode) -> None:
    method, name, path, body = KINDS[kind]
    url = f"{stage.backend.url}/1/{name}-{mode}{path}"
    wrong = []
    for who, sent in asked(stage):
        tried()
        content = iter([body]) if kind.endswith("chunks") else body
        answer = HTTP.request(method, f"{url}?{sent.query}", headers=encoded(sent), content=content)
        if answer.status_code != expected(mode, who):
            wrong.append((who, sent.name, answer.status_code, answer.text))
        if answer.status_code == 401:
            assert "Key" in answer.headers["www-authenticate"]
    assert wrong == []


@pytest.mark.parametrize("mode", AUTH_MODES)
async def test_who_may_open_a_websocket(stage: Stage, mode: AuthMode) -> None:
    wrong = []
    for who, sent in asked(stage):
        tried()
        lines = [f"{name}: {value}" for name, value in sent.headers.items()]
        head = [
            f"GET /1/exposed-{mode}/ws?{sent.query} HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *lines,
        ]
        async with wire(stage.backend) as connection:
            await connection.send("\r\n".join([*head, "", ""]).encode("latin-1"))
            status = int((await connection.head()).split()[1])
        wanted = expected(mode, who)
        if status != (101 if wanted == 200 else wanted):
            wrong.append((who, sent.name, status))
    assert wrong == []


def asked(stage: Stage) -> list[tuple[Who | None, Sent]]:
    rubbish = nonsense(stage.people.keys["owner admin"])
    return [*stage.people.sent(*VALID, *INVALID), *[(None, sent) for sent in rubbish]]


def encoded(sent: Sent) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in sent.headers.items()]


# The control API


def ask(
    stage: Stage, method: str, path: str, sent: Sent, content: bytes = b""
) -> tuple[int, dict[str, object]]:
    """Status, and the body of an error; of a stream no more than that it began."""
    tried()
    url = f"{stage.backend.url}{path}?{sent.query}"
    with HTTP.stream(method, url, headers=encoded(sent), content=content) as answer:
        error = answer.read() and answer.json() if answer.status_code >= 400 else {}
        return answer.status_code, error


def nobodys(path: str) -> str:
    return re.sub(r"\{\w+\}", "00000000-0000-4000-8000-000000000000", path)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_control_api_opens_to_admin_keys_only(stage: Stage, method: str, path: str) -> None:
    is_open = (method, path) in OPEN
    rubbish = nonsense(stage.people.keys["owner admin"])
    unknown = [*[sent for _, sent in stage.people.sent(*INVALID)], *rubbish]
    for sent in unknown:
        status, error = ask(stage, method, nobodys(path), sent)
        assert status == (200 if is_open else 401), sent.name
        assert is_open or error["error_type"] == "not_authenticated"
    for _, sent in stage.people.sent("owner api", "other api"):
        status, error = ask(stage, method, nobodys(path), sent)
        assert status == (200 if is_open else 403), sent.name
        assert is_open or error["error_type"] == "not_allowed"
    for _, sent in stage.people.sent("owner admin", "other admin"):
        status, error = ask(stage, method, nobodys(path), sent)
        assert status not in (401, 403), (sent.name, error)
        assert status < 500, (sent.name, error)


SHARED = "/v1/environments/{key}"
"""Revisions of several users may have one environment."""
OF_SOMETHING = [pair for pair in OPERATIONS if "{" in pair[1] and pair[1] != SHARED]
BODIES = {
    ("PUT", "/v1/aliases/{name}"): b'{"revision": "%b"}',
    ("PATCH", "/v1/endpoints/{label}"): b'{"auth": "public"}',
}


@pytest.mark.parametrize(("method", "path"), OF_SOMETHING)
def test_nobody_reaches_what_is_another_users(stage: Stage, method: str, path: str) -> None:
    """It is not there for them: neither seen, nor changed, nor told of."""
    whole = re.sub(r"\{(\w+)\}", lambda name: stage.owned[name[1]], path)
    body = BODIES.get((method, path), b"")
    body = body % stage.owned["id"].encode() if b"%b" in body else body
    (_, sent), *_ = stage.people.sent("other admin")
    status, error = ask(stage, method, whole, sent, body)
    if (method, path) == ("PUT", "/v1/sent/{digest}"):
        assert (status, error["error_type"]) == (400, "bad_input")
    else:
        assert (status, error["error_type"]) == (404, "not_found"), error


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_environment_tells_nothing_of_who_else_has_it(stage: Stage, method: str) -> None:
    (_, sent), *_ = stage.people.sent("other admin")
    path = SHARED.replace("{key}", stage.owned["key"])
    answer = HTTP.request(method, f"{stage.backend.url}{path}", headers=sent.headers)
    assert answer.status_code == (200 if method == "GET" else 409)
    assert stage.owned["id"] not in answer.text and stage.owned["name"] not in answer.text


@pytest.mark.parametrize(
    ("method", "path"), [pair for pair in OPERATIONS if "{" not in pair[1] and pair[0] == "GET"]
)
def test_no_list_tells_of_another_users(stage: Stage, method: str, path: str) -> None:
    if openapi.ABOUT[method, path].kind == "text/event-stream" or (method, path) in OPEN:
        pytest.skip("tells nothing of what was before")
    (_, sent), *_ = stage.people.sent("other admin")
    told = HTTP.get(f"{stage.backend.url}{path}", headers=sent.headers).text
    for name in (stage.owned["name"], stage.owned["id"]):
        assert name not in told


def test_the_document_tells_of_every_route_and_no_other() -> None:
    assert set(openapi.ABOUT) == set(OPERATIONS)
    assert {pair for pair, about in openapi.ABOUT.items() if about.is_open} == OPEN
    paths = openapi.document(ROUTES)["paths"]
    assert {(m.upper(), path) for path, told in paths.items() for m in told} == set(OPERATIONS)


def test_the_document_is_served(stage: Stage) -> None:
    (_, sent), *_ = stage.people.sent("owner admin")
    document = HTTP.get(f"{stage.backend.url}{openapi.PATH}", headers=sent.headers).json()
    assert document["openapi"] == "3.1.0"
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', str(document).replace("'", '"')))
    assert wanted <= set(document["components"]["schemas"])


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a function that looks at all of both, also for a key that is not known."""
    from fal_serverless.backend import credentials
    from fal_serverless.errors import NotAuthenticated

    lengths: list[tuple[int, int]] = []

    def compare(one: bytes, two: bytes) -> bool:
        lengths.append((len(one), len(two)))
        return False

    monkeypatch.setattr(credentials.hmac, "compare_digest", compare)
    for secret in ("", "a", "a" * 10_000):
        with pytest.raises(NotAuthenticated):
            credentials.KeyTable().check(credentials.Credential("nobody", secret))
    assert lengths == [(32, 32)] * 3
