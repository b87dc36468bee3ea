"""Workers, and the environments they run in."""

from __future__ import annotations

from fal_serverless.client.wire import Wire, quoted
from fal_serverless.models import Environment, Pruned, Worker, from_json


class Workers(Wire):
    """What runs functions."""

    async def workers(self) -> list[Worker]:
        return from_json(list[Worker], await self._call("GET", "/v1/workers"))

    async def stop_worker(self, worker_id: str) -> None:
        """After what it runs is finished, or the drain time is over."""
        await self._call("DELETE", f"/v1/workers/{quoted(worker_id)}", slow=True)

    async def environments(self) -> list[Environment]:
        """Newest use first."""
        return from_json(list[Environment], await self._call("GET", "/v1/environments"))

    async def environment(self, key: str) -> Environment:
        """A unique beginning of the key is enough. Raises NotFound."""
        return from_json(Environment, await self._call("GET", f"/v1/environments/{quoted(key)}"))

    async def delete_environment(self, key: str) -> Pruned:
        """Raises NotFound; Conflict while a revision uses it."""
        body = await self._call("DELETE", f"/v1/environments/{quoted(key)}", slow=True)
        return from_json(Pruned, body)

    async def prune_environments(self, older_than: float = 0, *, dry_run: bool = False) -> Pruned:
        """Remove those that no revision uses and nobody asked for in so many seconds."""
        body = {"older_than": older_than, "dry_run": dry_run}
        return from_json(
            Pruned, await self._call("POST", "/v1/environments/prune", body, slow=True)
        )
