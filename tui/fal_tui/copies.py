"""What of an item can be taken along: its JSON, and the entries of the copy menu. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from fal_serverless.models import Alias, AuditEntry, Function, Key, Revision, Worker, to_json
from fal_tui import equivalents, sample
from fal_tui.detail import subject
from fal_tui.store import Deed, Item, Store


def as_json(item: Item, store: Store) -> str:
    """The model as the API has it; a revision with its source."""
    whole = (store.revision(item.id) or item) if isinstance(item, Revision) else item
    return json.dumps(to_json(whole), indent=2, ensure_ascii=False, default=str)


@dataclass(frozen=True)
class Copyable:
    """One entry of the copy menu."""

    label: str
    value: str


def copies(item: Item, store: Store, row: Iterable[str], ca: str = "") -> tuple[Copyable, ...]:
    """What of an item can be copied; `ca` vouches for the backend's certificate."""
    found: list[Copyable] = []
    if isinstance(item, Function | Alias):
        found.append(Copyable("name", item.name))
    if isinstance(item, Key | Worker | Revision):
        found.append(Copyable("id", item.id))
    if isinstance(item, Function | Alias | Revision):
        revision = store.revision(subject(item, store))
        data = sample.body_text(revision) if revision else None
        found.append(Copyable("URL", item.url))
        found.append(Copyable("path URL", item.path_url))
        line = equivalents.curl(item.url, item.auth == "public", data, ca)
        found.append(Copyable("curl", line))
    if isinstance(item, AuditEntry):
        parts = (("subject", item.subject), ("before", item.before), ("after", item.after))
        found += [Copyable(name, value) for name, value in (*parts, ("key", item.key)) if value]
    about = subject(item, store)
    if about and not isinstance(item, Revision):
        found.append(Copyable("revision", about))
    if isinstance(item, Deed) and item.command:
        found.append(Copyable("command line", item.command))
    if isinstance(item, Deed) and item.error:
        found.append(Copyable("error", item.error))
    return (*found, Copyable("row", "\t".join(row)))
