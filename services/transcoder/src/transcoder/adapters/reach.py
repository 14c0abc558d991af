"""Where ffmpeg finds the source of a URL: a place of which we have judged whose it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.errors import WeirError
from transcoder.adapters.http_guard import http_guard
from transcoder.adapters.public_hosts import resolve_public
from transcoder.adapters.stream_guard import stream_guard
from transcoder.domain.pull_url import PullUrl


def _no_failure() -> WeirError | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a source is found."""

    url: str
    """What ffmpeg opens."""
    proxy_url: str = ""
    """Through which it asks for all HTTP; empty for other protocols."""
    failure: Callable[[], WeirError | None] = _no_failure
    """Tells why the source cannot be had, if that was seen on the way to it."""


@asynccontextmanager
async def reach(url: PullUrl, *, allow_private: bool) -> AsyncIterator[Place]:
    """Make a source reachable for the time of a block.

    Raises:
        InvalidArgument: PRIVATE_ADDRESS.
        Unavailable: The host is not found.
    """
    match url.scheme:
        case "http" | "https":
            await resolve_public(url.host, url.port, allow_private=allow_private)
            async with http_guard(allow_private=allow_private) as proxy_url:
                yield Place(url=url.url, proxy_url=proxy_url)
        case "srt":
            addresses = await resolve_public(url.host, url.port, allow_private=allow_private)
            yield Place(url=url.at(addresses[0], url.port))
        case scheme:
            async with stream_guard(url, allow_private=allow_private) as guard:
                here = url.at("127.0.0.1", guard.port, scheme=scheme.removesuffix("s"))
                yield Place(url=here, failure=lambda: guard.failure)
