"""Users, their keys, and who changed what."""

from __future__ import annotations

from fal_serverless.client.wire import Wire, quoted
from fal_serverless.models import AuditEntry, Key, NewKey, Scope, User, from_json


class Access(Wire):
    """Who may do what, and who did."""

    async def users(self) -> list[User]:
        return from_json(list[User], await self._call("GET", "/v1/users"))

    async def add_user(self, nickname: str) -> tuple[User, NewKey]:
        """A new user, and a first ADMIN key of theirs. Raises Conflict for a taken nickname."""
        body = await self._call("POST", "/v1/users", {"nickname": nickname})
        return from_json(User, body["user"]), from_json(NewKey, body["key"])

    async def keys(self) -> list[Key]:
        return from_json(list[Key], await self._call("GET", "/v1/keys"))

    async def generate_key(self, scope: Scope, alias: str = "") -> NewKey:
        body = await self._call("POST", "/v1/keys", {"scope": scope, "alias": alias})
        return from_json(NewKey, body)

    async def revoke_key(self, key_id: str) -> None:
        await self._call("DELETE", f"/v1/keys/{quoted(key_id)}")

    async def audit(self, lines: int = 100) -> list[AuditEntry]:
        """The newest so many changes of what is ours, or done by us; newest first."""
        body = await self._call("GET", "/v1/audit", params={"lines": lines})
        return from_json(list[AuditEntry], body)
