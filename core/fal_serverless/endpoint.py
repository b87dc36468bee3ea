"""Host, URL or path <-> (user, label). Pure: no look-ups, no I/O.

An endpoint is reached as `http://<user>-<label>.gateway.<domain>[:port]/…` or, for clients that do
not resolve `*.localhost`, as `http://<host>:<port>/<user>/<label>/…`. The label is an alias or a
revision's id; user ids are digits only, so the first `-` splits a host unambiguously.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from shlex import quote
from urllib.parse import urlsplit

from fal_serverless.errors import InvalidName

MAX_HOST_LABEL = 63
"""Octets in one label of a host name: RFC 1035, section 2.3.4."""

CURL_KEY = '-H "Authorization: Key $FAL_KEY_ID:$FAL_KEY_SECRET"'
"""Words of a curl line that bring the key, from variables of the shell."""


def curl_line(*words: str, ca: str = "") -> str:
    """A curl line; `ca` is the file that vouches for the certificate of what it calls, if any."""
    return " ".join(["curl", *([f"--cacert {quote(ca)}"] if ca else []), *words])


ALIAS_RULE = "lower-case letters, digits, '-' and '_', starting with a letter or digit"

ALIAS = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""`ALIAS_RULE`, for machines."""
_HOST = re.compile(r"([0-9]+)-([a-z0-9][a-z0-9_-]*)\.gateway\.(.+)", re.IGNORECASE)
_PATH = re.compile(r"/([0-9]+)/([A-Za-z0-9][A-Za-z0-9_-]*)(/.*)?", re.DOTALL)
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""The form of our ids, of revisions and of keys (RFC 9562, 5.4), in lower case."""


@dataclass(frozen=True)
class Target:
    """Who is called: one user's alias or revision."""

    user: str
    """User id, digits."""
    label: str
    """An alias, or a revision's id."""
    path: str = "/"
    """What is left for the function; starts with `/`, percent-encoding untouched."""
    prefix: str = ""
    """What was taken off the path, as in `/1/call`; empty in the host form."""


def is_revision_id(label: str) -> bool:
    """Whether it has the form of a revision's id (UUID4, lower case)."""
    return UUID4.fullmatch(label) is not None


def check_alias(alias: str, user: str) -> str:
    """The alias itself; InvalidName with the rule otherwise."""
    if not ALIAS.fullmatch(alias):
        raise InvalidName(f"alias {alias!r} is not allowed: use {ALIAS_RULE}", alias=alias)
    if is_revision_id(alias):
        raise InvalidName(f"alias {alias!r} has the form of a revision's id", alias=alias)
    longest = MAX_HOST_LABEL - len(user) - 1
    if len(alias) > longest:
        raise InvalidName(
            f"alias {alias!r} has {len(alias)} characters; at most {longest} fit into the "
            f"host name {user}-<alias>",
            alias=alias,
        )
    return alias


def host(user: str, label: str, domain: str) -> str:
    """`1-call.gateway.localhost`."""
    return f"{user}-{label}.gateway.{domain}"


def url(user: str, label: str, domain: str, port: int, scheme: str = "http") -> str:
    """The address people are shown; a scheme's own port is left out."""
    shown = "" if port == {"http": 80, "https": 443}.get(scheme) else f":{port}"
    return f"{scheme}://{host(user, label, domain)}{shown}"


def path_url(base: str, user: str, label: str) -> str:
    """The path form below a backend's base URL, without a final slash."""
    return f"{base.rstrip('/')}/{user}/{label}"


def parse_host(value: str, domain: str) -> Target | None:
    """The target named by a Host header (port allowed); None when it is not one of ours."""
    name = value.strip()
    if not name.endswith("]"):
        head, colon, port = name.rpartition(":")
        if colon and port.isdigit():
            name = head
    match = _HOST.fullmatch(name.rstrip("."))
    if match is None or match[3].lower() != domain.lower():
        return None
    return Target(user=match[1], label=match[2].lower())


def parse_path(path: str) -> Target | None:
    """The target named by `/<user>/<label>/…`; None when the path has another form."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    user, label = match[1], match[2]
    return Target(user, label.lower(), match[3] or "/", f"/{user}/{label}")


def parse_label(value: str) -> str:
    """The label in what a person typed: a URL (scheme and port optional), `user/label`, or a label.

    Raises InvalidName for anything that cannot name an endpoint.
    """
    return parse_target(value).label


def parse_target(value: str) -> Target:
    """Who and what a person typed: a URL, `user/label/path` or `label/path`, queries included.

    `user` is '' when it was not said. Raises InvalidName for anything that names no endpoint.
    """
    text = value.strip()
    try:
        split = urlsplit(text if "//" in text else f"//{text}")
    except ValueError:  # a bracket without its other one
        raise _nowhere(value) from None
    query = f"?{split.query}" if split.query else ""
    by_host = _any_host(split.netloc)
    if by_host is not None:
        return replace(by_host, path=(split.path or "/") + query)
    for path in (split.path, "/" + text.partition("?")[0].strip("/")):
        target = parse_path(path)
        if target is not None:
            return replace(target, path=target.path + query)
    label, _, rest = text.partition("?")[0].partition("/")
    if ALIAS.fullmatch(label):
        return Target("", label, f"/{rest}{query}")
    raise _nowhere(value)


def _nowhere(value: str) -> InvalidName:
    return InvalidName(
        f"{value!r} names no endpoint; give a label like 'call' "
        "or a URL like http://1-call.gateway.localhost:3250"
    )


def _any_host(value: str) -> Target | None:
    """Like `parse_host`, whatever the domain."""
    match = _HOST.fullmatch(re.sub(r":\d+$", "", value.rpartition("@")[2]))
    return Target(match[1], match[2].lower()) if match else None
