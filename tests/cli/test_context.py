"""Contexts: added, chosen, listed; none of it needs a backend."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from cli.conftest import Program
from running import RunningBackend


def test_a_context_is_added_chosen_and_listed(alone: Program, tmp_path: Path) -> None:
    url = "http://fal.example:3250"
    added = alone("context", "add", "prod", url + "/", "--key", "id:secret", "--readonly")
    assert added.out == f"Added context 'prod' ({url}).\n"
    assert alone("context", "use", "prod").out == "Using context 'prod'.\n"
    listed = alone("context", "list")
    assert listed.lines[0].split() == ["Context", "URL", "User", "Key", "Protected", "Readonly"]
    assert listed.lines[2].split() == ["*", "prod", url, "id", "no", "yes"]
    assert "secret" not in listed.out + alone("context", "list", "--json").out
    credentials = tmp_path / "home" / "credentials.toml"
    assert credentials.stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(credentials.read_text())["contexts"]["prod"]["key"] == "id:secret"


def test_a_second_add_changes_what_it_says_and_nothing_else(alone: Program, tmp_path: Path) -> None:
    url, ca = "http://fal.example", tmp_path / "ca.pem"
    ca.touch()
    said = ("--key", "id:secret", "--user-id", "7", "--ca", str(ca), "--protected", "--readonly")
    alone("context", "add", "prod", url, *said)

    def changed(*options: str) -> dict[str, object]:
        ran = alone("context", "add", "prod", url, *options)
        assert (ran.code, ran.out) == (0, f"Changed context 'prod' ({url}).\n")
        return json.loads(alone("context", "list", "--json").out)[1]

    first = changed()
    assert first["protected"] and first["readonly"]
    assert (first["user_id"], first["key_id"]) == ("7", "id")
    assert changed("--no-readonly") == first | {"readonly": False}
    assert changed("--no-protected") == first | {"readonly": False, "protected": False}
    assert changed("--readonly") == first | {"protected": False}
    other = changed("--key", "other:secret")
    assert (other["user_id"], other["key_id"]) == ("", "other")
    config = tomllib.loads((tmp_path / "home" / "config.toml").read_text())
    assert config["contexts"]["prod"]["ca"] == str(ca)


def test_a_key_goes_to_no_other_host(alone: Program, tmp_path: Path) -> None:
    alone("context", "add", "prod", "http://fal.example", "--key", "id:secret", "--user-id", "7")
    alone("context", "add", "prod", "https://FAL.example:444/at")
    ran = alone("context", "add", "prod", "https://other.example")
    assert (ran.code, ran.out) == (0, "Changed context 'prod' (https://other.example).\n")
    assert ran.err == "Note: its key was for fal.example; --key ID:SECRET says one for this host\n"
    assert "secret" not in (tmp_path / "home" / "credentials.toml").read_text()
    (_, made) = json.loads(alone("context", "list", "--json").out)
    assert (made["user_id"], made["key_id"]) == ("", "")


def test_comments_of_the_config_file_stay(alone: Program, tmp_path: Path) -> None:
    config = tmp_path / "home" / "config.toml"
    config.parent.mkdir()
    config.write_text("# mine\nport = 4000 # taken: 3250\n")
    alone("context", "add", "prod", "http://fal.example")
    alone("context", "use", "prod")
    assert "# mine\nport = 4000 # taken: 3250\n" in config.read_text()
    assert tomllib.loads(config.read_text())["context"] == "prod"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("local", "http://a"), "'local' is the embedded backend"),
        (("a b", "http://a"), "context name 'a b'"),
        (("a", "ftp://a"), "url 'ftp://a' must look like"),
        (("a", "http://a", "--key", "x"), "a key looks like id:secret"),
    ],
)
def test_what_cannot_be_a_context_is_refused(
    alone: Program, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    ran = alone("context", "add", *args)
    assert ran.code == 1 and ran.err.startswith("Error: ") and said in ran.err
    assert not (tmp_path / "home" / "config.toml").exists()


def test_an_unknown_context_names_those_that_exist(alone: Program) -> None:
    for args in (("context", "use", "x"), ("--context", "x", "function", "list")):
        ran = alone(*args)
        assert (ran.code, ran.err) == (5, "Error: no context 'x'; there are: local\n")


def test_a_context_is_forgotten_with_its_key_and_nothing_else(
    alone: Program, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("# mine\nport = 4000\n")
    for name in ("prod", "staging"):
        alone("context", "add", name, "http://fal.example", "--key", f"{name}:secret")
    alone("context", "use", "prod")
    ran = alone("context", "delete", "prod")
    assert (ran.code, ran.out) == (0, "Deleted context 'prod'.\n")
    assert ran.err == "It was the one in use; now it is 'local'.\n"
    assert alone("context", "delete", "prod").code == 5
    config, secrets = (home / "config.toml").read_text(), (home / "credentials.toml").read_text()
    assert config.startswith("# mine\nport = 4000\n") and "prod" not in config + secrets
    assert "staging" in config and "staging:secret" in secrets
    assert (home / "credentials.toml").stat().st_mode & 0o777 == 0o600
    assert "always known" in alone("context", "delete", "local").err


def test_a_mistyped_setting_is_noted_beside_what_was_asked(alone: Program, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text("prot = 1\n")
    ran = alone("context", "list", "--json")
    assert ran.code == 0 and json.loads(ran.out)
    assert ran.err.startswith("Note: config.toml has 'prot'") and ran.err.count("\n") == 1


def test_json_of_the_list(alone: Program) -> None:
    assert json.loads(alone("context", "list", "--json").out)[0]["name"] == "local"


def test_an_unreachable_context_is_one_line_and_code_3(alone: Program, tmp_path: Path) -> None:
    alone("context", "add", "gone", "http://127.0.0.1:9")
    for args in (("function", "list"), ("function", "logs", "-f"), ("backend", "status")):
        ran = alone("--context", "gone", *args)
        assert (ran.code, ran.out) == (3, "")
        assert ran.err == "Error: no backend answers at http://127.0.0.1:9\n"
    assert not (tmp_path / "home" / "state").exists()


def test_a_readonly_context_refuses_changes_before_anything_is_sent(alone: Program) -> None:
    alone("context", "add", "ro", "http://127.0.0.1:9", "--readonly")
    ran = alone("--context", "ro", "alias", "delete", "call")
    assert ran.code == 4 and "read-only" in ran.err


def test_a_context_without_a_key_is_told_how_it_gets_one(
    backend: RunningBackend, alone: Program
) -> None:
    alone("context", "add", "keyless", backend.url)
    for args in (("function", "list"), ("function", "logs", "-f")):
        ran = alone("--context", "keyless", *args)
        assert ran.code == 4 and ran.err.startswith(f"Error: no key for {backend.url} is known")
    ran = alone("--context", "keyless", "--key", "a:b", "function", "list")
    assert ran.code == 4 and "key 'a…' is unknown" in ran.err
