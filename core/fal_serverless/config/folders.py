"""Where our files are, and how they are made."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fal_serverless.config.names import APP, PREFIX
from fal_serverless.errors import StateFailed


@dataclass(frozen=True)
class Paths:
    """Where things are. Nothing is made by asking."""

    config: Path
    credentials: Path
    state: Path
    cache: Path
    own_credentials: Path
    """Where the embedded backend's own key is: beside the state that knows it, when that was moved.

    Otherwise a second backend, with another state, would put its key in the place of the first's.
    """

    @property
    def backend(self) -> Path:
        """What the running embedded backend says of itself (JSON)."""
        return self.state / "backend.json"

    @property
    def backend_log(self) -> Path:
        return self.state / "backend.log"


def find_paths(environ: Mapping[str, str]) -> Paths:
    """Below FAL_SERVERLESS_HOME when it is set, else where this system keeps such things."""
    home = environ.get(PREFIX + "HOME")
    state = environ.get(PREFIX + "STATE")
    if home:
        root = Path(home).expanduser().absolute()
        config, data, cache = root, root / "state", root / "cache"
    else:
        from platformdirs import PlatformDirs

        dirs = PlatformDirs(APP, appauthor=False)
        config, data, cache = Path(dirs.user_config_dir), dirs.user_state_path, dirs.user_cache_path
    credentials = own = config / "credentials.toml"
    moved = Path(state).expanduser().absolute() if state else data
    if moved != data:
        own = moved / "credentials.toml"
    return Paths(config / "config.toml", credentials, moved, cache, own)


def make_private(folder: Path) -> Path:
    """The folder, made when missing, readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def using_state(state: Path) -> Iterator[None]:
    """What the disk says to it, as an error of ours: raises StateFailed."""
    try:
        yield
    except OSError as exc:
        named = f" ({exc.filename})" if exc.filename else ""
        said = exc.strerror or exc
        raise StateFailed(f"the state folder {state} cannot be used: {said}{named}") from exc


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file aside and rename it: a reader sees the old text or the new one, never half."""
    make_private(path.parent)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
