"""What the command line would be for what was just done: it teaches, and can be pasted. Pure."""

from __future__ import annotations

import shlex

from fal_serverless.config import LOCAL
from fal_serverless.endpoint import CURL_KEY, curl_line
from fal_serverless.models import AuthMode


def command(context: str, *words: str) -> str:
    """`fal-serverless …`, quoted for a shell; the embedded backend needs no `--context`."""
    where = () if context == LOCAL else ("--context", context)
    return shlex.join(("fal-serverless", *where, *words))


def rollback(context: str, alias: str, revision: str) -> str:
    return command(context, "function", "rollback", alias, revision)


def set_alias(context: str, alias: str, revision: str) -> str:
    return command(context, "alias", "set", alias, revision)


def set_auth(context: str, label: str, mode: AuthMode) -> str:
    return command(context, "function", "auth", label, mode)


def serve(
    context: str,
    file: str,
    name: str,
    alias: str | None = None,
    auth: AuthMode | None = None,
    message: str = "",
    *,
    from_source: bool = False,
) -> str:
    words = ["function", "serve", file, name]
    for option, value in (("--alias", alias), ("--auth", auth), ("--message", message)):
        words += [option, value] if value else []
    return command(context, *words, *(("--from-source",) if from_source else ()))


def invoke(context: str, target: str, method: str, data: str, kind: str = "") -> str:
    """`data` as `-d` takes it, '' for no body; `kind` is its type where that is not JSON."""
    words = ["function", "invoke", target]
    words += ["-X", method] if method != "POST" else []
    words += ["-H", f"Content-Type: {kind}"] if kind else []
    words += ["-d", data] if data else []
    return command(context, *words)


def curl(url: str, public: bool, data: str | None = None, ca: str = "") -> str:
    """A call that works where `*.localhost` resolves; the key comes from the shell's variables."""
    parts = []
    if not public:
        parts.append(CURL_KEY)
    if data is not None:
        parts += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(data)}"]
    return curl_line(*parts, shlex.quote(f"{url}/"), ca=ca)
