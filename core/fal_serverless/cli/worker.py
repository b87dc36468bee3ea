"""`worker`: the processes that run functions now."""

from __future__ import annotations

import click

from fal_serverless.cli import output
from fal_serverless.cli.completing import complete_worker
from fal_serverless.cli.session import Session, as_json, pass_session
from fal_serverless.models import ColdStart


@click.group()
def worker() -> None:
    """Processes that run functions."""


@worker.command("list")
@as_json
@pass_session
def list_workers(session: Session, as_json: bool) -> None:
    """List the workers there are now."""
    found = session.ask(lambda client: client.workers())
    headings = (
        "Worker", "Function", "Revision", "State", "PID", "Address", "Requests", "Running",
        "Memory", "Started", "Cold Start",
    )  # fmt: skip
    output.models(found, as_json, headings, lambda w: (
        w.id, w.function, w.revision, w.state, w.pid, w.address, w.requests, w.running,
        _megabytes(w.memory_bytes), w.started_at, _cold(w.cold_start),
    ), "No worker runs now; a call starts one.")  # fmt: skip


def _cold(start: ColdStart) -> str:
    """What it took, in parts that took anything: `load 0.25 s, setup 1.2 s`."""
    parts = {"environment": start.environment, "load": start.load, "setup": start.setup}
    return ", ".join(
        f"{name} {seconds:.2g} s" for name, seconds in parts.items() if seconds >= 0.01
    )


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1024**2:.0f} MiB"


@worker.command("stop")
@click.argument("worker_id", shell_complete=complete_worker)
@pass_session
def stop(session: Session, worker_id: str) -> None:
    """Stop a worker once it has finished what it runs."""
    session.ask(lambda client: client.stop_worker(worker_id))
    output.data(f"Stopped worker '{worker_id}'.")
