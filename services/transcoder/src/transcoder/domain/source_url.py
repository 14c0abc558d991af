"""Which URLs a source may be fetched from: anybody may give one, and it is followed from our own network."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urljoin, urlsplit

from chassis.errors import InvalidArgument

MAX_URL_CHARACTERS = 2048
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
# What is no label of a name, no resolver should ever see: some would raise, some would read it their own way.
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_NAME_CHARACTERS = 253
# A host that ends so is an address: '127.1', '0x7f.1' and '127.0.0.1.' are ones to some libraries.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PORTS = {"http": 80, "https": 443}
# Addresses that embed an IPv4 address, which some gateway on the way might follow: NAT64 (RFC 6052), 6to4,
# Teredo.
_TRANSLATED = tuple(
    ipaddress.ip_network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::ffff:0:0/96", "::/96")
)


def parse_source_url(url: str) -> SplitResult:
    """Take a source_url apart.

    Raises:
        InvalidArgument: It is not an http or https URL of a host, or carries a password.
    """
    if len(url) > MAX_URL_CHARACTERS or not _PRINTABLE.fullmatch(url):
        raise _refused(url, f"it must be 1 to {MAX_URL_CHARACTERS} printable ASCII characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _refused(url, "it must be a URL with a valid host and port") from error
    if parts.scheme not in _PORTS:
        raise _refused(url, "it must begin with http:// or https://")
    if not parts.hostname or port == 0 or not _is_host(parts.hostname):
        raise _refused(url, "it must name a host, or give its address as '192.0.2.1' or '[2001:db8::1]'")
    if parts.username is not None or parts.password is not None:
        raise _refused(url, "it must not carry a user name or password, which would be stored and shown")
    return parts


def follow_redirect(url: str, location: str) -> str:
    """Tell where a redirect leads.

    Raises:
        InvalidArgument: To another host or port, or from https to http.
    """
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise _refused(location, "a redirect must lead to a valid URL") from error
    old, new = parse_source_url(url), parse_source_url(target)
    upgraded = old.scheme == "http" and new.scheme == "https" and {_port(old), _port(new)} == {80, 443}
    if old.hostname != new.hostname or not (upgraded or (old.scheme, _port(old)) == (new.scheme, _port(new))):
        raise InvalidArgument(
            f"source_url redirects to {target[:200]!r}, another place: give that URL itself",
            reason="CROSS_HOST_REDIRECT",
            field="source_url",
        )
    return target


def is_public(address: str) -> bool:
    """Whether an IP address is reached through the public internet alone."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if any(ip in network for network in _TRANSLATED if network.version == ip.version):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def literal_address(host: str) -> str | None:
    """Read a host that is an IP address itself; None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def private_host(host: str, *, field: str = "source_url") -> InvalidArgument:
    """Refuse a host inside our networks; the address found is not told."""
    return InvalidArgument(
        f"{field} names {host[:80]!r}, which is not a public address: only public hosts are fetched from",
        reason="PRIVATE_ADDRESS",
        field=field,
    )


def _is_host(host: str) -> bool:
    """Whether this is a name that DNS can know, or an address in the form that all read alike."""
    if literal_address(host):
        return "%" not in host  # a zone is of this machine alone
    labels = host.removesuffix(".").split(".")
    if len(host) > _MAX_NAME_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        return False
    return not _NUMBER.fullmatch(labels[-1]) and _is_idna(host)


def _is_idna(host: str) -> bool:
    try:
        host.encode().decode("idna").encode("idna")
    except UnicodeError:
        return False
    return True


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _refused(url: str, rule: str) -> InvalidArgument:
    return InvalidArgument(
        f"source_url is {url[:200]!r}: {rule}", reason="INVALID_SOURCE_URL", field="source_url"
    )
