"""Which URLs live media may be pulled from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from chassis.errors import InvalidArgument

PORTS = {"http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "rtsp": 554, "rtsps": 322, "srt": 8890}
MAX_URL_CHARACTERS = 2048
# No blanks and no ends of lines: ffmpeg reads the URL in a script.
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_TLS = {"https", "rtmps", "rtsps"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PullUrl:
    """A URL that was taken apart."""

    url: str
    scheme: str
    host: str
    port: int

    @property
    def is_encrypted(self) -> bool:
        """Whether its server is spoken to by TLS."""
        return self.scheme in _TLS

    def at(self, address: str, port: int, *, scheme: str = "") -> str:
        """Return the URL with an IP address in the place of its host; all else stays."""
        parts = urlsplit(self.url)
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(
            scheme=scheme or self.scheme, netloc=f"{user}{at}{_bracketed(address)}:{port}"
        ).geturl()

    def rtmp_application(self) -> str:
        """Return what an RTMP server is told that the application's URL is, which names its virtual host."""
        *names, _ = urlsplit(self.url).path.strip("/").split("/")
        # as ffmpeg takes a path apart: one name or two, and behind them the stream's
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}/{'/'.join(names[:2])}"


def parse_pull_url(url: str) -> PullUrl:
    """Take a pull_url apart.

    Raises:
        InvalidArgument: Nothing can be pulled from it; the message does not repeat it, for it may hold a
            password.
    """
    if len(url) > MAX_URL_CHARACTERS or not _PRINTABLE.fullmatch(url):
        raise _refused(f"be 1 to {MAX_URL_CHARACTERS} printable ASCII characters")
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


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _refused(rule: str) -> InvalidArgument:
    return InvalidArgument(f"pull_url must {rule}", reason="INVALID_PULL_URL", field="source.pull_url")
