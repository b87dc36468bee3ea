"""Names of endpoints, as hosts, paths, URLs and what people type."""

from __future__ import annotations

import pytest

from fal_serverless import endpoint
from fal_serverless.endpoint import Target
from fal_serverless.errors import InvalidName

REVISION = "21847a72-93e6-4227-ae6f-56bf3a90142d"


@pytest.mark.parametrize("alias", ["call", "a", "0", "a-b_c", "a--b", "a" * 61])
def test_aliases_within_the_rule_are_themselves(alias: str) -> None:
    assert endpoint.check_alias(alias, "1") == alias


@pytest.mark.parametrize("alias", ["", "-a", "_a", "A", "a.b", "a b", "ä", "a/b", "a\n", REVISION])
def test_aliases_outside_the_rule_are_refused(alias: str) -> None:
    with pytest.raises(InvalidName, match=r"not allowed|form of a revision's id"):
        endpoint.check_alias(alias, "1")


def test_the_whole_host_label_has_at_most_63_characters() -> None:
    assert endpoint.check_alias("a" * 55, "1714827")
    with pytest.raises(InvalidName, match="at most 55 fit"):
        endpoint.check_alias("a" * 56, "1714827")


def test_a_revisions_id_fits_into_a_host_label() -> None:
    assert len(f"{10**25}-{REVISION}") <= endpoint.MAX_HOST_LABEL
    assert endpoint.is_revision_id(REVISION) and not endpoint.is_revision_id(REVISION.upper())


@pytest.mark.parametrize(
    ("scheme", "port", "shown"),
    [("http", 80, ""), ("https", 443, ""), ("http", 443, ":443"), ("http", 3250, ":3250")],
)
def test_urls_leave_out_a_schemes_own_port(scheme: str, port: int, shown: str) -> None:
    made = endpoint.url("1", "call", "localhost", port, scheme)
    assert made == f"{scheme}://1-call.gateway.localhost{shown}"


@pytest.mark.parametrize(
    ("host", "label"),
    [
        ("1-call.gateway.localhost:3250", "call"),
        ("1-call.gateway.localhost", "call"),
        ("1-Call.Gateway.LOCALHOST.", "call"),
        ("1-a-b.gateway.localhost", "a-b"),
        (f"1-{REVISION}.gateway.localhost:1", REVISION),
    ],
)
def test_a_host_of_ours_names_a_target(host: str, label: str) -> None:
    assert endpoint.parse_host(host, "localhost") == Target("1", label)


@pytest.mark.parametrize(
    "host",
    ["", "localhost:3250", "127.0.0.1", "[::1]:3250", "call.gateway.localhost",
     "1-call.gateway.example", "1-.gateway.localhost", "x1-call.gateway.localhost"],
)  # fmt: skip
def test_another_host_names_none(host: str) -> None:
    assert endpoint.parse_host(host, "localhost") is None


@pytest.mark.parametrize(
    ("path", "rest"),
    [("/1/call", "/"), ("/1/call/", "/"), ("/1/call/a%2Fb/c", "/a%2Fb/c"), ("/1/call//x", "//x")],
)
def test_a_path_names_a_target_and_what_is_left(path: str, rest: str) -> None:
    assert endpoint.parse_path(path) == Target("1", "call", rest, "/1/call")


@pytest.mark.parametrize("path", ["/", "/v1/functions", "/1", "/1/", "/x/call", "1/call"])
def test_another_path_names_none(path: str) -> None:
    assert endpoint.parse_path(path) is None


@pytest.mark.parametrize(
    ("typed", "target"),
    [
        ("call", Target("", "call", "/")),
        (" call ", Target("", "call", "/")),
        ("call/a/b?c=d", Target("", "call", "/a/b?c=d")),
        ("1/call", Target("1", "call", "/", "/1/call")),
        ("/1/call/x?y=1", Target("1", "call", "/x?y=1", "/1/call")),
        ("1-call.gateway.localhost", Target("1", "call", "/")),
        ("http://2-call.gateway.fal.ai:80/x/?y=1&z", Target("2", "call", "/x/?y=1&z")),
        ("http://127.0.0.1:3250/1/call/x", Target("1", "call", "/x", "/1/call")),
        (REVISION, Target("", REVISION, "/")),
    ],
)
def test_what_people_type_names_a_target(typed: str, target: Target) -> None:
    assert endpoint.parse_target(typed) == target
    assert endpoint.parse_label(typed) == target.label


@pytest.mark.parametrize(
    "typed", ["", "Über", "http://localhost:3250", "http://a.b/c", "-x", "a b", "http://[bad"]
)
def test_what_names_no_endpoint_is_refused_with_examples(typed: str) -> None:
    with pytest.raises(InvalidName, match=r"names no endpoint; give a label like 'call'"):
        endpoint.parse_target(typed)
