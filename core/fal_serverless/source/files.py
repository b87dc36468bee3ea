"""Which local files does a file need, and how do they go into a zip?

Local is what lies in the file's own folder, or was imported from outside the standard library and
site-packages. A module in a package brings its whole package along, data files included. Third-
party packages are the environment's business.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from fal_serverless.errors import LoadFailed, TooLarge
from fal_serverless.source.syntax import imports, parse

MAX_BYTES = 100 * 1024**2
"""Of all local files of one function together."""
MAX_FILES = 10_000

SKIPPED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
SKIPPED_SUFFIXES = frozenset({".pyc", ".pyo", ".swp", ".env"})
SECRETS = frozenset({"credentials.toml", "secrets.toml", "id_rsa", "id_ed25519", "id_ecdsa"})
"""Never sent, like everything whose name starts with a dot."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time a zip can hold: the same files must give the same bytes."""


def reached(path: Path, extra: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """The file and all local files it reaches: name in the zip -> file, sorted.

    `extra` are modules known to be local by other means: dotted name -> their file or folder.
    Raises TooLarge, naming the largest file, when it is more than a bundle should carry.
    """
    path = path.absolute()
    return _spread({path.name: path}, path.parent, extra or {})


def reached_by(
    names: Iterable[str], folder: Path, extra: Mapping[str, Path] | None = None
) -> dict[str, Path]:
    """The same for code that is in no file: what its imports of `names` reach from `folder`."""
    found: dict[str, Path] = {}
    for name in names:
        _add(found, _local(folder, name))
    return _spread(found, folder, extra or {})


def _spread(found: dict[str, Path], root: Path, extra: Mapping[str, Path]) -> dict[str, Path]:
    waiting = list(found.values())
    for name, place in extra.items():
        waiting += _add(found, _tops(name, place))
    while waiting:
        for name in _imported(waiting.pop()):
            waiting += _add(found, _local(root, name))
    _check_size(found)
    return dict(sorted(found.items()))


def archive(members: Mapping[str, bytes], *, compress: bool = False) -> bytes:
    """A zip with fixed times and order: the same members give the same bytes."""
    out = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", method) as file:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = method
            entry.external_attr = 0o100644 << 16
            file.writestr(entry, members[name])
    return out.getvalue()


def _imported(path: Path) -> set[str]:
    """What a file imports; one that does not parse here is not followed, running it will tell."""
    if path.suffix != ".py":
        return set()
    try:
        return set(imports(parse(path)))
    except LoadFailed:
        return set()


def _add(found: dict[str, Path], places: Iterable[tuple[str, Path]]) -> list[Path]:
    new = [(name, path) for name, path in places if name not in found]
    found.update(new)
    return [path for _, path in new]


def _local(root: Path, module: str) -> Iterator[tuple[str, Path]]:
    """The files behind an imported name, when it is one of the folder's own modules."""
    top = module.partition(".")[0]
    if (root / top / "__init__.py").is_file():
        yield from _package(root / top, top)
    elif (root / f"{top}.py").is_file():
        yield f"{top}.py", root / f"{top}.py"
    elif top not in sys.stdlib_module_names and _is_namespace(root, module):
        yield from _package(root / top, top)


def _is_namespace(root: Path, module: str) -> bool:
    """Whether a folder without `__init__.py` is what is imported, not one that shares its name.

    An installed package of the same name would win over it, so it must hold what is asked for.
    """
    parts = module.split(".")
    place = root.joinpath(*parts)
    if len(parts) == 1:
        return any(place.glob("*.py")) if place.is_dir() else False
    return place.with_suffix(".py").is_file() or (place.is_dir() and any(place.glob("*.py")))


def _tops(module: str, place: Path) -> Iterator[tuple[str, Path]]:
    """The files of a loaded module: its own, or those of the package at the top of its name."""
    parts = module.split(".")
    if place.name == "__init__.py":
        place = place.parent
    if len(parts) == 1 and place.is_file():
        yield f"{module}{place.suffix}", place
        return
    for _ in parts[1:]:
        place = place.parent
    yield from _package(place, parts[0])


def _package(folder: Path, name: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(_walk(folder)):
        yield str(PurePosixPath(name, *path.relative_to(folder).parts)), path


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.name in SECRETS:
            continue
        if entry.is_dir():
            if not entry.is_symlink() and not _is_foreign(entry):
                yield from _walk(entry)
        elif entry.is_file() and entry.suffix not in SKIPPED_SUFFIXES:
            yield entry


def _is_foreign(folder: Path) -> bool:
    return folder.name in SKIPPED_FOLDERS or (folder / "pyvenv.cfg").exists()


def _check_size(found: Mapping[str, Path]) -> None:
    sizes = {name: path.stat().st_size for name, path in found.items()}
    total = sum(sizes.values())
    if len(sizes) <= MAX_FILES and total <= MAX_BYTES:
        return
    largest = max(sizes, key=lambda name: sizes[name])
    raise TooLarge(
        f"the local modules hold {len(sizes):,} files of {total / 1024**2:.0f} MiB; a function may "
        f"bring {MAX_FILES:,} files of {MAX_BYTES // 1024**2} MiB. The largest is {largest} "
        f"({sizes[largest] / 1024**2:.0f} MiB); load large data when the function runs"
    )
