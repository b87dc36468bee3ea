"""Who is calling: finding a key in a request, and checking it against those there are.

Secrets are 128 random bits, so one SHA-256 is a sufficient hash for storage; a slow password hash
would only slow every call. Checks read memory only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote_plus

from fal_serverless.endpoint import UUID4
from fal_serverless.errors import BadInput, NotAllowed, NotAuthenticated
from fal_serverless.models import AuthMode, Key

Headers = Sequence[tuple[bytes, bytes]]
"""As in ASGI: names in lower case."""

HOW = (
    "send a key as 'Authorization: Key <id>:<secret>', as the headers X-Fal-Key-Id and "
    "X-Fal-Key-Secret, or in the query as fal_key_id and fal_key_secret"
)


@dataclass(frozen=True)
class Credential:
    id: str
    secret: str


class Found(NamedTuple):
    """What a request says of its caller, and the request without it."""

    credential: Credential | None
    """None: nothing of ours is in the request."""
    headers: Headers
    query: bytes


@dataclass(frozen=True)
class Known:
    """A key as it is kept."""

    key: Key
    secret_hash: bytes


class KeyTable:
    """All keys."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self.version = 0
        """Another one whenever a key comes or goes."""

    def known(self) -> dict[str, Known]:
        """By id, as they are now."""
        return dict(self._known)

    def put(self, known: Known) -> None:
        self._known[known.key.id] = known
        self.version += 1

    def drop(self, key_id: str) -> None:
        del self._known[key_id]
        self.version += 1

    def check(self, credential: Credential | None) -> Key:
        """The key, if its secret is right. Raises NotAuthenticated."""
        if credential is None:
            raise NotAuthenticated(f"no key given; {HOW}")
        known = self._known.get(credential.id)
        expected = known.secret_hash if known else b"\0" * 32
        right = hmac.compare_digest(hash_of(credential.secret), expected)
        if known is None or not right:
            raise NotAuthenticated(
                f"key '{credential.id[:8]}…' is unknown, revoked or has a wrong secret"
            )
        return known.key

    def check_endpoint(
        self, credential: Credential | None, auth: AuthMode, owner: str
    ) -> Key | None:
        """The caller of an endpoint, None on a public one. Raises NotAuthenticated, NotAllowed."""
        if auth == "public":
            return None
        key = self.check(credential)
        if auth == "private" and key.user != owner:
            raise NotAllowed("this key belongs to another user, and the endpoint is private")
        return key

    def check_admin(self, credential: Credential | None) -> Key:
        """The caller of the control API. Raises NotAuthenticated, NotAllowed."""
        key = self.check(credential)
        if key.scope != "ADMIN":
            raise NotAllowed("this key has the scope API; the control API needs one with ADMIN")
        return key


def find(headers: Headers, query: bytes) -> Found:
    """The credential in a request, by any of the four ways; what was recognised is taken out.

    An `Authorization` that is not ours stays: the function may have its own.
    """
    credential: Credential | None = None
    kept: list[tuple[bytes, bytes]] = []
    pair: dict[bytes, str] = {}
    for name, value in headers:
        if name == b"authorization":
            ours = parse_authorization(value.decode("latin-1"))
            if ours is not None:
                credential = credential or ours
                continue
        elif name in (b"x-fal-key-id", b"x-fal-key-secret"):
            pair[name] = value.decode("latin-1").strip()
            continue
        kept.append((name, value))
    if credential is None and pair:
        credential = Credential(pair.get(b"x-fal-key-id", ""), pair.get(b"x-fal-key-secret", ""))
    query, from_query = _split_query(query)
    return Found(credential or from_query, kept, query)


def parse_authorization(value: str) -> Credential | None:
    """`Key id:secret`, `Basic id:secret` raw, or `Basic` in base64; None when it is not ours."""
    scheme, _, rest = value.strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "key":
        key_id, _, secret = rest.partition(":")
        return Credential(key_id, secret)
    if scheme.lower() != "basic":
        return None
    for text in (rest, _decode_basic(rest)):
        key_id, colon, secret = text.partition(":")
        if colon and UUID4.fullmatch(key_id):
            return Credential(key_id, secret)
    return None


def parse_pair(text: str) -> Credential:
    """`id:secret` as people write it. Raises BadInput."""
    key_id, colon, secret = text.partition(":")
    if not colon or not key_id or not secret:
        raise BadInput("a key is written <id>:<secret>")
    return Credential(key_id, secret)


def _decode_basic(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _split_query(query: bytes) -> tuple[bytes, Credential | None]:
    if b"fal_key_" not in query:
        return query, None
    kept: list[bytes] = []
    pair: dict[str, str] = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if name in (b"fal_key_id", b"fal_key_secret"):
            pair[name.decode()] = unquote_plus(value.decode("latin-1"))
        else:
            kept.append(part)
    if not pair:
        return query, None
    found = Credential(pair.get("fal_key_id", ""), pair.get("fal_key_secret", ""))
    return b"&".join(kept), found


def hash_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
