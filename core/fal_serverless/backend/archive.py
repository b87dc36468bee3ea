"""A backend's state in one file, and back: registry, bundles of its revisions, settings.

Written while a backend runs: the registry by SQLite's own backup, then the bundles that it names.
Read back only when none runs, after all of the file was checked; new bundles are put beside the old
ones and the registry is renamed last, so that a crash in between leaves the old state, or the new.
Not in it: environments (they are made again), logs, secrets of keys (there are only hashes).
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import re
import shutil
import sqlite3
import tempfile
import zipfile
import zlib
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from fal_serverless import __version__
from fal_serverless.backend.alone import only_one
from fal_serverless.backend.bundles import PARTS
from fal_serverless.backend.database import check_schema
from fal_serverless.config import Config, Paths, make_private
from fal_serverless.errors import (
    BadAnswer,
    BadInput,
    Conflict,
    InvalidSetting,
    NotFound,
    StateFailed,
)
from fal_serverless.models import from_json, to_json

FORMAT = 1
CONTENTS = "backup.json"
REGISTRY = "registry.db"
SETTINGS = "config.toml"
TRIES = 5
"""Revisions may be deleted between the registry's copy and that of their bundles."""
PIECE = 1024**2

_BUNDLE = re.compile(r"revisions/([0-9a-f-]{36})/([a-z.]+)")


@dataclass(frozen=True)
class Member:
    """One file in an archive."""

    size: int
    """Bytes."""
    sha256: str


@dataclass(frozen=True)
class Contents:
    """What an archive says of itself."""

    format: int
    version: str
    """Of the program that wrote it."""
    schema: str
    created_at: datetime
    revisions: int
    members: dict[str, Member] = field(default_factory=dict)


# Out


def backup(config: Config, target: Path) -> Contents:
    """Write `target`, readable by its owner only; whole when it exists.

    An older backup makes room, any other file does not. Raises NotFound when there is no state,
    Conflict for what stands in the way, InvalidSetting for a registry that is no file of ours,
    StateFailed for a disk that is full.
    """
    target = target.resolve()  # what a link names is replaced, never the link
    registry, paths = _registry(config), config.paths
    if not registry.exists():
        raise NotFound(f"there is nothing to back up in {paths.state}: no backend ran there yet")
    if target.exists() and not _may_go(target):
        raise Conflict(f"{target} is there, and is no backup; choose another name for this one")
    try:
        handle, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as exc:
        raise BadInput(f"cannot write {target}: {exc.strerror}") from exc
    try:
        with os.fdopen(handle, "wb") as file, tempfile.TemporaryDirectory() as folder:
            contents = _write(file, registry, paths, Path(folder) / REGISTRY)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(target)
    except OSError as exc:
        Path(aside).unlink(missing_ok=True)
        raise StateFailed(f"the backup {target} cannot be written: {exc}") from exc
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return contents


def _may_go(target: Path) -> bool:
    """Whether nobody misses it: a backup, or a file without content, as mktemp makes."""
    if not target.is_file():
        return False
    try:
        with zipfile.ZipFile(target) as archive:
            return CONTENTS in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return target.stat().st_size == 0


def _write(file: IO[bytes], registry: Path, paths: Paths, copy: Path) -> Contents:
    for _ in range(TRIES):
        _copy_database(registry, copy)
        revisions = _revisions(copy)
        folders = {name: paths.state / "revisions" / name for name in revisions}
        file.seek(0)
        file.truncate()
        members: dict[str, Member] = {}
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            members[REGISTRY] = _add(archive, REGISTRY, copy)
            if paths.config.exists():
                members[SETTINGS] = _add(archive, SETTINGS, paths.config)
            if not _add_bundles(archive, folders, members):
                continue
            contents = Contents(
                FORMAT, __version__, _schema(copy), datetime.now(UTC), len(revisions), members
            )
            archive.writestr(CONTENTS, json.dumps(to_json(contents)))
        return contents
    raise Conflict("revisions were deleted again and again while they were copied; try once more")


def _add_bundles(
    archive: zipfile.ZipFile, folders: dict[str, Path], members: dict[str, Member]
) -> bool:
    """Whether all of them were there."""
    for name, folder in folders.items():
        for part in PARTS:
            place = f"revisions/{name}/{part}"
            try:
                members[place] = _add(archive, place, folder / part)
            except FileNotFoundError:
                if part == PARTS[0]:
                    return False
    return True


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> Member:
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as file, archive.open(name, "w", force_zip64=True) as into:
        while piece := file.read(PIECE):
            into.write(piece)
            digest.update(piece)
            size += len(piece)
    return Member(size, digest.hexdigest())


def _copy_database(registry: Path, copy: Path) -> None:
    """As it stands at one moment, whoever writes meanwhile."""
    copy.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(registry, timeout=10)) as source:
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)
                # One file, that needs no others beside it.
                target.execute("PRAGMA journal_mode=DELETE")
            copy.chmod(0o600)
    except sqlite3.Error as exc:
        raise InvalidSetting(f"the registry {registry} cannot be read: {exc}") from exc


def _revisions(registry: Path) -> list[str]:
    with closing(sqlite3.connect(registry)) as database:
        rows = database.execute("SELECT id FROM revisions WHERE state <> 'pending'")
        return [str(row[0]) for row in rows]


def _schema(registry: Path) -> str:
    with closing(sqlite3.connect(registry)) as database:
        return str(database.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def _registry(config: Config) -> Path:
    """The file that holds the registry. Raises InvalidSetting for a server's."""
    url = config.settings.database_url
    if not url:
        return config.paths.state / REGISTRY
    try:
        found = sa.make_url(url)
    except sa.exc.ArgumentError as exc:
        raise InvalidSetting(f"database_url cannot be read: {exc}") from exc
    if found.get_backend_name() == "sqlite" and found.database:
        return Path(found.database)
    raise InvalidSetting(
        f"the registry is in {found.get_backend_name()}: back it up with that database's own tools "
        f"(pg_dump), and copy {config.paths.state / 'revisions'} beside it"
    )


# Back


def restore(config: Config, source: Path, *, overwrite: bool = False) -> tuple[Contents, bool]:
    """Put back what an archive holds, and whether its settings were put back, too.

    Those are only where there are none yet, or with `overwrite`. All of it is checked before
    anything is changed. Raises BadInput for what is no whole archive, StateFailed for a newer
    one, Conflict when a backend runs or when there is a state already and it was not said to
    `overwrite` it.
    """
    registry, paths = _registry(config), config.paths
    try:
        with zipfile.ZipFile(source) as archive:
            contents = check(archive)
            make_private(paths.state)
            with only_one(paths.state):
                if registry.exists() and not overwrite:
                    raise Conflict(
                        f"there is a state in {paths.state} already; back it up, then say "
                        "--overwrite to put this one in its place"
                    )
                return contents, _put_back(archive, contents, registry, paths, overwrite)
    except OSError as exc:
        # Those of the disk have a number; those of what was packed have none.
        if exc.errno is not None:
            raise StateFailed(f"the backup cannot be put back: {exc}") from exc
        raise BadInput(f"{source} is not a whole backup: {exc}") from exc
    except _NO_ARCHIVE as exc:
        raise BadInput(f"{source} is not a whole backup: {exc}") from exc


_NO_ARCHIVE = (zipfile.BadZipFile, KeyError, EOFError, RuntimeError, NotImplementedError)
"""What reading something else raises; zlib's errors are met by the sum of a member."""


def check(archive: zipfile.ZipFile) -> Contents:
    """What it says of itself, when every byte of that is true. Raises BadInput, StateFailed."""
    try:
        contents = from_json(Contents, json.loads(archive.read(CONTENTS)))
    except (ValueError, RecursionError, BadAnswer) as exc:
        raise BadInput(f"the backup's list of contents cannot be read: {exc}") from exc
    if contents.format > FORMAT:
        raise StateFailed(
            f"the backup was written by a newer version ({contents.version}); update fal-tui. "
            "Nothing was changed"
        )
    check_schema(contents.schema, "the backup")
    names = archive.namelist()
    if sorted(names) != sorted([CONTENTS, *contents.members]):
        raise BadInput("the backup holds other files than it lists, or one of them twice")
    for name, member in contents.members.items():
        _check_name(name)
        if _sum_of(archive, name, member.size) != member.sha256:
            raise BadInput(f"the backup is damaged: {name} is not what was written")
    if REGISTRY not in contents.members:
        raise BadInput("the backup holds no registry")
    return contents


def _check_name(name: str) -> None:
    """No path leads out of where it belongs."""
    match = _BUNDLE.fullmatch(name)
    if name not in (REGISTRY, SETTINGS) and (match is None or match[2] not in PARTS):
        raise BadInput(f"the backup holds {name!r}, which is no part of a state")


def _sum_of(archive: zipfile.ZipFile, name: str, size: int) -> str:
    """'' for a file of another size: no more than that is read."""
    digest, left = hashlib.sha256(), size
    try:
        with archive.open(name) as file:
            while piece := file.read(PIECE):
                left -= len(piece)
                digest.update(piece)
                if left < 0:
                    return ""
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, *_PACKED):
        return ""
    return "" if left else digest.hexdigest()


_PACKED = (zlib.error, lzma.LZMAError)


def _put_back(
    archive: zipfile.ZipFile, contents: Contents, registry: Path, paths: Paths, overwrite: bool
) -> bool:
    with tempfile.TemporaryDirectory(dir=paths.state, prefix=".restore-") as folder:
        fresh = Path(folder)
        for name, member in contents.members.items():
            _extract(archive, name, member, fresh / name)
        _check_registry(fresh / REGISTRY)
        _put_bundles(fresh / "revisions", make_private(paths.state / "revisions"))
        _lay_aside(registry)
        (fresh / REGISTRY).replace(registry)
        _sync(registry.parent)
        if not (fresh / SETTINGS).exists() or (paths.config.exists() and not overwrite):
            return False
        make_private(paths.config.parent)
        shutil.move(fresh / SETTINGS, paths.config)
        return True


def _extract(archive: zipfile.ZipFile, name: str, member: Member, path: Path) -> None:
    make_private(path.parent)
    with archive.open(name) as source, open(path, "xb", opener=_private) as file:
        shutil.copyfileobj(source, file, PIECE)
        file.flush()
        os.fsync(file.fileno())
        if file.tell() != member.size:
            raise BadInput(f"the backup changed while it was read: {name}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _check_registry(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as database:
            said = str(database.execute("PRAGMA integrity_check").fetchone()[0])
        check_schema(_schema(path), "the registry of the backup")
    except (sqlite3.Error, TypeError) as exc:
        raise BadInput(f"the backup's registry cannot be read: {exc}") from exc
    if said != "ok":
        raise BadInput(f"the backup's registry is damaged: {said.splitlines()[0]}")


def _put_bundles(fresh: Path, kept: Path) -> None:
    """What the restored registry does not name, a backend sweeps when it starts."""
    for folder in sorted(fresh.iterdir()) if fresh.exists() else []:
        place = kept / folder.name
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            # A revision never changes, but its files may have been damaged.
            shutil.rmtree(place)
        folder.replace(place)
    _sync(kept)


def _lay_aside(registry: Path) -> None:
    """Leave no journal of the old registry, which would be taken for one of the new.

    What cannot even be read is kept beside it, under another name.
    """
    if not registry.exists():
        return
    try:
        with closing(sqlite3.connect(registry)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        for ending in ("-wal", "-shm", ""):
            each = registry.with_name(registry.name + ending)
            if each.exists():
                each.replace(registry.with_name(f"{registry.name}.damaged-{stamp}{ending}"))


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
