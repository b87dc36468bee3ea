"""Archives that no tool would make: what is in one stays in its folder, or is refused."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fal_serverless import source
from fal_serverless.backend import bundles
from fal_serverless.backend.bundles import BundleStore
from fal_serverless.backend.engine import local
from fal_serverless.config import load
from fal_serverless.errors import BadInput, StateFailed, TooLarge, WorkerFailed
from running import FUNCTIONS
from security.fuzzing import fuzz
from security.tally import each_tried, tried

PART = st.sampled_from(
    ["..", ".", "", "a", "b.py", "~", "C:", "a\\..", "..\\", "\0", "é", "a" * 300, " ", "...", "\n",
     "\u2025", "%2e%2e", "bundle.json", "sources"]
)  # fmt: skip
NAME = st.builds(
    lambda first, parts, last: first + "/".join(parts) + last,
    st.sampled_from(["", "", "/", "//", "\\", "./", "../"]),
    st.lists(PART, min_size=1, max_size=5),
    st.sampled_from(["", "/", "\\"]),
)
LINK = stat.S_IFLNK | 0o777
pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    """Of a bundle as it should be."""
    import asyncio

    bundle = asyncio.run(source.bundle(FUNCTIONS / "texts.py", "call_text", config=load({})))
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(members: list[tuple[str, bytes]], mode: int = 0o644) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return out.getvalue()


def unpack(bundle: bytes) -> bool:
    """As a serve does, the sources too. Whether it was a bundle; everything stayed in its place."""
    with TemporaryDirectory() as name:
        root = Path(name)
        store = BundleStore(root / "in" / "revisions")
        found = True
        try:
            store.unpack("one", bundle)
        except (BadInput, TooLarge, StateFailed):
            found = False
        if found:
            made: Any = SimpleNamespace(folder=store.folder("one"), revision="one")
            try:
                local._unpack(made)
            except WorkerFailed as error:
                assert "\n" not in error.message.replace("\\n", "")
        inside = root / "in" / "revisions"
        for path in root.rglob("*"):
            assert path.is_relative_to(inside) or inside.is_relative_to(path), path
            assert not path.is_symlink(), path
        assert found or list(inside.iterdir()) == []
        return found


@pytest.mark.bad("path traversal")
@fuzz
@given(st.lists(NAME, min_size=1, max_size=4), st.sampled_from([0o644, 0o4777, LINK]))
@each_tried
def test_names_of_members_lead_nowhere_else(
    members: dict[str, bytes], names: list[str], mode: int
) -> None:
    evil = [(name, b"/etc") for name in names]
    unpack(packed([*members.items(), *evil], mode))
    others = {name: data for name, data in members.items() if name != "sources.zip"}
    unpack(packed([*others.items(), ("sources.zip", packed(evil, mode))]))


@pytest.mark.bad("zip bombs and other archives")
@fuzz
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=6))
@each_tried
def test_damaged_archives_are_refused_or_whole(
    members: dict[str, bytes], damage: list[tuple[float, int]]
) -> None:
    """Of the bundle, and of the sources in it, which nobody reads before they are unpacked."""
    unpack(_damaged(packed(list(members.items())), damage))
    bad = _damaged(packed([("a.py", b"a = 1\n" * 50), ("b/c.py", b"x")]), damage)
    unpack(packed([*members.items(), ("sources.zip", bad)]))


def _damaged(data: bytes, damage: list[tuple[float, int]]) -> bytes:
    changed = bytearray(data)
    for place, byte in damage:
        changed[int(place * (len(changed) - 1))] = byte
    return bytes(changed)


@pytest.mark.bad("zip bombs and other archives")
def test_more_files_than_a_project_has_are_refused(members: dict[str, bytes]) -> None:
    """Each costs memory and a file, and says that it is empty."""
    tried(2)
    many = [(f"{number:x}", b"") for number in range(bundles.MAX_FILES + 1)]
    assert not unpack(packed([*members.items(), *many]))
    assert not unpack(packed([*members.items(), ("sources.zip", packed(many))]))
