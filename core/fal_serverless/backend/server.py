"""The backend, put together. Wiring only: every room is made here and handed what it uses."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import platform
import resource
import signal
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from fal_serverless import __version__
from fal_serverless.backend import network
from fal_serverless.backend.alone import only_one
from fal_serverless.backend.api.app import make_api
from fal_serverless.backend.api.context import Rooms
from fal_serverless.backend.audit import AuditLog
from fal_serverless.backend.bundles import BundleStore
from fal_serverless.backend.catalogue import Catalogue
from fal_serverless.backend.changes import Changes
from fal_serverless.backend.credentials import parse_pair
from fal_serverless.backend.database import open_database, sqlite_url
from fal_serverless.backend.engine import LocalEngine, Pool, Sink
from fal_serverless.backend.environment import EnvironmentStore
from fal_serverless.backend.front import Front
from fal_serverless.backend.gateway.app import Gateway
from fal_serverless.backend.gateway.call import Run
from fal_serverless.backend.gateway.door import Calls
from fal_serverless.backend.gateway.ledger import Ledger
from fal_serverless.backend.gateway.protocol import Connection, connection
from fal_serverless.backend.gateway.upstream import Lots
from fal_serverless.backend.gateways.owner import Gateways
from fal_serverless.backend.gateways.owner import Rooms as GatewayRooms
from fal_serverless.backend.housekeeping import Housekeeping
from fal_serverless.backend.keys import KeyRing
from fal_serverless.backend.listen import Sockets, listen
from fal_serverless.backend.logs.store import LogStore
from fal_serverless.backend.metrics.figures import Figures
from fal_serverless.backend.network import Proxies, scheme
from fal_serverless.backend.publisher import Publisher
from fal_serverless.backend.rates import Rates
from fal_serverless.backend.records import Endpoint
from fal_serverless.backend.registry import Registry
from fal_serverless.backend.sent import SentFunctions
from fal_serverless.backend.traffic import Meter, Starts
from fal_serverless.backend.views import Views
from fal_serverless.backend.web import NoCutAnswers, Server, uvicorn_config
from fal_serverless.config import (
    LOCAL,
    Config,
    Context,
    Paths,
    forget_keys,
    make_private,
    save_context,
    using_state,
    write_whole,
)
from fal_serverless.errors import FalError
from fal_serverless.models import Change, Status, User, Worker

logger = logging.getLogger("fal_serverless.backend")

TICK = 1.0
"""Seconds between two looks at what happened."""
LATE = 0.005
ABANDONED = 60.0
"""Seconds after which nobody is still writing a file aside."""
EVERYWHERE = ("0.0.0.0", "::")
"""Hosts to listen on that are no address of anything."""


def _has_terminal() -> bool:
    """Whether a terminal's end would tell us so by SIGHUP; a service has none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def run(config: Config, *, any_port: bool = False) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises PortTaken, Conflict, InvalidSetting, StateFailed at the start.
    """
    network.check(config.settings)
    _keep_private()
    logging.getLogger("uvicorn.error").addFilter(NoCutAnswers())
    with using_state(config.paths.state):
        make_private(config.paths.state)
    with only_one(config.paths.state):
        _sweep(config.paths)
        settings = config.settings
        count = settings.gateways
        port, sockets = listen(settings.host, settings.port, any_port=any_port, count=count)
        if settings.port not in (0, port):
            logger.warning("port %s is taken; the next free one is %s", settings.port, port)
        backend = Backend(config, port)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(backend.serve(sockets))


class Backend:
    """One process: control API, gateway, workers, and the only writer of the state."""

    def __init__(self, config: Config, port: int) -> None:
        self._config = config
        settings, paths = config.settings, config.paths
        host = "127.0.0.1" if settings.host in (*EVERYWHERE, "localhost") else settings.host
        self._base = f"{scheme(settings)}://{f'[{host}]' if ':' in host else host}:{port}"
        self._port = port
        self._started_at = datetime.now(UTC)
        self._database = database = open_database(
            settings.database_url or sqlite_url(paths.state / "registry.db"),
        )
        self.registry = Registry(database)
        self.keys = KeyRing(database)
        self.audit = AuditLog(database)
        self.changes = Changes()
        self.meter = Meter()
        self.rates = Rates(settings.key_rate)
        self.proxies = Proxies(settings.trusted_proxies)
        self.starts = Starts()

    async def serve(self, sockets: list[Sockets]) -> None:
        """Listen, answer, and stop in order: no new calls, drain, workers, logs.

        `sockets` are those of each gateway; the first are this process's.
        """
        _raise_file_limit()
        with using_state(self._config.paths.state):
            self._make_rooms()
        await self._listen(sockets)

    def _make_rooms(self) -> None:
        settings, paths = self._config.settings, self._config.paths
        self.logs = LogStore(paths.state / "logs", settings.log_max_bytes, settings.log_max_days)
        self.engine = LocalEngine(
            settings,
            make_private(paths.state / "run"),
            self._config.environ,
            Sink(self.logs.put, self.logs.lines, self.logs.missing),
            self._worker_changed,
        )
        bundles = BundleStore(paths.state / "revisions")
        bundles.sweep({r.id for u in self.registry.users() for r in self.registry.revisions(u.id)})
        environments = EnvironmentStore(
            make_private(paths.state / "environments"),
            make_private(paths.cache),
            self._config.environ,
            settings.python_downloads,
        )
        self.publisher = Publisher(
            self.registry,
            bundles,
            environments,
            self.engine,
            self.logs,
            self.changes.publish,
            self._spread,
        )
        self.sent = SentFunctions(
            BundleStore(paths.state / "sent"), environments, self.engine, self.logs
        )
        self.housekeeping = Housekeeping(
            environments, lambda: {**self.publisher.uses(), **self.sent.uses()}
        )
        self.figures = Figures(self.meter, self.starts, self.registry, self.engine.loads, self.logs)
        self._ensure_owner()

    def _front(self, stopping: asyncio.Event, ledger: Ledger, lots: Lots) -> Front:
        settings = self._config.settings
        gateway = Gateway(
            settings,
            self.registry,
            self.keys,
            self.engine,
            self.publisher.spec,
            ledger,
            lots,
            self.rates,
            self.proxies,
        )
        base = settings.public_url or self._base
        views = Views(self.registry, self.meter, self.engine.workers, settings.domain, base)
        rooms = Rooms(
            self.registry,
            self.keys,
            self.publisher,
            self.housekeeping,
            self.sent,
            self.engine,
            self.logs,
            self.changes,
            self.audit,
            views,
            Catalogue(self.registry, self.meter, views),
            self.figures,
            self.proxies,
            settings.metrics_public,
            self._status,
            stopping,
        )
        return Front(settings.domain, gateway, make_api(rooms, self._names(), self._spread))

    def _names(self) -> set[str]:
        """The hosts under which the control API answers, beside addresses."""
        settings = self._config.settings
        public = urlsplit(settings.public_url).hostname
        return {"localhost", settings.domain, f"api.{settings.domain}", public or "localhost"}

    async def _spread(self) -> None:
        await self.gateways.spread()

    def _door(self, ledger: Ledger, lots: Lots) -> Calls:
        return Calls(
            self._config.settings,
            self.registry,
            self.keys,
            self._run,
            ledger,
            lots,
            self.rates,
            self.proxies,
        )

    def _run(self, endpoint: Endpoint) -> Run | None:
        pool = self._pool(endpoint.revision)
        if pool is None:
            return None
        return Run(pool, None) if pool.spec.exposed_port is None else Run(None, pool)

    def _pool(self, revision_id: str) -> Pool | None:
        spec = self.publisher.ready(revision_id)
        return None if spec is None else self.engine.pool(spec)

    async def _make_pool(self, user: str, revision_id: str) -> Pool:
        spec = await self.publisher.spec(self.registry.revision(user, revision_id))
        return await self.engine.made_pool(spec)

    def _is_served(self, endpoint: Endpoint) -> bool:
        stored = self.registry.stored(endpoint.revision)
        return stored is not None and bool(stored.bundle.options.get("serve"))

    def _further(
        self,
        server: Server,
        http: type[Connection],
        sockets: list[Sockets],
    ) -> Gateways:
        """The gateways beside this process."""
        config, loop = server.config, asyncio.get_running_loop()

        def adopt(read: bytes) -> Connection:
            made = http(config, server.server_state, {}, loop)
            made.first = read
            return made

        rooms = GatewayRooms(
            self._config.settings,
            self.registry.endpoints,
            self._is_served,
            self.keys,
            self._pool,
            self._make_pool,
            self.logs.put,
            self.meter.count,
            adopt,
        )
        return Gateways(rooms, sockets)

    async def _listen(self, sockets: list[Sockets]) -> None:
        stopping = asyncio.Event()
        ledger = Ledger(self.logs.put, self.meter.count)
        lots = Lots(self._config.settings.request_timeout)
        front, door = self._front(stopping, ledger, lots), self._door(ledger, lots)
        settings = self._config.settings
        http = connection(settings.max_header_size, door, settings.head_timeout)
        server = Server(uvicorn_config(front, http, settings))
        self.gateways = self._further(server, http, sockets[1:])

        loop = asyncio.get_running_loop()
        drained_at = 0.0

        def stop() -> None:
            nonlocal drained_at
            drained_at = drained_at or loop.time() + self._config.settings.drain_timeout
            stopping.set()
            server.should_exit = True
            self.gateways.drain()

        if settings.tls_cert or not _has_terminal():
            loop.add_signal_handler(signal.SIGHUP, self._renew, server)
        elif signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            loop.add_signal_handler(signal.SIGHUP, stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        ticking = asyncio.create_task(self._tick())
        settling = asyncio.create_task(self.publisher.settle())
        starting = asyncio.create_task(self.gateways.start())
        info = self._config.paths.backend
        try:
            with using_state(self._config.paths.state):
                self._announce(info)
            # What the program consists of stays: looking through it held calls up for 50 ms.
            gc.freeze()
            await server.serve(sockets[0])
        finally:
            info.unlink(missing_ok=True)
            for task in (ticking, settling, starting):
                task.cancel()
            await self.gateways.close()
            await self.publisher.close()
            # For what runs the server has waited already.
            await self.engine.close(max(0.0, drained_at - loop.time()))
            self.sent.close()
            await self.logs.close()
            # Nobody else does: what is frozen is not looked through at the end either.
            self._database.dispose()

    def _renew(self, server: Server) -> None:
        """SIGHUP: read the certificate again; connections that are open keep the old one."""
        settings, context = self._config.settings, server.config.ssl
        if not settings.tls_cert:
            # A service manager's reload, which must not end what it is to keep up.
            logger.info("told to read the certificate again, and there is none: nothing changes")
            return
        try:
            network.check(settings)
            if context is not None:
                context.load_cert_chain(settings.tls_cert, settings.tls_key)
        except FalError as error:
            logger.error("the old certificate stays: %s", error.message)
        else:
            logger.info("read the certificate again")

    def _announce(self, info: Path) -> None:
        """Say where we are. Connections wait in the backlog until the server accepts them."""
        settings = self._config.settings
        said = {
            "pid": os.getpid(),
            "port": self._port,
            "url": self._base,
            "version": __version__,
            "started_at": self._started_at.isoformat(),
            "host": settings.host,
            "domain": settings.domain,
            "tls_cert": str(Path(settings.tls_cert).absolute()) if settings.tls_cert else "",
        }
        write_whole(info, json.dumps(said), 0o600)
        everywhere = settings.host in EVERYWHERE
        where = "all addresses of this machine, here as " if everywhere else ""
        logger.info("listening on %s%s", where, self._base)

    def _ensure_owner(self) -> None:
        """The first user, and a key for this machine that opens the backend."""
        users = self.registry.users()
        nickname = self._config.environ.get("USER") or "owner"
        owner = users[0] if users else self.registry.add_user(nickname)
        local = self._config.contexts.get(LOCAL) or Context(LOCAL, "")
        if self._opens(local.key):
            return
        made = self.keys.generate(owner.id, "ADMIN", "this machine")
        key = f"{made.key.id}:{made.secret}"
        save_context(self._config.paths, replace(local, user_id=owner.id, key=key))

    def _opens(self, key: str) -> bool:
        try:
            self.keys.check_admin(parse_pair(key))
        except FalError:
            return False
        return True

    async def _tick(self) -> None:
        """Count seconds, and tell clients about traffic at most once in each."""
        while True:
            # Behind a whole second, so that none is left out for being a little late.
            await asyncio.sleep(TICK - time.monotonic() % TICK + LATE)
            await self.figures.tick()
            if self.meter.changed:
                self.meter.changed = False
                self.changes.publish(Change("traffic"))

    def _worker_changed(self, worker: Worker) -> None:
        self.starts.heard(worker)
        self.changes.publish(Change("worker", worker.id))

    async def _status(self, user: User) -> Status:
        revisions = self.registry.revisions(user.id)
        return Status(
            version=__version__,
            pid=os.getpid(),
            url=self._base,
            domain=self._config.settings.domain,
            started_at=self._started_at,
            state_dir=str(self._config.paths.state),
            user=user,
            functions=len({stored.function for stored in revisions}),
            revisions=len(revisions),
            aliases=len(self.registry.aliases(user.id)),
            workers=len(self.engine.workers()),
            traffic=self.meter.traffic(user.id),
            python_version=platform.python_version(),
            gateways=self._config.settings.gateways,
            isolation=await self.engine.describe(),
            templates=len(self.engine.templates),
            template_bytes=self.engine.templates.memory(),
        )


def _keep_private() -> None:
    """Files for nobody else, no core dumps (keys go through our memory), no keys to inherit.

    For all that we start, too.
    """
    forget_keys()
    os.umask(0o077)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _sweep(paths: Paths) -> None:
    """Remove what a killed backend had begun to write; somebody else may write credentials now."""
    for path in {paths.backend, paths.credentials, paths.own_credentials}:
        before = time.time() - (0 if path == paths.backend else ABANDONED)
        for aside in path.parent.glob(f".{path.name}.*"):
            with suppress(OSError):
                if aside.stat().st_mtime <= before:
                    aside.unlink()


def _raise_file_limit() -> None:
    """Every connection and every worker is an open file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
