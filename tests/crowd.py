"""A backend with thousands of functions, of which a part is called all the time.

`settle` writes them into the registry of a home, as serves would have. As a program this is a real
backend whose meter hears of `share` of the functions each second, without a call being made.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fal_serverless import config
from fal_serverless.backend import database as db
from fal_serverless.backend import server
from fal_serverless.backend.registry import Registry
from fal_serverless.models import BundleInfo, Parameter, to_json
from running import RunningBackend, start_backend

START = datetime(2026, 1, 1, tzinfo=UTC)
CALLED = "CROWD_CALLED"
"""Environment variable: each how manieth function is called in every second; 0 for none."""
NICKNAME = "crowd"


def name_of(number: int) -> str:
    return f"function-{number}"


def bundle_of(number: int, text: str = "") -> BundleInfo:
    """`text` stands in every field that people fill."""
    name = f"{name_of(number)}{text}"
    return BundleInfo(
        entrypoint=name,
        file_name=f"{name}.py",
        source=f"def f(text):\n    return {number}\n",
        options={"serve": True, "requirements": [text] if text else [], "max_concurrency": 2},
        parameters=(Parameter("text", "positional_or_keyword", True, text or "str", text or None),),
        doc=f"Says {number}. {text}",
        python_version="3.11",
        git_sha="3f2a9c1b" * 5,
    )


def settle(
    home: Path,
    count: int,
    text_of: Callable[[int], str] = lambda _: "",
    alone: Callable[[int], bool] = lambda _: False,
) -> None:
    """`count` functions with an alias each, in the state of a backend that does not run.

    `text_of` gives what stands in all texts of a function that people write; those that are
    `alone` are anonymous.
    """
    found = config.load({"FAL_SERVERLESS_HOME": str(home)})
    config.make_private(found.paths.state)
    engine = db.open_database(db.sqlite_url(found.paths.state / "registry.db"))
    user = int(Registry(engine).add_user(NICKNAME).id)
    rows: dict[sa.Table, list[dict[str, Any]]] = {db.revisions: [], db.endpoints: [], db.moves: []}
    for number in reversed(range(count)):  # the newest, at the top, is number 0
        at = START + timedelta(seconds=count - number)
        id = str(uuid.UUID(int=number, version=4))
        name = id if alone(number) else name_of(number)
        rows[db.revisions].append(_revision(number, id, name, text_of(number)) | {"created_at": at})
        rows[db.endpoints] += [_endpoint(id, name, label, at) for label in {id, name}]
        if name != id:
            rows[db.moves].append(_move(id, name, text_of(number)) | {"at": at})
    with engine.begin() as connection:
        for table, found_rows in rows.items():
            for row in found_rows:
                row["user_id"] = user
            connection.execute(sa.insert(table), found_rows)
    engine.dispose()


def _revision(number: int, id: str, name: str, text: str) -> dict[str, Any]:
    bundle = bundle_of(number, text)
    return {
        "id": id,
        "function": name,
        "anonymous": name == id,
        "state": "live",
        "created_by": text or NICKNAME,
        "message": text,
        "environment": "e" * 12,
        "bundle": to_json(bundle) | {"source": ""},
        "source": bundle.source,
    }


def _endpoint(id: str, name: str, label: str, at: datetime) -> dict[str, Any]:
    return {
        "label": label,
        "is_alias": label != id,
        "function": name,
        "revision": id,
        "auth": "private",
        "created_at": at,
        "since": at,
    }


def _move(id: str, name: str, text: str) -> dict[str, Any]:
    return {
        "alias": name,
        "from_revision": None,
        "to_revision": id,
        "by": text or NICKNAME,
        "reason": "serve",
        "message": text,
    }


def start(home: Path, called: int = 0, port: int = 0) -> RunningBackend:
    """A backend on that home; `called`: each how manieth function is called in every second."""
    settings = {CALLED: str(called), "PYTHONPATH": str(Path(__file__).parent)}
    return start_backend(home, port, ("-m", "crowd"), **settings)


class Crowded(server.Backend):
    """It believes that functions are called."""

    async def serve(self, sockets: Any) -> None:
        calling = asyncio.create_task(self._call(int(os.environ.get(CALLED, "0"))))
        try:
            await super().serve(sockets)
        finally:
            calling.cancel()

    async def _call(self, each: int) -> None:
        user = self.registry.users()[0].id
        names = [endpoint.label for endpoint in self.registry.aliases(user)]
        turn = 0
        while each:
            await asyncio.sleep(1)
            turn += 1
            for name in names[::each]:
                self.meter.count(user, name, name, 200, 5.0 + turn % 7)


def main() -> None:
    server.Backend = Crowded  # type: ignore[misc]
    found = config.load(os.environ)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    server.run(found, any_port=True)


if __name__ == "__main__":
    main()
