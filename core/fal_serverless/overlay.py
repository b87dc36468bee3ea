"""What does a Python that is not ours need from us? A folder of pure Python, last on its path.

It holds `cloudpickle`, copied from our own installation so that both ends of a pickle are the same
version, and a stub of `fal_serverless` under which a user's `from fal_serverless import isolated`
works where nothing of ours is installed. It works from Python 3.8 on, and knows nothing of who
uses it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

STUB = '''\
"""The part of fal_serverless that a function needs while it runs: its own decorator."""

from fal_serverless.errors import FalError
from fal_serverless.isolated import IsolatedFunction, isolated

__all__ = ["FalError", "IsolatedFunction", "isolated"]
'''

OURS = ("errors.py", "isolated.py")
"""Files that go along as they are; each says so in its docstring."""


def pure_overlay(cache: Path) -> Path:
    """The folder, made below `cache` when it is missing; what exists is whole.

    Its name holds a hash of its content, so another version of ours never finds a stale one.
    """
    files = _content()
    folder = cache / "overlay" / f"pure-{_hash(files)}"
    with made_whole(folder) as aside:
        if aside is not None:
            _write(aside, files)
    return folder


@contextmanager
def made_whole(folder: Path) -> Iterator[Path | None]:
    """A place to fill, which becomes `folder` when the block ends well; None when it exists.

    Two who make the same folder at once do not meet: the first rename wins.
    """
    if folder.is_dir():
        yield None
        return
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".making-"))
    try:
        yield aside
        aside.chmod(0o755)
        _rename(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _rename(aside: Path, folder: Path) -> None:
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def installed_folder(package: str) -> Path:
    """Where a package of our own installation lies; it is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed beside fal_serverless")
    return Path(spec.origin).parent


def _content() -> dict[str, bytes]:
    files = {"fal_serverless/__init__.py": STUB.encode()}
    here = Path(__file__).parent
    for name in OURS:
        files[f"fal_serverless/{name}"] = (here / name).read_bytes()
    root = installed_folder("cloudpickle")
    for path in sorted(root.rglob("*.py")):
        files[f"cloudpickle/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    return files


def _hash(files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o644)
