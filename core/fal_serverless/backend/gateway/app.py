"""The path every call takes: endpoint, key, worker, answer, log line."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable

from fal_serverless.backend import credentials
from fal_serverless.backend.credentials import Credential, KeyTable
from fal_serverless.backend.engine import LocalEngine, Spec
from fal_serverless.backend.gateway import exposed, served
from fal_serverless.backend.gateway.exchange import ClientGone, Exchange, Receive, Scope, Send
from fal_serverless.backend.gateway.ledger import CLIENT_CLOSED, Ledger
from fal_serverless.backend.gateway.openapi import Subject
from fal_serverless.backend.gateway.upstream import Lots
from fal_serverless.backend.network import Proxies
from fal_serverless.backend.rates import Rates
from fal_serverless.backend.records import Endpoint, Stored
from fal_serverless.backend.registry import Registry
from fal_serverless.config import Settings
from fal_serverless.endpoint import Target
from fal_serverless.errors import FalError, RequestTimeout, TooManyCalls

Forward = Callable[[Exchange, Target, tuple[str, int], int], Awaitable[None]]


class Gateway:
    """Answers calls to endpoints. `spec` turns a revision into what the engine runs."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        key_table: KeyTable,
        engine: LocalEngine,
        spec: Callable[[Stored], Awaitable[Spec]],
        ledger: Ledger,
        lots: Lots,
        rates: Rates,
        proxies: Proxies,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._keys = key_table
        self._engine = engine
        self._spec = spec
        self._ledger = ledger
        self._lots = lots
        self._rates = rates
        self._proxies = proxies

    async def handle(
        self,
        target: Target,
        scope: Scope,
        receive: Receive,
        send: Send,
        forward: Forward = exposed.forward,
    ) -> None:
        """Answer one request, whatever happens; `forward` is the way to a function's own server."""
        exchange = Exchange(scope, receive, send)
        exchange.is_believed = self._proxies.trusts((scope.get("client") or ("",))[0])
        endpoint: Endpoint | None = None
        try:
            endpoint = self._registry.resolve(target.user, target.label)
            await self._answer(exchange, endpoint, target, forward)
        except FalError as error:
            await self._fail(exchange, error, endpoint)
        except ClientGone:
            exchange.status = CLIENT_CLOSED
        except asyncio.CancelledError:
            exchange.status = exchange.status or CLIENT_CLOSED
            raise
        except Exception:
            self._say(exchange, endpoint, traceback.format_exc())
            await self._fail(exchange, FalError("Internal Server Error"), endpoint)
        finally:
            self._finish(exchange, endpoint, target)

    async def _answer(
        self, exchange: Exchange, endpoint: Endpoint, target: Target, forward: Forward
    ) -> None:
        stored = self._registry.revision(endpoint.user, endpoint.revision)
        options = stored.bundle.options
        exchange.own_cors = bool(options.get("serve"))
        found = credentials.find(exchange.headers, exchange.query)
        exchange.headers, exchange.query = found.headers, found.query
        if exchange.is_preflight:
            if exchange.own_cors:
                await exchange.answer(204, [], b"")
                return
        else:
            self._let_in(found.credential, endpoint)
        if not exchange.own_cors:
            await self._forward(exchange, await self._spec(stored), target, forward)
            return
        served.check(exchange.method, target.path)
        spec = await self._spec(stored)
        if target.path in served.PAGES:
            about = _subject(endpoint, stored, target)
            await served.describe(exchange, self._engine, spec, about)
        else:
            limit = self._settings.max_served_body
            alias = endpoint.label if endpoint.is_alias else ""
            await served.call(exchange, self._engine, spec, alias, limit)

    def _let_in(self, credential: Credential | None, endpoint: Endpoint) -> None:
        """Raises NotAuthenticated, NotAllowed, TooManyCalls."""
        key = self._keys.check_endpoint(credential, endpoint.auth, endpoint.user)
        wait = 0.0 if key is None else self._rates.take(key.id)
        if wait:
            raise TooManyCalls(
                f"this key may make {self._rates.per_second:g} calls a second; "
                f"the next one in {wait:.3g} s",
                retry_after=wait,
            )

    async def _forward(
        self, exchange: Exchange, spec: Spec, target: Target, forward: Forward
    ) -> None:
        async with self._engine.lease(spec) as lease:
            exchange.cold = lease.cold
            exchange.worker = lease.worker
            seconds = spec.seconds("request_timeout", self._settings.request_timeout)
            try:
                self._lots.rest(lease.address)
                async with asyncio.timeout(seconds) as exchange.deadline:
                    limit = self._settings.max_exposed_body
                    await forward(exchange, target, lease.address, limit)
            except TimeoutError as exc:
                said = f"'{spec.function}' did not begin to answer within {seconds:g} s"
                raise RequestTimeout(said) from exc
            finally:
                exchange.deadline = None

    async def _fail(self, exchange: Exchange, error: FalError, endpoint: Endpoint | None) -> None:
        if exchange.status:
            # Too late for an answer of ours: cutting the connection is the only honest signal.
            self._say(exchange, endpoint, error.message)
            raise ConnectionAbortedError(error.message)
        if error.status >= 500:
            self._say(exchange, endpoint, f"call failed: {error.message}")
        await exchange.fail(error)

    def _say(self, exchange: Exchange, endpoint: Endpoint | None, message: str) -> None:
        if endpoint is not None:
            self._ledger.say(endpoint, exchange.request_id, exchange.worker, message)

    def _finish(self, exchange: Exchange, endpoint: Endpoint | None, target: Target) -> None:
        if endpoint is not None:
            self._ledger.answered(
                endpoint,
                exchange.request_id,
                exchange.worker,
                f"{exchange.method} {target.path}",
                exchange.status,
                exchange.milliseconds(),
                exchange.cold,
            )


def _subject(endpoint: Endpoint, stored: Stored, target: Target) -> Subject:
    bundle = stored.bundle
    return Subject(
        name=bundle.entrypoint,
        doc=bundle.doc,
        revision=endpoint.revision,
        auth=endpoint.auth,
        path=target.path,
        base=target.prefix,
    )
