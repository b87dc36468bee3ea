"""Settings, contexts, credentials, paths: which place wins, and what is said of wrong ones."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import pytest

from fal_serverless import config
from fal_serverless.config import Config, Context, Settings
from fal_serverless.errors import InvalidSetting, NotFound, StateFailed


def load(home: Path, **environ: str) -> Config:
    return config.load({"FAL_SERVERLESS_HOME": str(home), **environ})


def put(home: Path, text: str, name: str = "config.toml") -> Path:
    home.mkdir(exist_ok=True)
    (home / name).write_text(text)
    return home


def test_without_anything_settings_are_their_defaults(tmp_path: Path) -> None:
    found = load(tmp_path)
    assert found.settings == Settings()
    assert found.contexts == {"local": Context("local", "")}
    assert not list(tmp_path.iterdir())


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    put(tmp_path, 'port = 4000\ndomain = "example.test"\n')
    found = load(tmp_path, FAL_SERVERLESS_PORT="5000").settings
    assert (found.port, found.domain) == (5000, "example.test")


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_read_from_file_and_environment(
    tmp_path: Path, field: dataclasses.Field[object]
) -> None:
    word = config.CHOICES.get(field.name, ("text",))[-1]
    values = {"str": word, "int": "7", "float": "7.5", "bool": "yes"}
    text = values[str(field.type)]
    expected = {"str": word, "int": 7, "float": 7.5, "bool": True}[str(field.type)]
    by_environment = load(tmp_path, **{f"FAL_SERVERLESS_{field.name.upper()}": text}).settings
    assert getattr(by_environment, field.name) == expected
    written = f'"{text}"' if isinstance(expected, str) else str(expected).lower()
    by_file = load(put(tmp_path, f"{field.name} = {written}\n")).settings
    assert getattr(by_file, field.name) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PORT", "many"),
        ("PORT", "65536"),
        ("DRAIN_TIMEOUT", "x"),
        ("LOG_MAX_DAYS", ""),
        ("LOG_OVERFLOW", "lose"),
        ("METRICS_PUBLIC", "maybe"),
    ],
)
def test_a_wrong_value_names_setting_and_place(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=rf"{name.lower()} must be .*FAL_SERVERLESS_{name}"):
        load(tmp_path, **{f"FAL_SERVERLESS_{name}": text})


def test_a_name_that_is_no_setting_is_told_and_not_an_error(tmp_path: Path) -> None:
    text = (
        "prot = 1\nwhatever = 2\nport = 3\n[contexts.a]\nurl = 'http://a'\n[keymap]\n[commands]\n"
    )
    read = load(put(tmp_path, text))
    assert read.settings.port == 3
    assert read.unknown == (
        "config.toml has 'prot', which is no setting; did you mean 'port'?",
        "config.toml has 'whatever', which is no setting",
    )


@pytest.mark.parametrize(
    ("name", "text", "meant"),
    [("PORT", "x", "a whole number"), ("KEY_RATE", "x", "a number")],
)
def test_a_wrong_value_is_told_what_is_meant(
    tmp_path: Path, name: str, text: str, meant: str
) -> None:
    with pytest.raises(InvalidSetting, match=f"must be {meant}, not 'x'"):
        load(tmp_path, **{f"FAL_SERVERLESS_{name}": text})


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=r"config\.toml is not valid TOML"):
        load(put(tmp_path, "port =\n"))


@pytest.mark.parametrize("text", ["contexts = 3\n", "port = []\n"])
def test_a_value_of_another_kind_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"must be .*in config\.toml"):
        load(put(tmp_path, text))


@pytest.mark.parametrize("text", ["contexts = 3\n", "[contexts]\nlocal = 3\n"])
def test_credentials_that_are_none_are_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"must be .*in credentials\.toml"):
        load(put(tmp_path, text, "credentials.toml"))


@pytest.mark.parametrize("entry", ["", "url = 3", 'url = "ftp://x"'])
def test_a_context_needs_an_http_url(tmp_path: Path, entry: str) -> None:
    with pytest.raises(InvalidSetting, match="context 'prod'"):
        load(put(tmp_path, f"[contexts.prod]\n{entry}\n"))


@pytest.fixture
def prod(tmp_path: Path) -> Path:
    """A home whose context `prod` has a key of its own."""
    context = Context("prod", "http://fal.example", "7", "own:key", protected=True)
    config.save_context(load(tmp_path).paths, context)
    return tmp_path


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    paths = load(tmp_path / "home").paths
    (tmp_path / "home").write_text("a file where a folder has to be")
    with pytest.raises(StateFailed, match=r"config\.toml cannot be written: "):
        config.save_setting(paths, "theme", "nord")


def test_a_saved_context_comes_back_with_its_key_apart(prod: Path) -> None:
    expected = Context("prod", "http://fal.example", "7", "own:key", protected=True)
    assert load(prod).contexts["prod"] == expected
    assert "own:key" not in (prod / "config.toml").read_text() + repr(load(prod))
    assert stat.S_IMODE((prod / "credentials.toml").stat().st_mode) == 0o600


def test_keys_win_in_their_order(prod: Path) -> None:
    pair = {"FAL_KEY_ID": "pair", "FAL_KEY_SECRET": "x"}
    assert load(prod).context("prod").key == "own:key"
    assert load(prod, **pair).context("prod").key == "pair:x"
    assert load(prod, FAL_KEY="one:x", **pair).context("prod").key == "one:x"
    assert load(prod, FAL_KEY="one:x").context("prod", "given:x").key == "given:x"
    assert load(prod, FAL_KEY_ID="half").context("prod").key == "own:key"


def test_the_embedded_backends_own_credentials_win(tmp_path: Path) -> None:
    put(tmp_path, '[contexts.local]\nkey = "own:key"\nuser_id = "1"\n', "credentials.toml")
    found = load(tmp_path, FAL_KEY="other:x").context("local", "given:x")
    assert (found.key, found.user_id, found.embedded) == ("own:key", "1", True)


def test_the_context_in_use_is_a_setting(prod: Path) -> None:
    assert load(prod).context().name == "local"
    assert config.chosen_context(load(prod).paths) is None
    config.save_setting(load(prod).paths, "context", "prod")
    assert load(prod).context().name == config.chosen_context(load(prod).paths) == "prod"
    assert load(prod, FAL_SERVERLESS_CONTEXT="local").context().name == "local"


def test_an_unknown_context_names_those_that_exist(prod: Path) -> None:
    with pytest.raises(NotFound, match="no context 'x'; there are: local, prod"):
        load(prod).context("x")


def test_comments_and_order_of_the_file_stay(tmp_path: Path) -> None:
    put(tmp_path, "# first\nport = 1 # why\n\n[contexts.a]\nurl = 'http://a'\n")
    config.save_setting(load(tmp_path).paths, "theme", "nord")
    config.save_context(load(tmp_path).paths, Context("b", "http://b"))
    text = (tmp_path / "config.toml").read_text()
    assert text.startswith("# first\nport = 1 # why\n") and text.index("theme") < text.index("[")
    found = load(tmp_path)
    assert found.settings.theme == "nord" and set(found.contexts) == {"local", "a", "b"}


def test_state_can_lie_elsewhere(tmp_path: Path) -> None:
    found = load(tmp_path / "home", FAL_SERVERLESS_STATE=str(tmp_path / "state")).paths
    assert (found.state, found.config.parent) == (tmp_path / "state", tmp_path / "home")


def test_a_moved_state_has_its_own_key_and_leaves_the_others_alone(tmp_path: Path) -> None:
    elsewhere = {"FAL_SERVERLESS_STATE": str(tmp_path / "moved")}
    config.save_context(load(tmp_path).paths, Context("local", "", "1", "here:secret"))
    config.save_context(load(tmp_path).paths, Context("prod", "http://p", "2", "prod:secret"))
    config.save_context(load(tmp_path, **elsewhere).paths, Context("local", "", "1", "there:s"))
    home, moved = load(tmp_path), load(tmp_path, **elsewhere)
    assert [each.context("local").key for each in (home, moved)] == ["here:secret", "there:s"]
    assert home.context("prod").key == moved.context("prod").key == "prod:secret"
    assert (tmp_path / "moved" / "credentials.toml").stat().st_mode & 0o777 == 0o600
    same = load(tmp_path / "a", FAL_SERVERLESS_STATE=str(tmp_path / "a" / "state")).paths
    assert same.own_credentials == same.credentials


def test_without_a_home_the_platforms_folders_are_used() -> None:
    paths = config.find_paths({})
    assert all("fal-serverless" in str(path) for path in (paths.config, paths.state, paths.cache))


def test_a_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    config.write_whole(path, "old", 0o600)
    with pytest.raises(UnicodeEncodeError):
        config.write_whole(path, "new \udcff")
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_functions_see_nothing_of_ours_or_secret() -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "FAL_KEY": "x", "AWS_SECRET": "y", "UV_INDEX": "z"}
    assert config.function_environ(environ) == {"PATH": "/bin", "LC_ALL": "C"}
    assert "UV_INDEX" in config.build_environ(environ) and "FAL_KEY" not in config.build_environ(
        environ
    )


@pytest.mark.parametrize("count", ["0", "65", "-1"])
def test_a_number_of_gateways_that_makes_no_sense_is_refused(tmp_path: Path, count: str) -> None:
    environ = {"FAL_SERVERLESS_HOME": str(tmp_path), "FAL_SERVERLESS_GATEWAYS": count}
    with pytest.raises(InvalidSetting, match=f"gateways must be from 1 to 64, not {count}"):
        config.load(environ)


@pytest.mark.parametrize(
    ("name", "text"),
    [("LOG_MAX_DAYS", "-1"), ("DRAIN_TIMEOUT", "-0.5"), ("REQUEST_TIMEOUT", "nan")],
)
def test_a_size_or_time_below_nothing_is_refused(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=f"{name.lower()} must be 0 or more, not {text}"):
        load(tmp_path, **{f"FAL_SERVERLESS_{name}": text})
