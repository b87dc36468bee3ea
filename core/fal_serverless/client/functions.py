"""Functions, their revisions, the aliases that point at them, and who may call them."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import msgspec

from fal_serverless import errors
from fal_serverless.client.answers import decoded, decoded_in_parts
from fal_serverless.client.wire import Wire, quoted
from fal_serverless.models import (
    Alias,
    AuthMode,
    Function,
    FunctionList,
    Move,
    MoveReason,
    Revision,
    ServeEvent,
    from_json,
)


class FunctionParts(msgspec.Struct):
    """A FunctionChanges whose functions are not read yet."""

    version: str
    whole: bool
    functions: list[msgspec.Raw]
    gone: list[str]


class Functions(Wire):
    """What is served."""

    async def functions(self) -> list[Function]:
        """Newest serve first."""
        return from_json(list[Function], await self._call("GET", "/v1/functions"))

    async def functions_since(self, known: FunctionList | None = None) -> FunctionList:
        """As `functions`, in a list that is kept: of one known already only changes are sent.

        The same list again when nothing changed. Thousands are read bit by bit, so that others
        have their turn.
        """
        version = known.version if known is not None else ""
        content = await self._get("/v1/functions", {"since": version})
        found = decoded(FunctionParts, content) if content[:1] == b"{" else None
        if found is None:
            # a backend that knows no versions
            whole = await decoded_in_parts(
                Function, decoded(list[msgspec.Raw], content), self.breathe
            )
            return FunctionList("", tuple(whole))
        changed = await decoded_in_parts(Function, found.functions, self.breathe)
        if known is None or found.whole:
            return FunctionList(found.version, tuple(changed))
        return known.changed(found.version, changed, found.gone)

    async def function(self, name: str) -> Function:
        return from_json(Function, await self._call("GET", f"/v1/functions/{quoted(name)}"))

    async def delete_function(self, name: str) -> None:
        """With all its revisions and aliases. Raises NotFound, Conflict while it is in use."""
        await self._call("DELETE", f"/v1/functions/{quoted(name)}")

    async def revisions(self, name: str) -> list[Revision]:
        """Newest first, without source text."""
        body = await self._call("GET", f"/v1/functions/{quoted(name)}/revisions")
        return from_json(list[Revision], body)

    async def revision(self, revision_id: str) -> Revision:
        """With its source text. A unique beginning of the id is enough."""
        return from_json(Revision, await self._call("GET", f"/v1/revisions/{quoted(revision_id)}"))

    async def delete_revision(self, revision_id: str) -> None:
        """Raises Conflict while an alias points at it."""
        await self._call("DELETE", f"/v1/revisions/{quoted(revision_id)}")

    async def serve(
        self,
        bundle: bytes,
        *,
        alias: str | None = None,
        auth: AuthMode | None = None,
        message: str = "",
    ) -> AsyncGenerator[ServeEvent, None]:
        """Register a bundle; yields phases and log lines, then one event of kind `done`.

        A failed serve raises what went wrong; the alias then stands where it stood. Closing the
        iterator cancels the serve.
        """
        self._refuse_when_readonly("serve a function")
        params = {"alias": alias, "auth": auth, "message": message or None}
        request = {
            "params": {k: v for k, v in params.items() if v is not None},
            "content": bundle,
            "headers": {"Content-Type": "application/zip"},
        }
        done: ServeEvent | None = None
        async with self._stream("POST", "/v1/revisions", **request) as lines:
            async for event, data in lines:
                if event == "error":
                    raise errors.from_json(data)
                if data.get("kind") == "done":
                    done = from_json(ServeEvent, data)
                    break
                yield from_json(ServeEvent, data)
        if done is None:
            raise errors.Unreachable("the backend closed the connection before the serve was done")
        # Only now: a reader who leaves at `done` leaves no open connection behind.
        yield done

    # Aliases and auth

    async def aliases(self) -> list[Alias]:
        content = await self._get("/v1/aliases")
        return await decoded_in_parts(Alias, decoded(list[msgspec.Raw], content), self.breathe)

    async def alias(self, name: str) -> Alias:
        return from_json(Alias, await self._call("GET", f"/v1/aliases/{quoted(name)}"))

    async def moves(self, alias: str) -> list[Move]:
        """The alias's history, newest first."""
        return from_json(list[Move], await self._call("GET", f"/v1/aliases/{quoted(alias)}/moves"))

    async def set_alias(
        self,
        name: str,
        revision_id: str,
        *,
        auth: AuthMode | None = None,
        reason: MoveReason = "set",
        message: str = "",
    ) -> Alias:
        """Make the alias, or move it, once the revision is warm."""
        body = {"revision": revision_id, "auth": auth, "reason": reason, "message": message}
        return from_json(
            Alias, await self._call("PUT", f"/v1/aliases/{quoted(name)}", body, slow=True)
        )

    async def rollback(
        self, alias: str, revision_id: str | None = None, *, message: str = ""
    ) -> Move:
        """Point the alias at a revision; without one, where it stood before its last move."""
        body = {"revision": revision_id, "message": message}
        path = f"/v1/aliases/{quoted(alias)}/rollback"
        return from_json(Move, await self._call("POST", path, body, slow=True))

    async def delete_alias(self, name: str) -> None:
        await self._call("DELETE", f"/v1/aliases/{quoted(name)}")

    async def set_auth(self, label: str, auth: AuthMode) -> None:
        """Of an alias or a revision's own endpoint; in force from the next request on."""
        await self._call("PATCH", f"/v1/endpoints/{quoted(label)}", {"auth": auth})
