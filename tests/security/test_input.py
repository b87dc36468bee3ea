"""Bodies that are too large, too deep, or bundles that are none: told so, and nothing happens."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from fal_serverless import source
from fal_serverless.backend import bundles
from fal_serverless.backend.bundles import BundleStore
from fal_serverless.client import Client
from fal_serverless.errors import BadInput, FalError, TooLarge
from running import FUNCTIONS, RunningBackend, StartBackend
from security.tally import tried
from serving import serve

DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000


def send(backend: RunningBackend, method: str, path: str, body: bytes) -> httpx.Response:
    headers = {"Authorization": f"Key {backend.key}", "Content-Type": "application/json"}
    url = f"{backend.url}{path}"
    return httpx.request(method, url, content=body, headers=headers, trust_env=False, timeout=60)


@pytest.mark.bad("JSON size and depth")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (DEEP, 400),
        (b"[" * 200_000, 400),
        (b'{"scope": "' + b"A" * 2_000_000 + b'"}', 413),
        (b'{"scope": "ADMIN", "' + b"x" * 5000 + b'": 1}', 400),
        (b'{"scope": ["ADMIN"]}', 400),
        (b'{"scope": 1e999}', 400),
        (b'{"scope": "\\ud800"}', 400),
        (b"\xff\xfe{", 400),
        (b"null", 400),
        (b"1" * 100_000, 400),
    ],
)
def test_json_of_the_control_api_has_bounds(
    backend: RunningBackend, body: bytes, status: int
) -> None:
    answer = send(backend, "POST", "/v1/keys", body)
    assert answer.status_code == status, answer.text
    assert len(answer.text) < 1000


@pytest.mark.bad("JSON size and depth")
async def test_json_of_a_served_function_has_bounds(
    backend: RunningBackend, client: Client
) -> None:
    await serve(backend, client, "texts.py", "call_text", "bounds", "public")
    for body in (DEEP, b"[" * 200_000, b'{"text": ' + b"[" * 50_000, b'{"text": "\\ud800"}'):
        tried()
        answer = send(backend, "POST", "/1/bounds", body)
        assert answer.status_code in (400, 422), answer.text
    assert send(backend, "POST", "/1/bounds", b'{"text": "a"}').json() == "a"


Make = Callable[[dict[str, bytes]], bytes]


def packed(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def lying(members: dict[str, bytes]) -> bytes:
    """A member whose size is far more than it is said to be."""
    real = 300 * 1024**2
    data = bytearray(packed({**members, "sources.zip": bytes(real)}))
    while (at := data.find(struct.pack("<I", real))) >= 0:
        data[at : at + 4] = struct.pack("<I", 10)
    return bytes(data)


def with_password(members: dict[str, bytes]) -> bytes:
    data = bytearray(packed(members))
    for sign, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(sign, at + 1)) >= 0:
            data[at + flags] |= 1
    return bytes(data)


def packed_oddly(members: dict[str, bytes]) -> bytes:
    data = bytearray(packed(members))
    for sign, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = -1
        while (at := data.find(sign, at + 1)) >= 0:
            data[at + method] = 97
    return bytes(data)


BAD: dict[str, Make] = {
    "nothing": lambda _: b"",
    "no zip": lambda _: b"PK\x03\x04" + b"x" * 1000,
    "cut": lambda members: packed(members)[:-100],
    "a bomb": lambda members: packed({**members, "sources.zip": bytes(300 * 1024**2)}),
    "a lying bomb": lying,
    "a password": with_password,
    "an unknown way to pack": packed_oddly,
    "no list": lambda members: packed({"function.pickle": members["function.pickle"]}),
    "no function": lambda members: packed({"bundle.json": members["bundle.json"]}),
    "a deep list": lambda members: packed({**members, "bundle.json": DEEP}),
    "a list of other types": lambda members: packed({**members, "bundle.json": b'{"options": 1}'}),
    "a bomb in the sources": lambda members: packed(
        {**members, "sources.zip": packed({"a.py": bytes(300 * 1024**2)})}
    ),
    "sources that are no zip": lambda members: packed({**members, "sources.zip": b"x" * 1000}),
    "a way out of the sources": lambda members: packed(
        {**members, "sources.zip": packed({"a/../../evil.py": b"x"})}
    ),
    "an absolute path in the sources": lambda members: packed(
        {**members, "sources.zip": packed({"/tmp/evil.py": b"x"})}
    ),
    "not UTF-8": lambda members: packed({**members, "bundle.json": b"\xff\xfe"}),
}


def kind_of(name: str) -> str:
    if "path" in name or "way out" in name:
        return "path traversal"
    return "zip bombs and other archives"


@pytest.fixture
async def members(backend: RunningBackend) -> dict[str, bytes]:
    """Of a bundle as it should be."""
    bundle = await source.bundle(FUNCTIONS / "texts.py", "call_text", config=backend.config)
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.bad(kind_of(name))) for name in BAD]
)
async def test_what_is_no_bundle_leaves_nothing(
    tmp_path: Path, members: dict[str, bytes], name: str
) -> None:
    store = BundleStore(tmp_path / "revisions")
    with pytest.raises((BadInput, TooLarge)):
        store.unpack("one", BAD[name](members))
    assert list((tmp_path / "revisions").iterdir()) == []


@pytest.mark.bad("path traversal")
async def test_a_bundle_is_never_unpacked_outside_its_folder(
    tmp_path: Path, members: dict[str, bytes]
) -> None:
    evil = {"../evil": b"x", "/tmp/evil-fal": b"x", "a/../../evil": b"x", "bundle.json/x": b"x"}
    store = BundleStore(tmp_path / "revisions")
    tried(len(evil))
    store.unpack("one", packed({**members, **evil}))
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found <= set(bundles.PARTS)
    assert not Path("/tmp/evil-fal").exists()


CHANGES: dict[str, object] = {
    "entrypoint": "../../x\x00",
    "file_name": "../../../evil.py",
    "python_version": "3.11; rm -rf /",
    "parameters": [{"name": "x" * 100_000, "kind": "odd"}],
    "options": {"serve": True, "requirements": ["--index-url=http://evil.test"]},
}


@pytest.mark.bad("bundles that lie")
@pytest.mark.parametrize("field", CHANGES)
async def test_a_bundle_that_lies_about_itself_is_refused(
    backend: RunningBackend, client: Client, members: dict[str, bytes], field: str
) -> None:
    told = json.loads(members["bundle.json"])
    told[field] = CHANGES[field]
    if field == "file_name":
        told["from_source"] = True
    with pytest.raises(FalError) as refused:
        async for _ in client.serve(packed({**members, "bundle.json": json.dumps(told).encode()})):
            pass
    assert "Internal Server Error" not in refused.value.message
    assert not list(backend.home.rglob("evil*"))


class Told:
    """Says, when it is unpickled, in which process that was."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("import os, sys\nprint('unpickled in', os.getpid(), flush=True)",)


@pytest.mark.bad("bundles that lie")
async def test_a_pickle_is_opened_by_workers_only(
    backend: RunningBackend, client: Client, members: dict[str, bytes]
) -> None:
    bad = packed({**members, "function.pickle": pickle.dumps(Told())})
    with pytest.raises(FalError) as failed:
        async for _ in client.serve(bad):
            pass
    said = [line for line in failed.value.data["log"] if "unpickled in" in line]
    assert said and all(int(line.split()[2]) != backend.process.pid for line in said)


def test_the_backend_has_no_pickle_of_its_own() -> None:
    """But in `runtime`, which is the worker's program."""
    room = Path(bundles.__file__).parent
    for path in room.rglob("*.py"):
        if "runtime" in path.parts:
            continue
        words = set(path.read_text().replace(".", " ").replace(",", " ").split())
        assert not words & {"pickle", "cloudpickle", "marshal", "shelve", "dill"} & imported(path)


def imported(path: Path) -> set[str]:
    import ast

    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= set(node.module.split("."))
    return found


@pytest.mark.bad("path traversal")
async def test_links_in_the_state_folder_lead_nowhere(
    backends: StartBackend, tmp_path: Path
) -> None:
    """What a backend sweeps when it starts is never what a link in its folder points at."""
    home, outside = tmp_path / "home", tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    for room in ("revisions", "sent", "run", "environments"):
        tried(2)
        (home / "state" / room).mkdir(parents=True)
        (home / "state" / room / "11111111-2222-4333-8444-555555555555").symlink_to(outside)
        (home / "state" / room / ".aside").symlink_to(outside)
    backend = backends(home)
    async with backend.client() as client:
        served = await serve(backend, client, "texts.py", "call_text")
        await client.delete_revision(served.revision.id)
    backend.stop()
    assert (outside / "kept").read_text() == "kept"
    assert [path.name for path in outside.iterdir()] == ["kept"]
