"""Settings, contexts, credentials and paths: the one door for environment variables and files.

Everything is under platformdirs' folders for `fal-serverless`, or below `FAL_SERVERLESS_HOME`:
`config.toml` (written with its comments kept), `credentials.toml` (0600), `state/`, `cache/`.
A setting is looked up as `FAL_SERVERLESS_<NAME>`, then in `config.toml`, then in `Settings`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fal_serverless.errors import InvalidSetting, NotFound, StateFailed

APP = "fal-serverless"
PREFIX = "FAL_SERVERLESS_"
LOCAL = "local"
"""The context of the embedded backend."""


@dataclass(frozen=True)
class Settings:
    """Every setting, with its default. Sizes in bytes, times in seconds."""

    context: str = LOCAL
    """Context in use when none is named."""
    host: str = "127.0.0.1"
    """Address the backend listens on."""
    port: int = 3250
    """Port of gateway and control API."""
    domain: str = "localhost"
    """Endpoints are `<user>-<label>.gateway.<domain>`."""
    public_url: str = ""
    """Where a reverse proxy has the backend, as `https://fal.example.com`: for URLs shown."""
    tls_cert: str = ""
    """File with the certificate, and those that vouch for it, in PEM; with one, HTTPS is spoken."""
    tls_key: str = ""
    """File with its private key."""
    insecure: bool = False
    """Whether other machines may be listened to without TLS."""
    trusted_proxies: str = "127.0.0.0/8,::1"
    """Addresses and networks of proxies whose `X-Forwarded-*` headers are believed."""
    key_rate: float = 0
    """Calls a second that each key may make; 429 above. 0: any number."""
    database_url: str = ""
    """SQLAlchemy URL of the registry; empty: SQLite in the state folder."""
    max_served_body: int = 100 * 1024**2
    """Largest request body of a served function; 413 above."""
    max_exposed_body: int = 1024**3
    """Largest request body of an exposed port; 413 above."""
    max_header_size: int = 64 * 1024
    """Largest request head; 431 above."""
    head_timeout: float = 30
    """How long a client may take to send a request's head; 408 and the end of it above."""
    queue_size: int = 1000
    """Calls that may wait per endpoint; 503 above."""
    request_timeout: float = 3600
    """Longest request; 504 above."""
    startup_timeout: float = 600
    """Longest start of a worker; 504 above."""
    drain_timeout: float = 30
    """How long running calls may finish when a worker or the backend stops."""
    log_max_bytes: int = 1024**3
    """Size of the log store; the oldest lines go first."""
    log_max_days: int = 30
    """Age of the oldest log line."""
    log_overflow: str = "wait"
    """Functions that print faster than the log store writes: wait in print, or drop lines."""
    log_lines: int = 100_000
    """Lines that a log pane of fal-tui keeps."""
    python_downloads: str = "never"
    """Whether uv may fetch a Python that is missing: never, manual, automatic."""
    cgroup: str = ""
    """Cgroup under which workers get theirs, as `/fal`; without one, their memory is watched."""
    gateways: int = 1
    """Processes that take calls on the port; more than one for more than one core."""
    templates: int = 4
    """Environments at most that have a process from which workers are forked; 0: none has."""
    template_keep_alive: float = 3600
    """How long such a process stays when no worker is started in its environment."""
    metrics_public: bool = False
    """Whether `/metrics` needs no key when it is asked from this machine."""
    theme: str = "textual-dark"
    """Theme of fal-tui; `ansi-dark` and `ansi-light` are the terminal's own colours."""
    mouse: bool = True
    """Whether fal-tui takes the mouse; without it, the terminal selects text as ever."""


@dataclass(frozen=True)
class Paths:
    """Where things are. Nothing is made by asking."""

    config: Path
    credentials: Path
    state: Path
    cache: Path

    @property
    def backend(self) -> Path:
        """What the running embedded backend says of itself (JSON)."""
        return self.state / "backend.json"

    @property
    def backend_log(self) -> Path:
        return self.state / "backend.log"


@dataclass(frozen=True)
class Context:
    """A backend to talk to, and as whom."""

    name: str
    url: str
    """Base URL; '' for the embedded backend, whose port is known when it runs."""
    user_id: str = ""
    key: str = field(default="", repr=False)
    """`id:secret`."""
    protected: bool = False
    """fal-tui asks for the name to be typed before it changes anything."""
    readonly: bool = False
    """The client refuses every change."""
    ca: str = ""
    """File with certificates that vouch for the backend's, beside those this machine trusts."""

    @property
    def embedded(self) -> bool:
        return self.name == LOCAL


@dataclass(frozen=True)
class Command:
    """A command of the user's own in fal-tui: `[commands.NAME]` in the config file."""

    name: str
    key: str
    """As in `keymap`; '' for none: by palette, help and `:NAME`."""
    run: tuple[str, ...]
    """Its words; `{name}`, `{revision}`, … stand for what the cursor is on."""
    help: str = ""
    confirm: bool = False
    """Asks first."""
    background: bool = False
    """Runs beside fal-tui, not in the terminal."""
    pause: bool = True
    """In the terminal: waits for enter when it is done."""
    changes: bool = False
    """It changes the backend: refused in read-only contexts."""
    screens: tuple[str, ...] = ()
    """Where it is offered; empty: wherever its placeholders have a value."""


@dataclass(frozen=True)
class Config:
    """All that was read, handed inward."""

    settings: Settings
    paths: Paths
    contexts: dict[str, Context]
    environ: Mapping[str, str] = field(repr=False)
    """The environment it was read from; for building a child's environment on purpose."""
    keymap: Mapping[str, str] = field(default_factory=dict)
    """Action of fal-tui -> its keys, where they are not the usual ones; '' for none."""
    commands: tuple[Command, ...] = ()
    """What fal-tui can run beside its own actions."""

    def context(self, name: str | None = None, key: str | None = None) -> Context:
        """The context called `name` (None: the one in use), with the key that wins there.

        Order: for `local` its own credentials; elsewhere `key`, then FAL_KEY, then
        FAL_KEY_ID with FAL_KEY_SECRET, then the context's own. Raises NotFound.
        """
        wanted = name or self.settings.context
        found = self.contexts.get(wanted)
        if found is None:
            have = ", ".join(sorted(self.contexts))
            raise NotFound(f"no context '{wanted}'; there are: {have}", context=wanted)
        if found.embedded:
            return found
        chosen = key or _key_of(self.environ) or found.key
        return replace(found, key=chosen)


def load(environ: Mapping[str, str] | None = None) -> Config:
    """Read everything. Raises InvalidSetting with the name and place of what does not fit."""
    env = os.environ if environ is None else environ
    paths = find_paths(env)
    data = _read_toml(paths.config)
    secrets = _read_toml(paths.credentials)
    return Config(
        _settings(data, env),
        paths,
        _contexts(data, secrets),
        dict(env),
        _keymap(data),
        _commands(data),
    )


def find_paths(environ: Mapping[str, str]) -> Paths:
    home = environ.get(PREFIX + "HOME")
    state = environ.get(PREFIX + "STATE")
    if home:
        root = Path(home).expanduser().absolute()
        config, data, cache = root, root / "state", root / "cache"
    else:
        from platformdirs import PlatformDirs

        dirs = PlatformDirs(APP, appauthor=False)
        config, data, cache = Path(dirs.user_config_dir), dirs.user_state_path, dirs.user_cache_path
    if state:
        data = Path(state).expanduser().absolute()
    return Paths(config / "config.toml", config / "credentials.toml", data, cache)


def make_private(folder: Path) -> Path:
    """The folder, made when missing, readable by its owner only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


@contextmanager
def using_state(state: Path) -> Iterator[None]:
    """What the disk says to it, as an error of ours: raises StateFailed."""
    try:
        yield
    except OSError as exc:
        named = f" ({exc.filename})" if exc.filename else ""
        said = exc.strerror or exc
        raise StateFailed(f"the state folder {state} cannot be used: {said}{named}") from exc


def save_context(paths: Paths, context: Context) -> None:
    """Write a context: its key to the credentials file, the rest to the config file."""
    entry: dict[str, Any] = {"url": context.url}
    if context.user_id:
        entry["user_id"] = context.user_id
    if context.ca:
        entry["ca"] = context.ca
    for flag in ("protected", "readonly"):
        if getattr(context, flag):
            entry[flag] = True
    if not context.embedded:
        _edit_toml(paths.config, ("contexts", context.name), entry)
    if context.key:
        secret = {"key": context.key, "user_id": context.user_id}
        _edit_toml(paths.credentials, ("contexts", context.name), secret, mode=0o600)


def save_setting(paths: Paths, name: str, value: Any) -> None:
    """Write one setting to the config file; comments and order stay."""
    _edit_toml(paths.config, (), {name: value})


def chosen_context(paths: Paths) -> str | None:
    """The context that the config file names; None when it names none."""
    name = _read_toml(paths.config).get("context")
    return name if isinstance(name, str) else None


def _settings(data: dict[str, Any], environ: Mapping[str, str]) -> Settings:
    found: dict[str, Any] = {}
    for item in fields(Settings):
        if item.name in data:
            found[item.name] = _typed(item.name, data[item.name], item.type, "config.toml")
        text = environ.get(PREFIX + item.name.upper())
        if text is not None:
            where = PREFIX + item.name.upper()
            found[item.name] = _typed(item.name, text, item.type, where)
    return Settings(**found)


CHOICES = {"log_overflow": ("wait", "drop")}
"""What a setting may be, where few words are meant."""
RANGES = {"gateways": (1, 64), "port": (0, 65535)}
"""From what to what a number may be, where not every number makes sense."""


def _typed(name: str, value: Any, kind: Any, where: str) -> Any:
    allowed = CHOICES.get(name, (value,))
    if value not in allowed:
        raise InvalidSetting(f"{name} must be {' or '.join(allowed)}, not {value!r} (in {where})")
    try:
        if kind == "int":
            return _in_range(name, int(value), where)
        if kind == "float":
            return float(value)
        if kind == "bool":
            return _truth(value)
        return str(value)
    except (TypeError, ValueError) as exc:
        meant = {"bool": "true or false"}.get(kind, f"a {kind}")
        raise InvalidSetting(f"{name} must be {meant}, not {value!r} (in {where})") from exc


TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""How people write it."""


def _truth(value: Any) -> bool:
    try:
        return TRUTHS[str(value).lower()]
    except KeyError as exc:
        raise ValueError(value) from exc


def _in_range(name: str, value: int, where: str) -> int:
    least, most = RANGES.get(name, (value, value))
    if not least <= value <= most:
        raise InvalidSetting(f"{name} must be from {least} to {most}, not {value} (in {where})")
    return value


def _contexts(data: dict[str, Any], secrets: dict[str, Any]) -> dict[str, Context]:
    contexts = {LOCAL: Context(LOCAL, "")}
    for name, entry in _table(data, "config.toml").items():
        if name != LOCAL:
            contexts[name] = _context(name, entry)
    for name, secret in _table(secrets, "credentials.toml").items():
        if not isinstance(secret, dict):
            raise InvalidSetting(
                f"contexts.{name} must be a table with a key (in credentials.toml)"
            )
        if name in contexts:
            known = contexts[name]
            user = known.user_id or str(secret.get("user_id", ""))
            contexts[name] = replace(known, key=str(secret.get("key", "")), user_id=user)
    return contexts


def _table(data: dict[str, Any], where: str) -> dict[str, Any]:
    found = data.get("contexts", {})
    if not isinstance(found, dict):
        raise InvalidSetting(f"contexts must be tables: [contexts.NAME] (in {where})")
    return found


def _context(name: str, entry: Any) -> Context:
    if not isinstance(entry, dict) or not isinstance(entry.get("url"), str):
        raise InvalidSetting(f"context '{name}' needs a url (in config.toml)")
    url = entry["url"].rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise InvalidSetting(f"context '{name}': url must start with http:// or https://")
    return Context(
        name,
        url,
        user_id=str(entry.get("user_id", "")),
        protected=bool(entry.get("protected", False)),
        readonly=bool(entry.get("readonly", False)),
        ca=str(entry.get("ca", "")),
    )


def _keymap(data: dict[str, Any]) -> dict[str, str]:
    found = data.get("keymap", {})
    if not isinstance(found, dict):
        raise InvalidSetting('keymap must be a table: [keymap], then rollback = "ctrl+b"')
    for name, keys in found.items():
        if not isinstance(keys, str):
            raise InvalidSetting(f"keymap: the keys of '{name}' must be a text, not {keys!r}")
    return dict(found)


def _commands(data: dict[str, Any]) -> tuple[Command, ...]:
    found = data.get("commands", {})
    if not isinstance(found, dict):
        raise InvalidSetting("commands must be tables: [commands.NAME] with run (in config.toml)")
    return tuple(_command(name, entry) for name, entry in found.items())


def _command(name: str, entry: Any) -> Command:
    where = f"commands.{name} (in config.toml)"
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise InvalidSetting(f"{where}: a name has letters, digits, '-' and '_'")
    kinds = {item.name: str(item.type) for item in fields(Command) if item.name != "name"}
    if not isinstance(entry, dict) or not entry.get("run"):
        raise InvalidSetting(f"{where} needs run, as run = 'git show {{revision}}'")
    made: dict[str, Any] = {"key": ""}
    for item, value in entry.items():
        if item not in kinds:
            raise InvalidSetting(f"{where}: no field '{item}'; there are: {', '.join(kinds)}")
        made[item] = _field(where, item, value, kinds[item])
    return Command(name, **made)


def _field(where: str, name: str, value: Any, kind: str) -> Any:
    """Of a command, as the type of its field says. Raises InvalidSetting."""
    if kind.startswith("tuple"):
        words = _words(where, name, value) if isinstance(value, str) else value
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return tuple(words)
        raise InvalidSetting(f"{where}: {name} must be a text or a list of texts")
    if type(value).__name__ != kind:
        raise InvalidSetting(f"{where}: {name} must be a {kind}, not {value!r}")
    return value


def _words(where: str, name: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as exc:
        raise InvalidSetting(f"{where}: {name} has an open quote: {text!r}") from exc


def _key_of(environ: Mapping[str, str]) -> str:
    whole, key_id, secret = (environ.get(name) for name in KEY_NAMES)
    if whole:
        return whole
    return f"{key_id}:{secret}" if key_id and secret else ""


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise InvalidSetting(f"{path} is not valid TOML: {exc}") from exc
    except OSError as exc:
        raise InvalidSetting(f"{path} cannot be read: {exc.strerror}") from exc


def _edit_toml(
    path: Path, table: tuple[str, ...], values: dict[str, Any], mode: int = 0o644
) -> None:
    import tomlkit

    text = path.read_text() if path.exists() else ""
    document = tomlkit.parse(text)
    place: Any = document
    for name in table:
        if name not in place:
            place[name] = tomlkit.table(is_super_table=name == "contexts" and len(table) > 1)
        place = place[name]
    for name, value in values.items():
        place[name] = value
    try:
        write_whole(path, tomlkit.dumps(document), mode)
    except OSError as exc:
        raise StateFailed(f"{path} cannot be written: {exc.strerror or exc}") from exc


def write_whole(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file aside and rename it: a reader sees the old text or the new one, never half."""
    make_private(path.parent)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


CHILD_NAMES = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SHELL",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
    "http_proxy", "https_proxy", "no_proxy", "all_proxy",
    "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME", "HF_HOME", "XDG_CACHE_HOME",
)  # fmt: skip
"""What a user's function may see of the backend's environment; `LC_*` too."""

BUILD_PREFIXES = ("UV_", "PIP_", "SSL_", "LC_", "PYENV_")


def function_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment a worker starts from: allow-listed, so no key or secret of ours is in it."""
    return {k: v for k, v in environ.items() if k in CHILD_NAMES or k.startswith("LC_")}


def build_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment uv runs in: a worker's, and the settings of uv, pip and pyenv."""
    extra = {k: v for k, v in environ.items() if k.startswith(BUILD_PREFIXES)}
    return {**function_environ(environ), **extra}


KEY_NAMES = ("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET")
"""Where people keep a key for programs that call a backend; a backend itself needs none."""


def backend_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment a backend is started in: without keys."""
    return {name: value for name, value in environ.items() if name not in KEY_NAMES}


def forget_keys() -> None:
    """For what this process starts from here on."""
    for name in KEY_NAMES:
        os.environ.pop(name, None)


def process_environ() -> dict[str, str]:
    """A copy of the environment we were started in."""
    return dict(os.environ)


def this_python() -> Path:
    """The interpreter we run in."""
    return Path(sys.executable)


def git_command() -> str | None:
    """Path of git, or None."""
    return shutil.which("git")


def inside_tmux() -> bool:
    """Whether the terminal is one of tmux, which takes some sequences only when wrapped."""
    return bool(os.environ.get("TMUX"))


def in_browser() -> bool:
    """Whether Textual was told to draw for a browser instead of a terminal."""
    return "BrowserDriver" in os.environ.get("TEXTUAL_DRIVER", "")


def editor_command() -> list[str]:
    """What edits files here: $VISUAL, $EDITOR, else vi."""
    wanted = os.environ.get("VISUAL") or os.environ.get("EDITOR", "")
    return shlex.split(wanted) or ["vi"]


def pager_command() -> list[str]:
    """What reads long texts here: $PAGER, else less; less with colours in any case."""
    command = shlex.split(os.environ.get("PAGER", "")) or ["less"]
    return [*command, "-R"] if Path(command[0]).name == "less" else command
