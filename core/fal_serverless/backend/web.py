"""uvicorn as every process of ours that answers HTTP has it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from fal_serverless.backend.gateway.protocol import Connection
from fal_serverless.backend.gateway.tunnel import Tunnel
from fal_serverless.config import Settings


class NoCutAnswers(logging.Filter):
    """An answer that had to be cut short is told in the endpoint's log, not in the backend's."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], ConnectionAbortedError))


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: it would raise the signal again before we clean up."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def uvicorn_config(app: Any, http: type[Connection], settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=http,
        ws=Tunnel,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ssl_certfile=settings.tls_cert or None,
        ssl_keyfile=settings.tls_key or None,
        timeout_graceful_shutdown=max(1, round(settings.drain_timeout)),
    )
