"""What stands between callers and us: other machines, TLS, proxies that speak for callers."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from fal_serverless.config import Settings
from fal_serverless.errors import InvalidSetting

KNOWN_ADDRESSES = 10_000
"""Addresses remembered with whether they are trusted."""

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def check(settings: Settings) -> None:
    """Raises InvalidSetting for what would not work, or would send keys in the clear."""
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise InvalidSetting("tls_cert and tls_key go together; one of them is missing")
    if settings.tls_cert:
        _check_certificate(settings)
        if settings.gateways > 1:
            raise InvalidSetting(
                "several gateways speak no TLS; let a reverse proxy do it, or set gateways to 1"
            )
    elif not settings.insecure and not is_loopback(settings.host):
        raise InvalidSetting(
            f"without TLS, keys would be readable on their way to {settings.host}; give --tls-cert "
            "and --tls-key, or listen on 127.0.0.1 behind a reverse proxy that speaks TLS, or say "
            "--insecure"
        )
    Proxies(settings.trusted_proxies)
    public = urlsplit(settings.public_url)
    if settings.public_url and not (public.scheme in ("http", "https") and public.hostname):
        raise InvalidSetting(f"public_url must be like https://host, not {settings.public_url!r}")


def _check_certificate(settings: Settings) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except ssl.SSLError as exc:
        raise InvalidSetting(
            f"{settings.tls_cert} and {settings.tls_key} are no certificate and key in PEM that "
            f"belong together: {exc.reason or exc}"
        ) from exc
    except OSError as exc:
        raise InvalidSetting(
            f"tls_cert {settings.tls_cert} or tls_key {settings.tls_key} cannot be read: "
            f"{exc.strerror}"
        ) from exc


def scheme(settings: Settings) -> str:
    """Of what we listen for."""
    return "https" if settings.tls_cert else "http"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    name = host.strip("[]")
    return is_address(name) and ipaddress.ip_address(name).is_loopback


class Proxies:
    """Those whose `X-Forwarded-*` are believed."""

    def __init__(self, listed: str) -> None:
        """Addresses and networks, with commas between them. Raises InvalidSetting."""
        self._networks: list[_Network] = []
        for part in listed.split(","):
            if part.strip():
                self._networks.append(_network(part.strip()))
        self._known: dict[str, bool] = {}

    def trusts(self, address: str) -> bool:
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= KNOWN_ADDRESSES:
                self._known.clear()
            found = self._known[address] = self._is_listed(address)
        return found

    def caller(self, address: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Who asks: the last address that no trusted proxy of ours is at."""
        said = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        before = [part.strip() for part in said.decode("latin-1").split(",")]
        while before and is_address(before[-1]) and self.trusts(address):
            address = before.pop()
        return address

    def _is_listed(self, address: str) -> bool:
        if not is_address(address):
            return False
        found = ipaddress.ip_address(address)
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._networks)


def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _network(text: str) -> _Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise InvalidSetting(
            f"trusted_proxies must be addresses or networks like 10.0.0.0/8, not {text!r}"
        ) from exc
