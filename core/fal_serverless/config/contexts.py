"""Contexts: the backends one talks to, as whom, with which key."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from fal_serverless.config.folders import Paths
from fal_serverless.config.names import LOCAL
from fal_serverless.config.toml import drop_toml, edit_toml, read_toml
from fal_serverless.errors import InvalidSetting


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


def contexts_of(
    data: dict[str, Any], secrets: dict[str, Any], own: dict[str, Any]
) -> dict[str, Context]:
    """By name, from the data of the config file and of the credentials files.

    `own` is of the embedded backend alone.
    """
    contexts = {LOCAL: Context(LOCAL, "")}
    for name, entry in _table(data, "config.toml").items():
        if name != LOCAL:
            contexts[name] = _context(name, entry)
    embedded = {name: it for name, it in _table(own, "credentials.toml").items() if name == LOCAL}
    others = {name: it for name, it in _table(secrets, "credentials.toml").items() if name != LOCAL}
    for name, secret in (embedded | others).items():
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


def save_context(paths: Paths, context: Context) -> None:
    """Write a context: its key to the credentials file, the rest to the config file."""
    if not context.embedded:
        written = _table(read_toml(paths.config), "config.toml").get(context.name, {})
        entry: dict[str, Any] = {"url": context.url}
        for name in ("user_id", "ca", "protected", "readonly"):
            value = getattr(context, name)
            if value or name in written:
                entry[name] = value
        edit_toml(paths.config, ("contexts", context.name), entry)
    if context.key:
        secret = {"key": context.key, "user_id": context.user_id}
        file = paths.own_credentials if context.embedded else paths.credentials
        edit_toml(file, ("contexts", context.name), secret, mode=0o600)


def forget_key(paths: Paths, name: str) -> None:
    """Of a context of which all else stays."""
    drop_toml(paths.credentials, ("contexts",), name, mode=0o600)


def forget_context(paths: Paths, name: str) -> None:
    """Take it out of both files: first its key, which must not stay behind alone."""
    forget_key(paths, name)
    drop_toml(paths.config, ("contexts",), name)
    if chosen_context(paths) == name:
        edit_toml(paths.config, (), {"context": LOCAL})


def chosen_context(paths: Paths) -> str | None:
    """The context that the config file names; None when it names none."""
    name = read_toml(paths.config).get("context")
    return name if isinstance(name, str) else None
