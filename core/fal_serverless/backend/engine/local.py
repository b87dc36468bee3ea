"""The engine that runs workers on this machine.

It has a pool per revision and the folder they run in, and unpacks what a revision brings along. A
call goes through `call`, a request for a function's own server through `lease`.
"""

from __future__ import annotations

import asyncio
import shutil
import zipfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fal_serverless.backend.bundles import BAD_ARCHIVE
from fal_serverless.backend.engine import isolation, survivors
from fal_serverless.backend.engine.description import Description, parse
from fal_serverless.backend.engine.exchange import Exchange, meta_of
from fal_serverless.backend.engine.isolation import Isolation
from fal_serverless.backend.engine.journal import Sink
from fal_serverless.backend.engine.limits import Limits
from fal_serverless.backend.engine.pool import Pool
from fal_serverless.backend.engine.ports import Ports
from fal_serverless.backend.engine.spec import Call, Lease, Load, Reply, Spec
from fal_serverless.backend.engine.startup import Surroundings, child_environ
from fal_serverless.backend.engine.templates import Templates
from fal_serverless.backend.engine.worker import User, WorkerProcess
from fal_serverless.config import Settings, make_private
from fal_serverless.errors import NotFound, WorkerFailed
from fal_serverless.models import Worker
from fal_serverless.overlay import made_whole


class LocalEngine:
    """All methods are for the thread of the event loop it is made in."""

    def __init__(
        self,
        settings: Settings,
        run_dir: Path,
        environ: Mapping[str, str],
        log: Sink,
        changed: Callable[[Worker], object],
        found: Callable[[], Isolation] | None = None,
    ) -> None:
        """`found`: what workers can have of their own; without it, that is tried."""
        self._settings = settings
        self._isolation = found or isolation.start()
        self.templates = _templates(settings, run_dir.absolute(), environ)
        """The processes that workers are forked from."""
        folder = make_private(run_dir.absolute())
        self._around = Surroundings(
            run_dir=folder,
            environ=environ,
            ports=Ports(lambda: self._isolation().method),
            isolation=self._isolation,
            limits=Limits(folder, settings.cgroup),
            templates=self.templates,
            startup_timeout=settings.startup_timeout,
            request_timeout=settings.request_timeout,
            log_overflow=settings.log_overflow,
            log=log,
            changed=changed,
        )
        _clear(self._around.run_dir)
        self._pools: dict[str, Pool] = {}
        self._unpacked: set[str] = set()
        self._descriptions: dict[str, Description] = {}
        """By revision, as far as anybody has asked."""

    async def describe(self) -> str:
        """How workers are kept apart, and why so; when that has been tried."""
        found = await asyncio.to_thread(self._isolation)
        return f"{found.describe()}; {self._around.limits.describe()}"

    async def warm(self, spec: Spec) -> None:
        """Until a worker of it is ready. Raises WorkerFailed, StartupTimeout: why there is none."""
        await (await self.made_pool(spec)).warm()

    async def call(self, spec: Spec, call: Call, alias: str = "") -> Reply:
        """Run a served function.

        Raises QueueFull, RequestTimeout, WorkerFailed; what the function raised is a Reply with
        status 500. Cancelling this cancels the call.
        """
        pool = await self.made_pool(spec)
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def heard(_: Exchange) -> None:
            if not answered.done():
                answered.set_result(None)

        exchange = Exchange(call.request_id, alias, meta_of(call), call.body, heard)
        pool.submit(exchange)
        try:
            await answered
        except asyncio.CancelledError:
            pool.cancel(exchange)
            raise
        return exchange.reply()

    async def made_pool(self, spec: Spec) -> Pool:
        """Who runs its calls."""
        await self._prepare(spec)
        return self._pool(spec)

    def pool(self, spec: Spec) -> Pool | None:
        """Who runs its calls, for those that cannot wait for it to be made; None: not yet."""
        return self._pool(spec) if spec.revision in self._unpacked else None

    async def description(self, spec: Spec, request_id: str) -> Description:
        """What a served function takes and returns, as its worker tells it.

        Asked once per revision. Raises as `call` does.
        """
        if spec.revision not in self._descriptions:
            reply = await self.call(spec, Call(request_id, describe=True))
            if reply.status != 200 or not isinstance(reply.body, bytes):
                raise WorkerFailed(f"the types of '{spec.function}' cannot be described")
            self._descriptions[spec.revision] = parse(reply.body)
        return self._descriptions[spec.revision]

    @asynccontextmanager
    async def lease(self, spec: Spec) -> AsyncIterator[Lease]:
        """A place in a worker that listens. Raises QueueFull, WorkerFailed, StartupTimeout."""
        worker, queued, cold = await (await self.made_pool(spec)).acquire()
        try:
            if worker.address is None:
                raise WorkerFailed(f"'{spec.function}' has no exposed port")
            yield Lease(worker.address, worker.id, cold, queued)
        finally:
            worker.give()

    def keep(self, spec: Spec, floor: int) -> None:
        """Keep at least so many workers warm; 0 lets them go when they are idle."""
        if floor == 0 and spec.revision not in self._pools:
            return
        _unpack(spec)
        self._unpacked.add(spec.revision)
        self._pool(spec).keep(floor)

    def workers(self) -> list[Worker]:
        """Oldest first."""
        found = [worker.record() for pool in self._pools.values() for worker in pool.workers]
        return sorted(found, key=lambda worker: worker.started_at)

    def loads(self) -> list[Load]:
        """Of every revision that has workers or calls that wait for one."""
        return [load for pool in self._pools.values() if (load := pool.load()) is not None]

    async def stop_worker(self, worker_id: str, by: str) -> None:
        """When what it runs is finished, or the drain time is over. Raises NotFound."""
        for pool in self._pools.values():
            for worker in pool.workers:
                if worker.id == worker_id:
                    await worker.stop(self._settings.drain_timeout, f"by {by}")
                    return
        raise NotFound(f"no worker '{worker_id}'", worker=worker_id)

    async def retire(self, revision: str, why: str = "it is not needed any more") -> None:
        """Stop all workers of a revision, when what runs in them is finished."""
        pool = self._pools.pop(revision, None)
        self._unpacked.discard(revision)
        self._descriptions.pop(revision, None)
        if pool is not None:
            await pool.close(self._settings.drain_timeout, why)

    async def close(self, drain: float) -> None:
        """Stop everything; calls that run may take so many seconds more."""
        pools, self._pools = list(self._pools.values()), {}
        await asyncio.gather(*(pool.close(drain, "the backend stops") for pool in pools))
        await self.templates.close()
        self._around.limits.close()
        await asyncio.to_thread(shutil.rmtree, self._around.run_dir, ignore_errors=True)

    def _pool(self, spec: Spec) -> Pool:
        pool = self._pools.get(spec.revision)
        if pool is None:
            pool = Pool(spec, self._make, self._settings.queue_size)
            self._pools[spec.revision] = pool
        return pool

    def _make(self, spec: Spec, user: User) -> WorkerProcess:
        return WorkerProcess(spec, self._around, user)

    async def _prepare(self, spec: Spec) -> None:
        if spec.revision not in self._unpacked:
            await asyncio.to_thread(_unpack, spec)
            self._unpacked.add(spec.revision)


def _templates(settings: Settings, run_dir: Path, environ: Mapping[str, str]) -> Templates:
    keep_alive = settings.template_keep_alive
    made = partial(child_environ, environ)
    return Templates(run_dir, made, settings.templates, keep_alive)


def _clear(run_dir: Path) -> None:
    """End and remove what a backend left that was killed."""
    left_over = [*run_dir.glob("w-*"), *run_dir.glob("t-*")]
    survivors.sweep(left_over)
    for folder in left_over:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(spec: Spec) -> None:
    """The sources as files: a function may read what lies beside it, and bytecode is kept."""
    archive = spec.folder / "sources.zip"
    try:
        with made_whole(spec.folder / "sources") as aside:
            if aside is not None and archive.exists():
                with zipfile.ZipFile(archive) as sources:
                    sources.extractall(aside)
    except (OSError, *BAD_ARCHIVE) as exc:
        raise WorkerFailed(
            f"the files of revision '{spec.revision}' cannot be unpacked: {exc}"
        ) from exc
