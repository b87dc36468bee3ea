"""One backend's wire: requests with our key, good answers, streams of events.

The only importer of httpx. Every error is one of `errors`: what the backend answered becomes the
class it was raised as, what httpx raised becomes Unreachable or BadAnswer.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, Literal
from urllib.parse import quote

import httpx

from fal_serverless import errors, skew
from fal_serverless.client.answers import error_of, read_json
from fal_serverless.client.events import events_in
from fal_serverless.models import User, from_json
from fal_serverless.tls import pinned

CONNECT_TIMEOUT = 5.0
"""Seconds to open a connection."""
ANSWER_TIMEOUT = 60.0
"""Seconds for an answer of the control API that is not a stream."""
SILENCE = 45.0
"""Seconds without a byte after which a stream counts as lost; the backend writes every 15."""

NO_LIMIT = httpx.Timeout(None, connect=CONNECT_TIMEOUT)
"""For what takes as long as it takes."""

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Wire:
    """To one backend, as one user."""

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        readonly: bool = False,
        tls: ssl.SSLContext | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.readonly = readonly
        self._keyless = not key
        self.breathe: Callable[[], Awaitable[object]] = _turn
        """Waited for between the parts of a long answer, so that others have their turn."""
        self._user: User | None = None
        with _translated(self.url):
            is_here = _is_loopback(self.url)
            self._http = httpx.AsyncClient(
                base_url=self.url,
                headers=skew.headers(_version()) | ({"Authorization": f"Key {key}"} if key else {}),
                timeout=httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
                transport=transport,
                # Reading all certificates takes longer than many a call.
                verify=tls or not (is_here and self.url.startswith("http:")),
                # A call from Python has a connection for as long as it runs.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                trust_env=not is_here,
            )

    async def close(self) -> None:
        await self._http.aclose()

    async def user(self) -> User:
        """Who the key belongs to; asked once."""
        if self._user is None:
            self._user = from_json(User, await self._call("GET", "/v1/user"))
        return self._user

    async def _call(
        self,
        method: Method,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        slow: bool = False,
    ) -> Any:
        return read_json(await self._sent(method, path, body, params=params, slow=slow))

    async def _get(self, path: str, params: dict[str, Any] | None = None) -> bytes:
        return await self._sent("GET", path, params=params)

    async def _sent(
        self,
        method: Method,
        path: str,
        body: Any = None,
        *,
        params: dict[str, Any] | None = None,
        slow: bool = False,
    ) -> bytes:
        """The answer's content, when it is a good one. A body of bytes goes as it is."""
        if method != "GET":
            self._refuse_when_readonly(f"send {method} {path}")
        options: dict[str, Any] = {"params": params}
        if body is not None:
            options["content" if isinstance(body, bytes) else "json"] = body
        if slow:
            options["timeout"] = NO_LIMIT
        with _translated(self.url):
            answer = await self._http.request(method, path, **options)
        skew.check_backend(self.url, answer.headers)
        if answer.is_success:
            return answer.content
        raise self._refused(answer)

    def _refused(self, answer: httpx.Response) -> errors.FalError:
        """What a bad answer means here: a backend tells how to send a key, not how we get one."""
        location = answer.headers.get("location", "")
        error = error_of(self.url, answer.status_code, answer.content, location)
        if self._keyless and isinstance(error, errors.NotAuthenticated):
            return errors.NotAuthenticated(
                f"no key for {self.url} is known here; keep one with fal-serverless context add "
                "NAME URL --key ID:SECRET, or give it by --key or FAL_KEY"
            )
        return error

    @asynccontextmanager
    async def _stream(
        self, method: Method, path: str, **options: Any
    ) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """Events as (name, JSON data)."""
        async with self._opened(method, path, **options) as events:
            yield ((name, read_json(data)) async for name, _, data in events if data)

    @asynccontextmanager
    async def _opened(
        self, method: Method, path: str, **options: Any
    ) -> AsyncIterator[AsyncIterator[tuple[str, bytes, bytes]]]:
        """Events as (name, id, data)."""
        timeout = httpx.Timeout(SILENCE, connect=CONNECT_TIMEOUT)
        with _translated(self.url):
            async with self._http.stream(method, path, timeout=timeout, **options) as answer:
                skew.check_backend(self.url, answer.headers)
                if not answer.is_success:
                    await answer.aread()
                    raise self._refused(answer)
                async with aclosing(events_in(answer.aiter_bytes())) as events:
                    yield events

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, body: bytes, headers: dict[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """The head of an endpoint's answer; its body is to be read yet."""
        encoded = {name.encode(): value.encode() for name, value in headers.items()}
        with _translated(self.url):
            async with self._http.stream(
                method, url, content=body, headers=encoded, timeout=NO_LIMIT
            ) as answer:
                yield answer

    def _refuse_when_readonly(self, what: str) -> None:
        if self.readonly:
            raise errors.ReadOnly(f"this context is read-only; refused to {what}")


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """httpx's and the event loop's errors as ours; the one border."""
    try:
        yield
    except httpx.InvalidURL as exc:
        raise errors.InvalidSetting(f"{url!r} is not a URL: {exc}") from exc
    except (httpx.UnsupportedProtocol, httpx.DecodingError, httpx.TooManyRedirects) as exc:
        raise errors.BadAnswer(f"cannot talk to {url}: {exc}") from exc
    except httpx.ConnectError as exc:
        raise errors.Unreachable(_why_not(url, exc), url=url) from exc
    except httpx.TimeoutException as exc:
        raise errors.Unreachable(f"the backend at {url} did not answer in time", url=url) from exc
    except httpx.RemoteProtocolError as exc:
        raise errors.Unreachable(f"lost the connection to {url}", url=url) from exc
    except httpx.TransportError as exc:
        why = str(exc) or type(exc).__name__
        raise errors.Unreachable(f"lost the connection to {url}: {why}", url=url) from exc
    except (httpx.HTTPError, httpx.StreamError, httpx.CookieConflict) as exc:
        raise errors.BadAnswer(f"cannot read the answer of {url}: {exc}") from exc
    except RuntimeError as exc:
        if "client has been closed" not in str(exc):
            raise
        raise errors.Unreachable(f"the connection to {url} was closed here", url=url) from exc


def _why_not(url: str, error: BaseException) -> str:
    """Why no connection can be made."""
    said = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        _, _, reason = said.partition("CERTIFICATE_VERIFY_FAILED] ")
        reason = reason.removeprefix("certificate verify failed: ").partition(" (_ssl")[0]
        refused = f"the certificate of {url} is not trusted here ({reason})"
        if not any(word in reason for word in ("issuer", "self-signed", "self signed")):
            # It has run out, or is for another name: no FILE vouches for that.
            return refused
        return f"{refused}; if it is yours, say so: fal-serverless context add NAME URL --ca FILE"
    if "WRONG_VERSION_NUMBER" in said or "RECORD_LAYER" in said:
        return f"what answers at {url} does not speak TLS; does it mean http://?"
    if _is_unknown_name(error):
        return f"no backend answers at {url}: this machine knows no address of that name"
    return f"no backend answers at {url}"


def _is_unknown_name(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, socket.gaierror):
        error = error.__cause__ or error.__context__
    return error is not None


def quoted(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")


async def _turn() -> None:
    await asyncio.sleep(0)


def _version() -> str:
    from fal_serverless import __version__

    return __version__


def _is_loopback(url: str) -> bool:
    """Proxies from the environment must not take what is meant for this machine."""
    return httpx.URL(url).host in ("127.0.0.1", "::1", "localhost")


async def health(url: str, seconds: float = 2.0, certificate: str = "") -> dict[str, Any] | None:
    """What `/healthz` says at `url`; None when no backend answers there in time.

    `certificate`: file with the one it must have.
    """
    try:
        verify = pinned(certificate) if certificate else not url.startswith("http:")
        async with httpx.AsyncClient(trust_env=False, timeout=seconds, verify=verify) as http:
            answer = await http.get(f"{url}/healthz")
            said = answer.json() if answer.is_success else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, errors.InvalidSetting):
        return None
    return said if isinstance(said, dict) else None
