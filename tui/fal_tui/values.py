"""What of an item a command of one's own can be given, by the names of placeholders. Pure."""

from __future__ import annotations

from fal_serverless.models import Alias, AuditEntry, Function, Key, Move, Revision, Worker
from fal_tui.store import Deed, Item, endpoint_label

NAMES = (
    "name", "id", "function", "alias", "revision", "label", "url", "path_url", "auth", "user",
    "file", "entrypoint", "git", "worker", "pid", "address", "key", "context", "backend",
)  # fmt: skip
"""`context` and `backend` (its URL) are always there; `git` is the commit of a revision."""


def values(item: Item | None) -> dict[str, str]:
    """Placeholder -> value; only those that the item has."""
    found = _values(item) if item is not None else {}
    return {name: value for name, value in found.items() if value}


def _values(item: Item) -> dict[str, str]:
    if isinstance(item, Function):
        return _function(item)
    if isinstance(item, Revision):
        return _revision(item)
    if isinstance(item, Alias):
        return {
            **_called(item),
            "name": item.name,
            "id": item.revision,
            "alias": item.name,
            "label": item.name,
            "function": item.function,
            "revision": item.revision,
        }
    if isinstance(item, Worker):
        return {
            "name": item.id,
            "id": item.id,
            "worker": item.id,
            "function": item.function,
            "revision": item.revision,
            "label": item.revision,
            "pid": str(item.pid or ""),
            "address": item.address,
        }
    return _other(item)


def _called(item: Function | Revision | Alias) -> dict[str, str]:
    return {"url": item.url, "path_url": item.path_url, "auth": item.auth, "user": item.user}


def _function(item: Function) -> dict[str, str]:
    revision = item.live or item.latest
    return {
        **_called(item),
        "name": item.name,
        "id": revision,
        "function": item.name,
        "alias": item.aliases[0] if item.aliases else "",
        "label": endpoint_label(item),
        "revision": revision,
        "file": item.file_name,
        "entrypoint": item.entrypoint,
    }


def _revision(item: Revision) -> dict[str, str]:
    return {
        **_called(item),
        "name": item.id,
        "id": item.id,
        "function": item.function,
        "alias": item.aliases[0] if item.aliases else "",
        "label": item.id,
        "revision": item.id,
        "file": item.bundle.file_name,
        "entrypoint": item.bundle.entrypoint,
        "git": item.bundle.git_sha or "",
    }


def _other(item: Key | Move | Deed | AuditEntry | object) -> dict[str, str]:
    if isinstance(item, Key):
        return {"name": item.alias or item.id, "id": item.id, "key": item.id, "user": item.user}
    if isinstance(item, Move):
        target = item.to_revision
        return {"name": item.alias, "alias": item.alias, "id": target, "revision": target}
    if isinstance(item, AuditEntry):
        return {"name": item.subject, "id": item.subject, "key": item.key, "address": item.address}
    return {}
