"""What did the backend acknowledge, and is it so? And is what it did not acknowledge no half thing?

One alias, `changing`, is served, rolled back and opened; keys come and go. Every change is asked
for here and noted when it was acknowledged; one that ended in an error may be there or not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from fal_serverless.client import Client
from fal_serverless.errors import FalError
from fal_serverless.models import AuthMode, Move

ALIAS = "changing"
BODY = b'{"number": 7}'


@dataclass
class Ledger:
    """All changes of one backend's alias `changing`."""

    bundle: bytes
    moves: list[tuple[str | None, str]] = field(default_factory=list)
    """From and to, oldest first."""
    keys: dict[str, str] = field(default_factory=dict)
    """Id -> secret."""
    revoked: set[str] = field(default_factory=set)
    auth: AuthMode = "private"
    acknowledged: int = 0
    _unsure: list[str] = field(default_factory=list)
    """Kinds of changes that ended in an error since the last look."""
    _unsure_auth: set[AuthMode] = field(default_factory=set)
    _unsure_revoked: set[str] = field(default_factory=set)

    # Changing

    async def change(self, kind: str, client: Client) -> FalError | None:
        """Ask for one; the error that it ended in."""
        asked: dict[str, Callable[[Client], Awaitable[None]]] = {
            "serve": self._serve,
            "rollback": self._rollback,
            "key": self._key,
            "revoke": self._revoke,
            "auth": self._auth,
        }
        self._unsure.append(kind)
        try:
            await asked[kind](client)
        except FalError as error:
            return error
        self._unsure.remove(kind)
        self.acknowledged += 1
        return None

    async def _serve(self, client: Client) -> None:
        served = [e.served async for e in client.serve(self.bundle, alias=ALIAS) if e.served]
        if not served:
            raise FalError("a serve ended without a word")
        self.moves.append((self.moves[-1][1] if self.moves else None, served[0].revision.id))

    async def _rollback(self, client: Client) -> None:
        move = await client.rollback(ALIAS)
        self.moves.append(_pair(move))

    async def _key(self, client: Client) -> None:
        made = await client.generate_key("API", "fault")
        self.keys[made.key.id] = made.secret

    async def _revoke(self, client: Client) -> None:
        key_id = next(iter(self.keys))
        self._unsure_revoked.add(key_id)
        await client.revoke_key(key_id)
        self._unsure_revoked.discard(key_id)
        self.keys.pop(key_id)
        self.revoked.add(key_id)

    async def _auth(self, client: Client) -> None:
        wanted: AuthMode = "shared" if self.auth == "private" else "private"
        self._unsure_auth.add(wanted)
        await client.set_auth(ALIAS, wanted)
        self._unsure_auth.clear()
        self.auth = wanted

    # Looking

    async def check(self, client: Client) -> list[str]:
        """What is lost, half there, or there without anybody having asked for it.

        What was unsure is sure from then on.
        """
        wrong = await self._check_alias(client) if self.moves else []
        wrong += await self._check_keys(client)
        self._unsure.clear()
        self._unsure_auth.clear()
        self._unsure_revoked.clear()
        return wrong

    async def _check_alias(self, client: Client) -> list[str]:
        alias = await client.alias(ALIAS)
        history = [_pair(move) for move in reversed(await client.moves(ALIAS))]
        wrong = []
        if history[: len(self.moves)] != self.moves:
            wrong.append(f"moves {self.moves} became {history}")
        more = history[len(self.moves) :]
        if len(more) > sum(kind in ("serve", "rollback") for kind in self._unsure):
            wrong.append(f"moves {more} were never asked for")
        if history[-1][1] != alias.revision:
            wrong.append(f"'{ALIAS}' is at {alias.revision}, its history at {history[-1][1]}")
        if alias.auth != self.auth and alias.auth not in self._unsure_auth:
            wrong.append(f"'{ALIAS}' is {alias.auth}, not {self.auth}")
        told = [entry for entry in await client.audit(1000) if entry.subject == ALIAS]
        if len([entry for entry in told if entry.action != "auth"]) != len(history):
            wrong.append(f"{len(history)} moves have {len(told)} lines in the audit log")
        self.moves, self.auth = history, alias.auth
        return wrong + await self._check_revisions(client)

    async def _check_revisions(self, client: Client) -> list[str]:
        there = {revision.id for revision in await client.revisions(ALIAS)}
        served = {to for _, to in self.moves}
        wrong = [f"revision {one} is lost" for one in served - there]
        wrong += [f"revision {one} is there, its move is not" for one in there - served]
        for label in sorted(there | {ALIAS}):
            answer = await client.invoke(label, BODY)
            if (answer.status, answer.body) != (200, b"7"):
                wrong.append(f"{label} answers {answer.status} {answer.body[:200]!r}")
        return wrong

    async def _check_keys(self, client: Client) -> list[str]:
        there = {key.id for key in await client.keys() if key.alias == "fault"}
        lost = set(self.keys) - there - self._unsure_revoked
        wrong = [f"key {one} is lost" for one in lost]
        wrong += [f"key {one} is back" for one in self.revoked & there]
        extra = there - set(self.keys)
        if len(extra) > self._unsure.count("key"):
            wrong.append(f"{len(extra)} keys were never made")
        told = {
            entry.subject for entry in await client.audit(1000) if entry.action == "key generate"
        }
        wrong += [f"key {one} is not in the audit log" for one in there - told]
        self.keys = {one: secret for one, secret in self.keys.items() if one in there}
        # One that nobody heard of is there for good: it is not counted again.
        self.keys |= dict.fromkeys(extra, "")
        return wrong


def _pair(move: Move) -> tuple[str | None, str]:
    return move.from_revision, move.to_revision
