"""All of it, read at once and handed inward."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fal_serverless.config.commands import Command, commands_of, keymap_of
from fal_serverless.config.contexts import Context, contexts_of
from fal_serverless.config.environ import key_of
from fal_serverless.config.folders import Paths, find_paths
from fal_serverless.config.settings import Settings, settings_of, unknown_in
from fal_serverless.config.toml import edit_toml, read_toml
from fal_serverless.errors import NotFound


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
    unknown: tuple[str, ...] = ()
    """What in the config file is no setting, in words."""

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
        chosen = key or key_of(self.environ) or found.key
        return replace(found, key=chosen)


def load(environ: Mapping[str, str] | None = None) -> Config:
    """Read everything. Raises InvalidSetting with the name and place of what does not fit."""
    env = os.environ if environ is None else environ
    paths = find_paths(env)
    data = read_toml(paths.config)
    secrets = read_toml(paths.credentials)
    is_moved = paths.own_credentials != paths.credentials
    own = read_toml(paths.own_credentials) if is_moved else secrets
    return Config(
        settings_of(data, env),
        paths,
        contexts_of(data, secrets, own),
        dict(env),
        keymap_of(data),
        commands_of(data),
        unknown_in(data),
    )


def save_setting(paths: Paths, name: str, value: Any) -> None:
    """Write one setting to the config file; comments and order stay."""
    edit_toml(paths.config, (), {name: value})
