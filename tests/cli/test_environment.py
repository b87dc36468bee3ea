"""`environment`: what is listed, shown, pruned, and what is asked before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles import HEAD, Write
from cli.conftest import Program, Ran, run_here
from fal_serverless.cli.environment import described, human
from fal_serverless.models import Pruned
from running import StartBackend

APP = HEAD + "@isolated(serve=True, requirements=['iniconfig'])\ndef f():\n    return 1\n"


@pytest.fixture(scope="module")
def own(backends: StartBackend) -> Iterator[Program]:
    """The program, on a backend whose environments are this file's only."""
    one = backends()
    yield lambda *args, **options: run_here(one.env, *args, **options)
    one.stop()


@pytest.fixture
def served(own: Program, write: Write) -> Iterator[str]:
    """The key of the environment of a revision."""
    path: Path = write(APP)
    ran = own("function", "serve", path, "f", "--alias", "call", "--json")
    assert ran.code == 0, ran.err
    yield json.loads(ran.out)["revision"]["environment"]
    own("function", "delete", "call", "--yes")
    own("environment", "prune", "--yes")


def keys(ran: Ran) -> list[str]:
    return [one["key"] for one in json.loads(ran.out)]


def test_list_for_people_and_for_programs(own: Program, served: str) -> None:
    listed = own("environment", "list")
    assert listed.lines[0].split() == [
        "Environment", "Python", "Requirements", "Size", "Revisions", "State", "Last", "used",
    ]  # fmt: skip
    row = listed.lines[1].split("  ")
    assert row[0] == served[:12]
    assert re.search(r"  iniconfig +[\d.]+ [KM]iB +1 +in use  ", listed.lines[1])
    for name in ("env", "environments", "environment"):
        assert keys(own(name, "list", "--json")) == [served]


def test_show_by_the_beginning_of_its_key(own: Program, served: str) -> None:
    shown = own("env", "show", served[:6])
    assert shown.lines[0] == f"Environment:   {served}"
    assert re.search(r"^Requirements: +iniconfig$", shown.out, re.M)
    assert re.search(r"^State: +in use$", shown.out, re.M)
    assert json.loads(own("env", "show", served, "--json").out)["complete"] is True
    missing = own("env", "show", "feedface")
    assert missing.code == 5 and missing.err.startswith("Error: no environment 'feedface'")


def test_one_in_use_is_neither_pruned_nor_deleted(own: Program, served: str) -> None:
    ran = own("env", "prune", "--yes")
    assert (ran.code, ran.out, ran.err) == (0, "", "Nothing to remove.\n")
    refused = own("env", "delete", served, "--yes")
    assert refused.code == 1
    assert re.match(rf"Error: 1 revision uses environment '{served}'", refused.err)
    assert keys(own("env", "list", "--json")) == [served]


def test_prune_says_what_would_go_asks_and_does_it(own: Program, served: str) -> None:
    assert own("function", "delete", "call", "--yes").code == 0
    old = own("env", "prune", "--older-than", "1h", "--yes")
    assert old.err == "Nothing to remove.\n"
    planned = own("env", "prune", "--dry-run")
    assert served[:12] in planned.out
    assert planned.lines[-1].startswith("Would remove 1 environment: ")
    refused = own("env", "prune")
    assert refused.code == 2 and "--yes" in refused.err
    assert keys(own("env", "list", "--json")) == [served]
    done = own("env", "prune", "--yes")
    assert re.fullmatch(r"Removed 1 environment: [\d.]+ [KM]?i?B freed\.\n", done.out)
    assert keys(own("env", "list", "--json")) == []


def test_prune_and_delete_for_programs(own: Program, served: str) -> None:
    own("function", "delete", "call", "--yes")
    plan = json.loads(own("env", "prune", "--dry-run", "--json").out)
    assert plan["dry_run"] is True and plan["environments"][0]["key"] == served
    assert own("env", "delete", served).code == 2
    gone = own("env", "delete", served[:8], "--yes")
    assert gone.out.startswith(f"Deleted environment '{served}': ")
    assert json.loads(own("env", "prune", "--yes", "--json").out)["environments"] == []


def test_wrong_ages_are_told(own: Program) -> None:
    ran = own("env", "prune", "--older-than", "soon")
    assert ran.code == 2 and "'soon'" in ran.err


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (25 * 1024**2, "25.0 MiB"),
     (1023 * 1024, "1.0 MiB"), (3 * 1024**3, "3.0 GiB"), (2 * 1024**4, "2.0 TiB")],
)  # fmt: skip
def test_sizes_for_people(size: int, text: str) -> None:
    assert human(size) == text


def test_what_was_pruned_in_words() -> None:
    assert described(Pruned((), 1, 0)) == "1 leftover"
    assert described(Pruned((), 3, 0)) == "3 leftovers"
