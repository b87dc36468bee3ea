"""What the terminal UI shows and writes down: no secret, once the dialog of a new key is closed."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from fal_serverless.client import Client
from fal_serverless.config import load
from fal_tui.app import FalTui
from fal_tui.screenshot import Camera, camera
from fal_tui.widgets.log_pane import LogPane
from running import RunningBackend
from security.people import forms
from serving import serve, wait_for_log

PICTURES = Path(__file__).parents[2] / "screenshots"
SCREENS = ("1", "2", "3", "4", "5", "6", "7", "0")
PAGES = ("d", "y")
"""What is beside a list: all there is to say, and as JSON."""


class Album:
    """Everything that was seen."""

    def __init__(self, seen: Camera) -> None:
        self._seen = seen
        self.pages: dict[str, str] = {}

    def keep(self, name: str) -> None:
        self.pages[name] = self._seen.text() + self._seen.svg()


async def new_key(seen: Camera, album: Album) -> tuple[str, str]:
    """Made by hand; id and secret, as they stood on the screen."""
    await seen.press("5")
    await seen.until(lambda: "ADMIN" in seen.text(), "the keys")
    await seen.press("n", "enter", *"made here", "enter")
    await seen.until(lambda: "FAL_KEY_SECRET='" in seen.text(), "the secret")
    key_id, secret = re.findall(r"FAL_KEY_(?:ID|SECRET)='([0-9a-f-]+)'", seen.text())
    album.pages["picture of the dialog"] = seen.svg()
    await seen.press("escape")
    await seen.until(lambda: secret not in seen.text(), "the end of the dialog")
    return key_id, secret


async def use(backend: RunningBackend, client: Client, key: str) -> None:
    """In every form, rightly and wrongly, and so that a line of the log tells of it."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for path, wanted in (("/1/shown-texts", 200), ("/v1/keys", 403)):
            for sent in forms(key):
                ask = http.post if wanted == 200 else http.get
                content = {"json": {"text": "a"}} if wanted == 200 else {}
                url = f"{backend.url}{path}?{sent.query}"
                assert (await ask(url, headers=sent.headers, **content)).status_code == wanted
    await wait_for_log(client, "shown-texts", "200")


@pytest.mark.parametrize("size", [(160, 45), (80, 24)], ids=["large", "small"])
async def test_no_screen_and_no_file_of_it_tells_a_secret(
    backend: RunningBackend,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    monkeypatch.chdir(tmp_path)
    await serve(backend, client, "texts.py", "call_text", "shown-texts", "private")
    config = load(backend.env)
    async with camera(FalTui(config, config.context()), size) as seen:
        album = Album(seen)
        key_id, secret = await new_key(seen, album)
        await use(backend, client, f"{key_id}:{secret}")
        for screen in SCREENS:
            await seen.press(screen)
            album.keep(screen)
            for page in PAGES:
                await seen.press(page)
                album.keep(screen + page)
            await seen.press("escape", "ctrl+s")
            album.keep(f"{screen} saved")
        await seen.press("1", "L")
        await seen.until(lambda: "shown-texts" in seen.text(), "the log")
        album.keep("log pane")
        seen.app.screen.query_one(LogPane).focus()
        await seen.press("ctrl+s")
        album.keep("log saved")
        host = seen.app.host
        assert host is not None
        album.pages["deeds"] = repr(host.store.deeds)
    assert_none(album.pages, tmp_path, backend, {"its own": backend.key, "the new one": secret})
    assert key_id in album.pages["5"] or key_id[:8] in album.pages["5"]


def assert_none(
    pages: dict[str, str], folder: Path, backend: RunningBackend, keys: dict[str, str]
) -> None:
    """Neither on what was seen, nor in a file that was saved, nor in one of the application's."""
    written = {path: path.read_bytes().decode("latin-1") for path in files(folder)}
    names = {path.suffix for path in written}
    assert {".csv", ".txt"} & names, names
    kept = {path: path.read_bytes().decode("latin-1") for path in files(backend.home)}
    for whose, key in keys.items():
        secret = key.rpartition(":")[2]
        assert len(secret) >= 16
        for place, text in {**pages, **written, **kept}.items():
            if getattr(place, "name", "") == "credentials.toml":
                continue
            assert secret not in text, (whose, place)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


def test_the_recording_of_the_readme_tells_none() -> None:
    """Pictures of points are made the same way as those that are read above."""
    (film,) = PICTURES.glob("*.svg")
    text = film.read_text()
    assert len(text) > 10_000
    assert "FAL_KEY_SECRET=" not in text and "fal_key_secret=" not in text
    # A secret is 32 digits in a row; ids of ours have hyphens in them.
    assert not re.search(r"(?<![0-9a-f-])[0-9a-f]{32}(?![0-9a-f-])", text)
