"""Settings, contexts, credentials and paths: the one door for environment variables and files.

Everything is under platformdirs' folders for `fal-serverless`, or below `FAL_SERVERLESS_HOME`:
`config.toml` (written with its comments kept), `credentials.toml` (0600), `state/`, `cache/`.
A setting is looked up as `FAL_SERVERLESS_<NAME>`, then in `config.toml`, then in `Settings`.
Others import from here, not from the files.
"""

from __future__ import annotations

from fal_serverless.config.commands import Command
from fal_serverless.config.configuration import Config, load, save_setting
from fal_serverless.config.contexts import (
    Context,
    chosen_context,
    forget_context,
    forget_key,
    save_context,
)
from fal_serverless.config.environ import (
    KEY_NAMES,
    backend_environ,
    build_environ,
    forget_keys,
    function_environ,
    process_environ,
)
from fal_serverless.config.folders import Paths, find_paths, make_private, using_state, write_whole
from fal_serverless.config.names import APP, LOCAL, PREFIX
from fal_serverless.config.programs import (
    editor_command,
    git_command,
    in_browser,
    inside_tmux,
    pager_command,
    this_python,
)
from fal_serverless.config.settings import CHOICES, Settings

__all__ = [
    "APP",
    "CHOICES",
    "KEY_NAMES",
    "LOCAL",
    "PREFIX",
    "Command",
    "Config",
    "Context",
    "Paths",
    "Settings",
    "backend_environ",
    "build_environ",
    "chosen_context",
    "editor_command",
    "find_paths",
    "forget_context",
    "forget_key",
    "forget_keys",
    "function_environ",
    "git_command",
    "in_browser",
    "inside_tmux",
    "load",
    "make_private",
    "pager_command",
    "process_environ",
    "save_context",
    "save_setting",
    "this_python",
    "using_state",
    "write_whole",
]
