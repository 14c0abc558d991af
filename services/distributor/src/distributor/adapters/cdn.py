"""CDNs as edges: objects are put there, or asked for so that they are kept, and forgotten with their stream.

Requests bear `x-weir-signature: t=<seconds since 1970>, v1=<hex>`, where v1 is HMAC-SHA256, with the secret
of the CDN, of "<t>.<method>.<path and query>": so it can tell them from anybody's.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

import aiohttp

from chassis.errors import FailedPrecondition, Unavailable
from chassis.telemetry import STREAM, log
from distributor.adapters.freight import FreightStore
from distributor.domain.delivery import Edge, Order
from distributor.domain.steering import Route

SIGNATURE_HEADER = "x-weir-signature"
PURGE_TIMEOUT_S = 5.0
PROBE_TIMEOUT_S = 2.0
_PIECE_BYTES = 256 * 1024
_MEDIA_TYPES = {"m4s": "video/mp4", "ts": "video/mp2t", "jpg": "image/jpeg", "vtt": "text/vtt"}
_KEEP = "public, max-age=31536000, immutable"  # a media URL with its incarnation never changes its bytes
_AGAIN = frozenset({408, 425, 429})
_BAD = 400
_REDIRECT = 300
_SERVER_ERROR = 500

Headers = Mapping[str, str]
_NONE: Headers = MappingProxyType({})


class CdnClient:
    """Speaks HTTP to CDNs; one session for all of them.

    Args:
        store: The bytes.
        cdns: Those that are configured.
        now: The clock, seconds since 1970.
    """

    def __init__(self, store: FreightStore, cdns: Sequence[Edge], now: Callable[[], float]) -> None:
        self._store = store
        self._cdns = cdns
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def put(self, order: Order) -> int:
        """Put an object where viewers will ask the CDN for it."""
        data = (await self._store.load(order.freight)).data
        headers = {
            "content-type": _MEDIA_TYPES.get(order.freight.suffix, "application/octet-stream"),
            "cache-control": _KEEP,
        }
        if order.freight.is_text:
            data = gzip.compress(data, order.compression_level, mtime=0)
            headers["content-encoding"] = "gzip"
        path = order.freight.path
        async with self._request("PUT", order.edge, path, data=io.BytesIO(data), headers=headers):
            return len(data)

    async def prefetch(self, order: Order) -> int:
        """Ask the CDN for an object as a viewer would, so that it fetches and keeps it."""
        received_bytes = 0
        async with self._request("GET", order.edge, order.freight.path) as answer:
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                received_bytes += len(piece)
        if received_bytes != order.freight.size_bytes:
            raise Unavailable(
                f"{order.edge.name} sent {received_bytes} bytes of {order.freight.size_bytes}",
                reason="EDGE_CUT",
            )
        return received_bytes

    async def purge(self, stream_id: str) -> None:
        """Make every CDN forget what lies below a stream's URL: by the method PURGE, which caches know."""
        await asyncio.gather(*[self._purge(cdn, stream_id) for cdn in self._cdns])

    async def answers(self, route: Route) -> bool:
        """Look whether a pathway answers: /healthz, which the door has, and a CDN passes on."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        try:
            url = f"{route.base_url}/healthz"
            async with self._open().get(url, timeout=timeout, allow_redirects=False) as answer:
                return answer.status < _BAD
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()

    async def _purge(self, cdn: Edge, stream_id: str) -> None:
        try:
            async with asyncio.timeout(PURGE_TIMEOUT_S), self._request("PURGE", cdn, f"/hls/{stream_id}/"):
                log.info("CDN purged", edge=cdn.name, **{STREAM: stream_id})
        except (TimeoutError, Unavailable, FailedPrecondition) as error:
            log.warning("CDN not purged", edge=cdn.name, error=repr(error), **{STREAM: stream_id})

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        edge: Edge,
        path: str,
        *,
        data: io.BytesIO | None = None,
        headers: Headers = _NONE,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        signed = {**headers, **signature(edge.secret, method, path, self._now())}
        url = edge.address + path
        try:
            session = self._open()
            async with session.request(
                method, url, data=data, headers=signed, allow_redirects=False
            ) as answer:
                _require_taken(answer, edge)
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{edge.name} cannot be reached: {error!r}", reason="EDGE_AWAY") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:  # aiohttp wants a running loop
            self._session = aiohttp.ClientSession(headers={"user-agent": "weir"}, auto_decompress=False)
        return self._session


def signature(secret: str, method: str, path: str, now: float) -> Headers:
    """Sign a request; nothing without a secret."""
    if not secret:
        return {}
    time = int(now)
    digest = hmac.new(secret.encode(), f"{time}.{method}.{path}".encode(), hashlib.sha256)
    return {SIGNATURE_HEADER: f"t={time}, v1={digest.hexdigest()}"}


def _require_taken(answer: aiohttp.ClientResponse, edge: Edge) -> None:
    if answer.status >= _SERVER_ERROR or answer.status in _AGAIN:
        raise Unavailable(f"{edge.name} answered {answer.status}", reason="EDGE_AWAY")
    if not answer.ok or answer.status >= _REDIRECT:
        raise FailedPrecondition(f"{edge.name} answered {answer.status}", reason="EDGE_REFUSED")
