"""The bytes of revisions: bundles, each unpacked into a folder that is whole when it exists."""

from __future__ import annotations

import errno
import io
import json
import lzma
import re
import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from fal_serverless.config import make_private
from fal_serverless.errors import BadAnswer, BadInput, StateFailed, TooLarge
from fal_serverless.models import BundleInfo, from_json

MAX_BUNDLE = 256 * 1024**2
"""Bytes of a bundle, packed or unpacked."""

MAX_FILES = 50_000
"""Members of a bundle, or of the sources in it: each is a file, and costs memory to list."""

PARTS = ("bundle.json", "function.pickle", "sources.zip")

_PYTHON = re.compile(r"[0-9]{1,2}\.[0-9]{1,3}t?")

BAD_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a way to pack that zipfile does not know
    RuntimeError,  # with a password; RecursionError for JSON that is nested too deep
    ValueError,
    IndexError,  # a member with no name
    BadAnswer,
)
"""What reading something else raises."""


class BundleStore:
    """One folder per revision below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = make_private(root)

    def folder(self, revision_id: str) -> Path:
        return self._root / revision_id

    def unpack(self, revision_id: str, data: bytes) -> BundleInfo:
        """Raises BadInput for what is not a bundle, TooLarge, StateFailed."""
        aside = self._root / f".{revision_id}"
        try:
            aside.mkdir(mode=0o700)
            info = _unpack(data, aside)
            aside.rename(self.folder(revision_id))
        except OSError as exc:
            shutil.rmtree(aside, ignore_errors=True)
            raise StateFailed(f"the bundle cannot be kept: {exc.strerror}") from exc
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return info

    def remove(self, revision_id: str) -> None:
        shutil.rmtree(self.folder(revision_id), ignore_errors=True)

    def sweep(self, known: set[str]) -> None:
        """Drop what no revision owns: leftovers of a serve that a crash cut short."""
        for folder in self._root.iterdir():
            if folder.name not in known:
                shutil.rmtree(folder, ignore_errors=True)


def _unpack(data: bytes, folder: Path) -> BundleInfo:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            _check_size(bundle)
            for name in PARTS:
                if name in bundle.namelist():
                    (folder / name).write_bytes(bundle.read(name))
        info = from_json(BundleInfo, json.loads((folder / "bundle.json").read_text()))
        if (folder / "sources.zip").exists():
            with zipfile.ZipFile(folder / "sources.zip") as sources:
                _check_size(sources)
                _check_paths(sources)
    except OSError as exc:
        # Those of the disk have a number; those of what was packed have none.
        if exc.errno not in (None, errno.ENOENT):
            raise
        raise BadInput(f"the body is not a bundle: {exc}") from exc
    except BAD_ARCHIVE as exc:
        raise BadInput(f"the body is not a bundle: {exc}") from exc
    # What was pickled is not looked up by its name, which may be `<lambda>`.
    named = info.entrypoint.isidentifier() or (
        not info.from_source and info.entrypoint.isprintable() and "/" not in info.entrypoint
    )
    if not named or Path(info.file_name).name != info.file_name:
        raise BadInput("the bundle names no function in a file: entrypoint or file_name is wrong")
    if not _PYTHON.fullmatch(info.python_version):
        raise BadInput(f"{info.python_version[:40]!r} is no version of Python, like 3.12")
    if not info.from_source and not (folder / "function.pickle").exists():
        raise BadInput("the bundle holds neither a pickled function nor says `from_source`")
    return info


def _check_size(archive: zipfile.ZipFile) -> None:
    """What its members say, and no more than that is ever read of one. Raises TooLarge."""
    if len(archive.infolist()) > MAX_FILES:
        raise TooLarge(f"a bundle may have {MAX_FILES:,} files")
    if sum(entry.file_size for entry in archive.infolist()) > MAX_BUNDLE:
        raise TooLarge(f"a bundle may have {MAX_BUNDLE // 1024**2} MiB unpacked")


def _check_paths(archive: zipfile.ZipFile) -> None:
    """No file of the sources is one of somebody else's. Raises BadInput."""
    for name in archive.namelist():
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts:
            raise BadInput(f"the sources of a bundle hold {name!r}, which is outside of them")
