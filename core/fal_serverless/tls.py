"""Which certificates does a client believe? More than this machine does, or just one."""

from __future__ import annotations

import ssl

from fal_serverless.errors import InvalidSetting


def trusting(ca_file: str) -> ssl.SSLContext:
    """Certificates that this machine trusts, or those in the file, vouch for the backend's.

    Raises InvalidSetting.
    """
    context = ssl.create_default_context()
    _load(context, ca_file)
    return context


def pinned(certificate: str) -> ssl.SSLContext:
    """The backend has just this certificate, whatever name it is called by here.

    For the embedded backend, whose file is at hand, and which is reached by its address. Raises
    InvalidSetting.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # What vouches for it need not be known here.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    _load(context, certificate)
    return context


def _load(context: ssl.SSLContext, file: str) -> None:
    try:
        context.load_verify_locations(file)
    except (OSError, ssl.SSLError) as exc:
        raise InvalidSetting(f"no certificates can be read from {file}: {exc}") from exc
