"""What a change of one function must not do to others."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from fal_serverless.backend.database import open_database, sqlite_url
from fal_serverless.backend.environment import Environment
from fal_serverless.backend.publisher import Publisher
from fal_serverless.backend.records import Registration, Stored
from fal_serverless.backend.registry import Registry
from fal_serverless.errors import BuildFailed
from fal_serverless.models import BundleInfo, LogEntry

LOST = ("gone-from-the-index",)


class Rooms:
    """As much of environments, bundles, engine and logs as a publisher needs to move a pointer."""

    def __init__(self) -> None:
        self.floors: dict[str, int] = {}
        self.said: list[LogEntry] = []

    async def ensure(self, version: str, requirements: Any, log: Any, known: str) -> Environment:
        if tuple(requirements) == LOST:
            raise BuildFailed("no such package")
        return Environment(known, Path("python"), ())

    def holds(self, environment: Environment) -> bool:
        return True

    def folder(self, revision: str) -> Path:
        return Path(revision)

    async def warm(self, spec: Any) -> None:
        """It is."""

    def keep(self, spec: Any, floor: int) -> None:
        self.floors[spec.revision] = floor

    def append(self, entry: LogEntry) -> None:
        self.said.append(entry)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = Registry(open_database(sqlite_url(tmp_path / "registry.db")))
    made.add_user("ada")
    made.add_user("bob")
    return made


def serve(registry: Registry, user: str, alias: str, **options: Any) -> Stored:
    given = {"serve": True, "min_concurrency": 1, **options}
    bundle = BundleInfo("f", "app.py", "", given, (), "", "3.11")
    new = Registration(str(uuid.uuid4()), user, "ada", alias, "env", bundle)
    stored = registry.register(new)
    registry.publish(stored, alias, None)
    return stored


async def test_a_function_that_cannot_be_kept_warm_fails_no_change_of_another(
    registry: Registry,
) -> None:
    rooms: Any = Rooms()
    here = Publisher(registry, rooms, rooms, rooms, rooms, lambda _: None, lambda: None)
    lost = serve(registry, "2", "lost", requirements=LOST)
    first, second = (serve(registry, "1", "call") for _ in range(2))
    endpoint = await here.move(registry.user("1"), "call", first, "rollback")
    assert endpoint.revision == first.id and rooms.floors == {first.id: 1}
    (told,) = [each for each in rooms.said if each.level == "ERROR"]
    assert (told.user, told.revision) == ("2", lost.id) and "no such package" in told.message
    await here.move(registry.user("1"), "call", second, "rollback")
    assert rooms.floors == {first.id: 0, second.id: 1}
