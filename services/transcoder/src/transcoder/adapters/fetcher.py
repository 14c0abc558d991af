"""Fetch a source over HTTP from a host that is not trusted, without reaching anything of our own.

Every address is judged at the moment at which it is connected to, so that a name which first resolves to a
public address and then to a private one gains nothing. Proxies of the environment are not used: they would
hide addresses.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from chassis.errors import InvalidArgument, Unavailable
from transcoder.domain.source_url import (
    follow_redirect,
    is_public,
    literal_address,
    parse_source_url,
    private_host,
)
from transcoder.domain.wholeness import require_size

MAX_REDIRECTS = 5
PIECE_BYTES = 256 * 1024
CONNECT_TIMEOUT_S = 10.0
LOOK_TIMEOUT_S = 3.0
_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AGAIN = frozenset({408, 425, 429})
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRules:
    """What is fetched; see the settings of the same names."""

    size_limit_bytes: int
    time_limit_s: float
    silence_s: float
    allow_private: bool


class HttpFetcher:
    """See `ports.Fetcher`."""

    def __init__(self, rules: FetchRules) -> None:
        self._rules = rules

    async def require_allowed(self, url: str) -> None:
        host = self._checked_host(url)
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                await _Resolver(allow_private=self._rules.allow_private).resolve(host)
        except (TimeoutError, OSError):
            return  # the fetch itself will tell

    async def fetch(self, url: str) -> AsyncIterator[bytes]:
        try:
            async with self._session() as session, self._answer(session, url) as answer:
                async for piece in answer.content.iter_chunked(PIECE_BYTES):
                    yield piece
        except aiohttp.InvalidURL as error:
            raise InvalidArgument(
                f"source_url cannot be read as a URL: {error}",
                reason="INVALID_SOURCE_URL",
                field="source_url",
            ) from error
        except aiohttp.ClientPayloadError as error:
            raise Unavailable(f"source_url broke off: {error}", reason="FETCH_BROKE_OFF") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"source_url cannot be fetched: {error!r}", reason="FETCH_FAILED") from error

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_Resolver(allow_private=self._rules.allow_private), use_dns_cache=False
            ),
            timeout=aiohttp.ClientTimeout(
                total=self._rules.time_limit_s,
                sock_connect=CONNECT_TIMEOUT_S,
                sock_read=self._rules.silence_s,
            ),
            auto_decompress=False,
            headers={"accept-encoding": "identity", "user-agent": "weir"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    @asynccontextmanager
    async def _answer(
        self, session: aiohttp.ClientSession, url: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for _ in range(MAX_REDIRECTS + 1):
            self._checked_host(url)
            async with session.get(url, allow_redirects=False) as answer:
                if answer.status not in _REDIRECTS:
                    self._require_source(answer)
                    yield answer
                    return
                url = follow_redirect(url, answer.headers.get("location", ""))
        raise InvalidArgument(
            f"source_url redirects more than {MAX_REDIRECTS} times: give the last URL itself",
            reason="TOO_MANY_REDIRECTS",
            field="source_url",
        )

    def _checked_host(self, url: str) -> str:
        """Judge a host that is an address itself; such a one is never resolved."""
        host = parse_source_url(url).hostname or ""
        address = literal_address(host)
        if address and not self._rules.allow_private and not is_public(address):
            raise private_host(host)
        return host

    def _require_source(self, answer: aiohttp.ClientResponse) -> None:
        if answer.status in _AGAIN or answer.status >= _SERVER_ERROR:
            raise Unavailable(f"source_url answers {answer.status}", reason="FETCH_FAILED")
        if answer.status != _OK:
            raise InvalidArgument(
                f"source_url answers {answer.status}: it must answer 200 with the source",
                reason="FETCH_REFUSED",
                field="source_url",
            )
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise InvalidArgument(
                "source_url answers compressed bytes, though asked not to", field="source_url"
            )
        chunked = "chunked" in answer.headers.get("transfer-encoding", "").lower()
        if answer.content_length is None and not chunked:
            raise InvalidArgument(
                "source_url does not tell the source's length, so a broken transfer would look whole",
                reason="LENGTH_REQUIRED",
                field="source_url",
            )
        require_size(answer.content_length or 0, self._rules.size_limit_bytes)


class _Resolver(AbstractResolver):
    """Resolves names to the addresses that will be connected to, and refuses private ones."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, family=family
        )
        addresses = [str(address[0]) for *_, address in found]
        # One private address among public ones is enough: which of them is used is for the network to choose.
        if not self._allow_private and not all(is_public(address) for address in addresses):
            raise private_host(host)
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=kind,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        pass
