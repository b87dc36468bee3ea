from __future__ import annotations

import base64
from pathlib import Path

import pytest

from fal_serverless.backend import credentials
from fal_serverless.backend.credentials import Credential
from fal_serverless.backend.database import open_database, sqlite_url
from fal_serverless.backend.keys import KeyRing
from fal_serverless.backend.registry import Registry
from fal_serverless.errors import NotAllowed, NotAuthenticated, NotFound

KEY_ID = "6b7a2ccf-52cf-4c42-8d2f-1f0e9a8b7c6d"
OURS = Credential(KEY_ID, "s3cret")


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    engine = open_database(sqlite_url(tmp_path / "r.db"))
    registry = Registry(engine)
    registry.add_user("ada")
    registry.add_user("bob")
    return KeyRing(engine)


def as_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "value",
    [
        f"Key {KEY_ID}:s3cret",
        f"Basic {KEY_ID}:s3cret",
        f"basic {as_base64(f'{KEY_ID}:s3cret')}",
    ],
)
def test_authorization_in_each_form(value: str) -> None:
    found = credentials.find([(b"authorization", value.encode()), (b"accept", b"*/*")], b"")
    assert found.credential == OURS
    assert found.headers == [(b"accept", b"*/*")]


@pytest.mark.parametrize("value", ["Bearer abc", f"Basic {as_base64('admin:pw')}", "Basic %%%"])
def test_a_functions_own_authorization_passes(value: str) -> None:
    headers = [(b"authorization", value.encode())]
    found = credentials.find(headers, b"")
    assert found.credential is None
    assert found.headers == headers


def test_the_header_pair_is_found_and_removed() -> None:
    headers = [(b"x-fal-key-id", KEY_ID.encode()), (b"x-fal-key-secret", b"s3cret")]
    found = credentials.find(headers, b"a=1")
    assert (found.credential, found.headers, found.query) == (OURS, [], b"a=1")


def test_the_query_pair_is_found_and_removed_and_the_rest_stays_as_written() -> None:
    query = f"a=%20b&fal_key_id={KEY_ID}&fal_key_secret=s3cret&c".encode()
    found = credentials.find([], query)
    assert (found.credential, found.query) == (OURS, b"a=%20b&c")


def test_a_generated_key_checks_and_a_wrong_secret_does_not(ring: KeyRing) -> None:
    made = ring.generate("1", "ADMIN")
    assert ring.check(Credential(made.key.id, made.secret)) == made.key
    with pytest.raises(NotAuthenticated):
        ring.check(Credential(made.key.id, made.secret + "x"))
    with pytest.raises(NotAuthenticated):
        ring.check(None)


def test_keys_survive_and_their_secrets_are_not_stored(tmp_path: Path) -> None:
    engine = open_database(sqlite_url(tmp_path / "r.db"))
    Registry(engine).add_user("ada")
    made = KeyRing(engine).generate("1", "API", "laptop")
    again = KeyRing(engine)
    assert again.check(Credential(made.key.id, made.secret)) == made.key
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert made.secret.encode() not in stored


def test_a_revoked_key_is_unknown(ring: KeyRing) -> None:
    made = ring.generate("1", "API")
    with pytest.raises(NotFound):
        ring.revoke("2", made.key.id)
    ring.revoke("1", made.key.id)
    with pytest.raises(NotAuthenticated):
        ring.check(Credential(made.key.id, made.secret))


def test_private_is_for_the_owner_shared_for_any_key_public_for_all(ring: KeyRing) -> None:
    foreign = ring.generate("2", "API")
    credential = Credential(foreign.key.id, foreign.secret)
    with pytest.raises(NotAllowed):
        ring.check_endpoint(credential, "private", "1")
    assert ring.check_endpoint(credential, "shared", "1") == foreign.key
    assert ring.check_endpoint(None, "public", "1") is None
    with pytest.raises(NotAuthenticated):
        ring.check_endpoint(None, "shared", "1")


def test_the_control_api_wants_the_scope_admin(ring: KeyRing) -> None:
    made = ring.generate("1", "API")
    with pytest.raises(NotAllowed, match="ADMIN"):
        ring.check_admin(Credential(made.key.id, made.secret))


def test_a_secret_is_not_in_the_keys_repr(ring: KeyRing) -> None:
    made = ring.generate("1", "API")
    assert made.secret not in repr(made)
