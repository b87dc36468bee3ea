from __future__ import annotations

import json

from cli.conftest import Program


def test_lists_changes_newest_first(program: Program) -> None:
    program("key", "generate", "--alias", "for the audit")
    shown = program("audit", "list", "-n", "1")
    assert shown.code == 0
    heading, line = shown.lines
    assert heading.split() == [
        "When",
        "By",
        "From",
        "Action",
        "Subject",
        "Before",
        "After",
        "Message",
    ]
    assert "127.0.0.1" in line and "key generate" in line and "for the audit" in line


def test_json_has_the_whole_entry(program: Program) -> None:
    program("key", "generate", "--scope", "ADMIN", "--alias", "whole")
    (entry,) = json.loads(program("audit", "list", "--lines", "1", "--json").out)
    assert (entry["action"], entry["after"], entry["message"]) == ("key generate", "ADMIN", "whole")
    assert entry["key"] and entry["at"].endswith("Z")
