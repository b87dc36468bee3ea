"""`worker`: the processes that run functions now."""

from __future__ import annotations

import click

from fal_serverless.cli import output
from fal_serverless.cli.session import Session, as_json, pass_session


@click.group()
def worker() -> None:
    """Processes that run functions."""


@worker.command("list")
@as_json
@pass_session
def list_workers(session: Session, as_json: bool) -> None:
    """List the workers there are now."""
    found = session.ask(lambda client: client.workers())
    if as_json:
        output.values(found)
        return
    headings = (
        "Worker", "Function", "Revision", "State", "PID", "Requests", "Running", "Memory",
        "Started",
    )  # fmt: skip
    rows = [
        (
            w.id, w.function, w.revision, w.state, w.pid, w.requests, w.running,
            _megabytes(w.memory_bytes), w.started_at,
        )
        for w in found
    ]  # fmt: skip
    output.table(headings, rows)


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 1024**2:.0f} MiB"


@worker.command("stop")
@click.argument("worker_id")
@pass_session
def stop(session: Session, worker_id: str) -> None:
    """Stop a worker once it has finished what it runs."""
    session.ask(lambda client: client.stop_worker(worker_id))
    output.data(f"Stopped worker '{worker_id}'.")
