"""Which URLs live media may be pulled from."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from chassis.errors import InvalidArgument

PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "srt": 8890}


@dataclass(frozen=True, slots=True, kw_only=True)
class PullUrl:
    """A URL that was taken apart."""

    url: str
    scheme: str
    host: str
    port: int


def parse_pull_url(url: str) -> PullUrl:
    """Take a pull_url apart.

    Raises:
        InvalidArgument: Nothing can be pulled from it; the message does not repeat it, for it may hold a
            password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused("be a URL with a valid host and port") from error
    if parts.scheme not in PORTS:
        raise _refused(f"begin with one of {', '.join(f'{scheme}://' for scheme in PORTS)}")
    if not parts.hostname or port == 0:
        raise _refused("name a host")
    if parts.scheme == "srt" and parse_qs(parts.query).get("mode", ["caller"]) != ["caller"]:
        raise _refused("call its host: mode must be caller")
    return PullUrl(url=url, scheme=parts.scheme, host=parts.hostname, port=port or PORTS[parts.scheme])


def _refused(rule: str) -> InvalidArgument:
    return InvalidArgument(f"pull_url must {rule}", reason="INVALID_PULL_URL", field="source.pull_url")
