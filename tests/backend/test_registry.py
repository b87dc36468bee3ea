from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from fal_serverless.backend.database import open_database, sqlite_url
from fal_serverless.backend.records import Endpoint, Registration, Stored
from fal_serverless.backend.registry import Registry
from fal_serverless.errors import BadInput, Conflict, InvalidName, NotFound
from fal_serverless.models import AuthMode, BundleInfo


def make_registry(folder: Path) -> Registry:
    return Registry(open_database(sqlite_url(folder / "registry.db")))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = make_registry(tmp_path)
    made.add_user("ada")
    return made


def register(registry: Registry, alias: str | None = None, user: str = "1") -> Stored:
    bundle = BundleInfo("call_text", "app.py", "source", {"serve": True}, (), "", "3.11")
    new = Registration(str(uuid.uuid4()), user, "ada", alias, "env", bundle)
    return registry.register(new)


def serve(registry: Registry, alias: str | None = None, auth: AuthMode | None = None) -> Endpoint:
    return registry.publish(register(registry, alias), alias, auth)


def test_a_pending_revision_cannot_be_called_and_is_forgotten_by_a_restart(tmp_path: Path) -> None:
    registry = make_registry(tmp_path)
    registry.add_user("ada")
    stored = register(registry, "call")
    with pytest.raises(NotFound):
        registry.resolve("1", stored.id)
    again = make_registry(tmp_path)
    assert again.revisions("1") == []


def test_publishing_points_the_alias_and_opens_the_revisions_own_endpoint(
    registry: Registry,
) -> None:
    endpoint = serve(registry, "call")
    assert endpoint.label == "call"
    assert registry.resolve("1", "call").revision == endpoint.revision
    assert registry.resolve("1", endpoint.revision).revision == endpoint.revision


def test_a_second_serve_moves_the_alias_and_keeps_the_first_revision(registry: Registry) -> None:
    first, second = serve(registry, "call"), serve(registry, "call")
    assert registry.resolve("1", "call").revision == second.revision
    assert registry.resolve("1", first.revision).revision == first.revision
    assert [r.id for r in registry.revisions("1", "call")] == [second.revision, first.revision]


def test_everything_published_is_there_after_a_restart(tmp_path: Path) -> None:
    registry = make_registry(tmp_path)
    registry.add_user("ada")
    serve(registry, "call")
    second = serve(registry, "call", "public")
    again = make_registry(tmp_path)
    assert again.resolve("1", "call") == second
    assert next(m.to_revision for m in again.moves("1", "call")) == second.revision
    assert again.source(second.revision) == "source"


def test_the_newest_revision_is_the_one_that_came_last_whatever_the_clock_says(
    tmp_path: Path,
) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    database = open_database(sqlite_url(tmp_path / "registry.db"))
    registry = Registry(database, lambda: now)
    registry.add_user("ada")
    first = serve(registry, "call")
    now = datetime(2020, 1, 1, tzinfo=UTC)
    second = serve(registry, "call")
    for each in (registry, Registry(database)):
        assert [r.id for r in each.revisions("1", "call")] == [second.revision, first.revision]


def test_an_anonymous_function_answers_under_its_id_only(registry: Registry) -> None:
    endpoint = serve(registry, None, "public")
    assert endpoint.label == endpoint.revision
    assert endpoint.auth == "public"
    assert registry.aliases("1") == []


def test_auth_with_an_alias_is_the_aliases_own(registry: Registry) -> None:
    endpoint = serve(registry, "call", "public")
    assert endpoint.auth == "public"
    assert registry.resolve("1", endpoint.revision).auth == "private"


def test_a_serve_without_auth_keeps_the_aliases_mode(registry: Registry) -> None:
    serve(registry, "call", "shared")
    assert serve(registry, "call").auth == "shared"


def test_serving_onto_another_functions_alias_is_refused(registry: Registry) -> None:
    served = serve(registry, "call")
    registry.point("1", "prod", served.revision, by="ada", reason="set")
    with pytest.raises(Conflict, match="alias 'prod' belongs to function 'call'"):
        registry.check_serve("1", "prod", None)


def test_rollback_goes_back_and_a_second_one_returns(registry: Registry) -> None:
    first, second = serve(registry, "call"), serve(registry, "call")
    target = registry.rollback_target("1", "call", None)
    assert target.id == first.revision
    registry.point("1", "call", target.id, by="ada", reason="rollback")
    assert registry.rollback_target("1", "call", None).id == second.revision


def test_rollback_while_the_alias_moves_waits_for_the_move(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = serve(registry, "call"), serve(registry, "call")
    targets: list[str] = []
    asking = Thread(target=lambda: targets.append(registry.rollback_target("1", "call", None).id))
    keep = registry._keep_pointed

    def slowly(endpoint: Endpoint) -> None:
        """The move is in the database, and not yet in memory."""
        asking.start()
        asking.join(0.2)
        keep(endpoint)

    monkeypatch.setattr(registry, "_keep_pointed", slowly)
    registry.point("1", "call", first.revision, by="ada", reason="set")
    asking.join()
    assert targets == [second.revision]


def test_rollback_of_an_alias_that_never_moved_says_so(registry: Registry) -> None:
    serve(registry, "call")
    with pytest.raises(Conflict, match="never been moved"):
        registry.rollback_target("1", "call", None)


def test_rollback_to_where_it_is_already_is_refused(registry: Registry) -> None:
    endpoint = serve(registry, "call")
    with pytest.raises(Conflict, match="already"):
        registry.rollback_target("1", "call", endpoint.revision)


def test_history_tells_from_to_who_and_why(registry: Registry) -> None:
    first, second = serve(registry, "call"), serve(registry, "call")
    newest, oldest = registry.moves("1", "call")
    assert (oldest.from_revision, oldest.to_revision) == (None, first.revision)
    assert (newest.from_revision, newest.to_revision) == (first.revision, second.revision)
    assert (newest.by, newest.reason) == ("ada", "serve")


def test_an_auth_change_is_no_move(registry: Registry) -> None:
    served = serve(registry, "call")
    registry.set_auth("1", "call", "public")
    again = registry.point("1", "call", served.revision, by="ada", reason="set", auth="shared")
    assert (again.auth, again.since) == ("shared", served.since)
    assert len(registry.moves("1", "call")) == 1


def test_moves_are_counted_also_over_a_restart(tmp_path: Path) -> None:
    registry = make_registry(tmp_path)
    registry.add_user("ada")
    serve(registry, "call")
    serve(registry, "call")
    assert registry.move_count("1", "call") == 2
    assert make_registry(tmp_path).move_count("1", "call") == 2


def test_a_revision_an_alias_points_at_cannot_be_deleted(registry: Registry) -> None:
    first, second = serve(registry, "call"), serve(registry, "call")
    with pytest.raises(Conflict, match="alias 'call' points at"):
        registry.delete_revision("1", second.revision)
    registry.delete_revision("1", first.revision)
    with pytest.raises(NotFound):
        registry.resolve("1", first.revision)


def test_rollback_to_a_deleted_revision_names_it(registry: Registry) -> None:
    first = serve(registry, "call")
    serve(registry, "call")
    registry.delete_revision("1", first.revision)
    with pytest.raises(NotFound, match="was deleted"):
        registry.rollback_target("1", "call", None)


def test_deleting_a_function_takes_its_revisions_and_aliases(registry: Registry) -> None:
    served = serve(registry, "call")
    registry.point("1", "prod", served.revision, by="ada", reason="set")
    registry.delete_function("1", "call")
    assert registry.revisions("1") == []
    assert registry.aliases("1") == []


def test_a_unique_beginning_of_an_id_is_enough(registry: Registry) -> None:
    served = serve(registry, "call")
    assert registry.revision("1", served.revision[:8]).id == served.revision
    with pytest.raises(NotFound):
        registry.revision("1", served.revision[:3])


def test_an_ambiguous_beginning_lists_the_candidates(registry: Registry) -> None:
    bundle = BundleInfo("f", "app.py", "", {}, (), "", "3.11")
    for last in "12":
        revision_id = f"aaaaaaaa-0000-4000-8000-00000000000{last}"
        stored = registry.register(Registration(revision_id, "1", "ada", None, "env", bundle))
        registry.publish(stored, None, None)
    with pytest.raises(BadInput, match="begins 2 revisions"):
        registry.revision("1", "aaaaaaaa")


def test_users_do_not_see_each_others_things(registry: Registry) -> None:
    registry.add_user("bob")
    served = serve(registry, "call")
    assert registry.revisions("2") == []
    with pytest.raises(NotFound):
        registry.resolve("2", "call")
    with pytest.raises(NotFound):
        registry.revision("2", served.revision)


def test_unknown_names_say_what_exists(registry: Registry) -> None:
    serve(registry, "call")
    with pytest.raises(NotFound, match="no function 'cal'; there are: call"):
        registry.function_revisions("1", "cal")
    with pytest.raises(NotFound, match="no alias 'prod'; there are: call"):
        registry.alias("1", "prod")


@pytest.mark.parametrize("alias", ["Call", "-call", "a b", "x" * 62, "", "ü"])
def test_a_bad_alias_is_refused_with_the_rule(registry: Registry, alias: str) -> None:
    with pytest.raises(InvalidName):
        registry.check_serve("1", alias, None)


@pytest.mark.parametrize("nickname", ["", " ", "x" * 65, "a\nb", " ada", "ada\t", "a\x1b[31m"])
def test_a_nickname_is_a_line_of_a_list(registry: Registry, nickname: str) -> None:
    with pytest.raises(InvalidName, match="nickname"):
        registry.add_user(nickname)


def test_a_taken_nickname_is_refused(registry: Registry) -> None:
    with pytest.raises(Conflict, match="'ada'"):
        registry.add_user("ada")
