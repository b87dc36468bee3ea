"""The client as a whole."""

from __future__ import annotations

from fal_serverless.client.access import Access
from fal_serverless.client.answers import decoded
from fal_serverless.client.calls import Calls
from fal_serverless.client.functions import Functions
from fal_serverless.client.logs import Logs
from fal_serverless.client.workers import Workers
from fal_serverless.models import Pulse, Status, from_json


class Client(Functions, Access, Workers, Logs, Calls):
    """One backend, as one user.

    `url` is its base URL, `key` is `id:secret`. With `readonly` every change is refused here
    (ReadOnly), before anything is sent. Use as `async with Client(...) as client`.
    """

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def status(self) -> Status:
        return from_json(Status, await self._call("GET", "/v1/status"))

    async def pulse(self, seconds: int = 300, function: str = "", parts: int = 40) -> Pulse:
        """The last so many seconds of one function ('': of all), and in `parts` of each.

        Raises NotFound for a function that is not there, BadInput for more than is remembered.
        """
        params = {"seconds": seconds, "function": function, "parts": parts}
        return decoded(Pulse, await self._get("/v1/metrics/series", params))
