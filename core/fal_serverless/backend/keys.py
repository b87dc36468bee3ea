"""Making, listing and revoking keys; checking them is `credentials`' affair."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime
from typing import get_args

import sqlalchemy as sa

from fal_serverless.backend import audit
from fal_serverless.backend import database as db
from fal_serverless.backend.credentials import KeyTable, Known, hash_of
from fal_serverless.errors import BadInput, NotFound
from fal_serverless.models import Key, NewKey, Scope


class KeyRing(KeyTable):
    """All keys: in the database, and in memory for the call path."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__()
        self._engine = engine
        with engine.connect() as connection:
            for row in connection.execute(sa.select(db.keys)).mappings():
                key = Key(
                    row["id"], row["scope"], str(row["user_id"]), row["created_at"], row["alias"]
                )
                self.put(Known(key, bytes.fromhex(row["secret_hash"])))

    def generate(self, user: str, scope: Scope, alias: str = "") -> NewKey:
        """A new key; its secret is returned here and kept nowhere."""
        if scope not in get_args(Scope):
            raise BadInput(f"scope must be ADMIN or API, not {scope!r}")
        key = Key(str(uuid.uuid4()), scope, user, datetime.now(UTC), alias)
        secret = secrets.token_hex(16)
        hashed = hash_of(secret)
        row = {
            "id": key.id,
            "user_id": int(user),
            "scope": scope,
            "alias": alias,
            "secret_hash": hashed.hex(),
            "created_at": key.created_at,
        }
        with self._engine.begin() as connection:
            connection.execute(sa.insert(db.keys).values(row))
            audit.write(connection, user, "key generate", key.id, after=scope, message=alias)
        self.put(Known(key, hashed))
        return NewKey(key, secret)

    def list(self, user: str) -> list[Key]:
        """Oldest first."""
        found = [known.key for known in self._known.values() if known.key.user == user]
        return sorted(found, key=lambda key: key.created_at)

    def revoke(self, user: str, key_id: str) -> None:
        """From the next request on it is unknown. Raises NotFound."""
        known = self._known.get(key_id)
        if known is None or known.key.user != user:
            raise NotFound(f"no key '{key_id}'; 'key list' shows yours", key=key_id)
        with self._engine.begin() as connection:
            connection.execute(sa.delete(db.keys).where(db.keys.c.id == key_id))
            told = {"before": known.key.scope, "message": known.key.alias}
            audit.write(connection, user, "key revoke", key_id, **told)
        self.drop(key_id)
