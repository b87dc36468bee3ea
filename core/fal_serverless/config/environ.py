"""Environment variables: the keys in them, and what our children see of them."""

from __future__ import annotations

import os
from collections.abc import Mapping

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


def key_of(environ: Mapping[str, str]) -> str:
    """The key that the environment names as `id:secret`; '' for none."""
    whole, key_id, secret = (environ.get(name) for name in KEY_NAMES)
    if whole:
        return whole
    return f"{key_id}:{secret}" if key_id and secret else ""
