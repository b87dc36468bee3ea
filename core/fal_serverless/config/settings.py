"""Every setting, and how it is read from what people wrote."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from fal_serverless.config.names import LOCAL, PREFIX
from fal_serverless.errors import InvalidSetting, meant

Number = TypeVar("Number", int, float)


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


CHOICES = {"log_overflow": ("wait", "drop")}
"""What a setting may be, where few words are meant."""

RANGES = {"gateways": (1, 64), "port": (0, 65535)}
"""From what to what a number may be; others may be anything but negative."""

TABLES = ("contexts", "keymap", "commands")
"""What else the config file holds."""

TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
"""How people write it."""


def settings_of(data: dict[str, Any], environ: Mapping[str, str]) -> Settings:
    """From the config file's data and the environment, which wins. Raises InvalidSetting."""
    found: dict[str, Any] = {}
    for item in fields(Settings):
        if item.name in data:
            found[item.name] = _typed(item.name, data[item.name], item.type, "config.toml")
        text = environ.get(PREFIX + item.name.upper())
        if text is not None:
            where = PREFIX + item.name.upper()
            found[item.name] = _typed(item.name, text, item.type, where)
    return Settings(**found)


def unknown_in(data: dict[str, Any]) -> tuple[str, ...]:
    """What the config file says and nobody reads, in words: a mistyped name would be obeyed never.

    No error: a newer version may know it.
    """
    names = [item.name for item in fields(Settings)]
    return tuple(
        f"config.toml has '{name}', which is no setting{meant(name, names)}"
        for name in data
        if name not in (*names, *TABLES)
    )


def _typed(name: str, value: Any, kind: Any, where: str) -> Any:
    allowed = CHOICES.get(name, (value,))
    if value not in allowed:
        raise InvalidSetting(f"{name} must be {' or '.join(allowed)}, not {value!r} (in {where})")
    try:
        if kind == "int":
            return _in_range(name, int(value), where)
        if kind == "float":
            return _in_range(name, float(value), where)
        if kind == "bool":
            return _truth(value)
        return str(value)
    except (TypeError, ValueError) as exc:
        meant = {"bool": "true or false", "int": "a whole number"}.get(kind, "a number")
        raise InvalidSetting(f"{name} must be {meant}, not {value!r} (in {where})") from exc


def _truth(value: Any) -> bool:
    try:
        return TRUTHS[str(value).lower()]
    except KeyError as exc:
        raise ValueError(value) from exc


def _in_range(name: str, value: Number, where: str) -> Number:
    least, most = RANGES.get(name, (0, math.inf))
    # No number at all (NaN) is in no range either.
    if not least <= value <= most:
        which = f"from {least} to {most}" if name in RANGES else "0 or more"
        raise InvalidSetting(f"{name} must be {which}, not {value} (in {where})")
    return value
