"""Who may ask, in every form a key has: for all that is checked."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fal_serverless.client import Client
from fal_serverless.models import NewKey
from running import RunningBackend

Who = Literal["owner admin", "owner api", "other admin", "other api", "revoked", "wrong", "unknown"]
VALID: tuple[Who, ...] = ("owner admin", "owner api", "other admin", "other api")
INVALID: tuple[Who, ...] = ("revoked", "wrong", "unknown")


@dataclass(frozen=True)
class Sent:
    """A credential as a request carries it."""

    name: str
    headers: dict[str, str]
    query: str = ""


@dataclass(frozen=True)
class People:
    keys: dict[Who, str]
    """`id:secret` of each."""

    def sent(self, *whom: Who) -> Iterator[tuple[Who, Sent]]:
        """Theirs in every form."""
        for who in whom:
            for sent in forms(self.keys[who]):
                yield who, sent


def forms(key: str) -> list[Sent]:
    key_id, _, secret = key.partition(":")
    coded = base64.b64encode(key.encode()).decode()
    return [
        Sent("Key", {"Authorization": f"Key {key}"}),
        Sent("Basic", {"Authorization": f"Basic {key}"}),
        Sent("Basic in base64", {"Authorization": f"Basic {coded}"}),
        Sent("headers", {"X-Fal-Key-Id": key_id, "X-Fal-Key-Secret": secret}),
        Sent("query", {}, f"fal_key_id={key_id}&fal_key_secret={secret}"),
    ]


def nonsense(key: str) -> list[Sent]:
    """What is no credential, whatever is in it."""
    key_id, _, secret = key.partition(":")
    return [
        Sent("nothing", {}),
        Sent("empty", {"Authorization": ""}),
        Sent("no scheme", {"Authorization": key}),
        Sent("Bearer", {"Authorization": f"Bearer {key}"}),
        Sent("no secret", {"Authorization": f"Key {key_id}"}),
        Sent("empty secret", {"Authorization": f"Key {key_id}:"}),
        Sent("empty id", {"Authorization": f"Key :{secret}"}),
        Sent("swapped", {"Authorization": f"Key {secret}:{key_id}"}),
        Sent("longer", {"Authorization": f"Key {key}x"}),
        Sent("shorter", {"Authorization": f"Key {key[:-1]}"}),
        Sent("other case", {"Authorization": f"Key {key.upper()}"}),
        Sent("the hash", {"Authorization": f"Key {key_id}:{'0' * 64}"}),
        Sent("half a pair", {"X-Fal-Key-Id": key_id}),
        Sent("the other half", {"X-Fal-Key-Secret": secret}),
        Sent("half a query", {}, f"fal_key_id={key_id}"),
        Sent("not UTF-8", {"Authorization": f"Key {key_id}:\xff\xfe"}),
        Sent("very long", {"Authorization": f"Key {key_id}:{'a' * 20_000}"}),
        Sent("a cookie", {"Cookie": f"fal_key_id={key_id}; fal_key_secret={secret}"}),
    ]


def text_of(made: NewKey) -> str:
    return f"{made.key.id}:{made.secret}"


async def meet(backend: RunningBackend, client: Client) -> People:
    """The owner of the backend, somebody else, and keys that open nothing."""
    nickname = f"other-{uuid.uuid4().hex[:8]}"
    _, other = await client.add_user(nickname)
    async with backend.client(text_of(other)) as others:
        other_api = await others.generate_key("API")
    revoked = await client.generate_key("ADMIN")
    await client.revoke_key(revoked.key.id)
    owner_api = await client.generate_key("API")
    return People(
        {
            "owner admin": backend.key,
            "owner api": text_of(owner_api),
            "other admin": text_of(other),
            "other api": text_of(other_api),
            "revoked": text_of(revoked),
            "wrong": f"{backend.key.partition(':')[0]}:{'0' * 32}",
            "unknown": f"{uuid.uuid4()}:{backend.key.partition(':')[2]}",
        }
    )
