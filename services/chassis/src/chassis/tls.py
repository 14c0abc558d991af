"""TLS between services: certificates in files, taken anew whenever the files change.

Every service shows a certificate of the suite's own authority, and asks for one: whoever has none is refused.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import grpc

from chassis.config import ServiceConfig
from chassis.telemetry import Seldom, log

_LOOK_INTERVAL_S = 1.0  # how often the files may be looked at

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What the files held at one time: PEM."""

    certificate: bytes
    key: bytes
    authority: bytes
    number: int
    """Grows with each change of the files."""

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """What a channel shows, and whom it believes."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)

    def server_configuration(self) -> grpc.ServerCertificateConfiguration:
        """What a server shows, and whom it believes."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authority)


class Certificates:
    """A service's own certificate, its key, and the authority that it believes.

    Asked from any thread. While the files are being replaced, or do not fit each other, what was read before
    stays in use.

    Raises:
        OSError: A file cannot be read.
        ssl.SSLError: A file holds no PEM, or the key is another certificate's.
    """

    def __init__(self, *, certificate: Path, key: Path, authority: Path) -> None:
        self._files = (certificate, key, authority)
        self._lock = threading.Lock()
        self._look_time = time.monotonic()
        self._failures = Seldom()
        self._stamp = self._stamp_now()  # first: what is replaced meanwhile is read again
        purposes = (ssl.Purpose.CLIENT_AUTH, ssl.Purpose.SERVER_AUTH)
        self._contexts = {purpose: self._context(purpose) for purpose in purposes}
        self._bundle = self._read(number=1)

    def current(self) -> Bundle:
        """Read the files again if they have changed."""
        with self._lock:
            if time.monotonic() - self._look_time >= _LOOK_INTERVAL_S:
                self._look_time = time.monotonic()
                self._look()
            return self._bundle

    def server_credentials(self) -> grpc.ServerCredentials:
        """Make credentials of a server: each connection is shown what is current, and must show its own."""
        given = first = self.current()

        def fetch() -> grpc.ServerCertificateConfiguration | None:
            nonlocal given
            newest = self.current()
            if newest.number == given.number:
                return None
            given = newest
            return newest.server_configuration()

        return grpc.dynamic_ssl_server_credentials(
            first.server_configuration(),
            fetch,  # type: ignore[arg-type] # None says that nothing has changed
            require_client_authentication=True,
        )

    def server_context(self) -> ssl.SSLContext:
        """The context of servers of our own, which ask for a certificate; it follows the files.

        Only while somebody calls `current`, which each call over a channel and each gRPC connection does. An
        authority that the files name no more is still believed until the process ends.
        """
        return self._contexts[ssl.Purpose.CLIENT_AUTH]

    def client_context(self) -> ssl.SSLContext:
        """The context of connections of our own; it follows the files as `server_context` does."""
        return self._contexts[ssl.Purpose.SERVER_AUTH]

    def _context(self, purpose: ssl.Purpose) -> ssl.SSLContext:
        # Without a file of ours it would believe whomever the machine believes.
        context = ssl.create_default_context(purpose, cafile=self._files[-1])
        context.verify_mode = ssl.CERT_REQUIRED
        self._load(context)
        return context

    def _look(self) -> None:
        try:
            stamp = self._stamp_now()
            if stamp == self._stamp:
                return
            bundle = self._read(number=self._bundle.number + 1)
            if self._stamp_now() != stamp:  # replaced while it was read
                return
            for context in self._contexts.values():
                self._load(context)
        except (OSError, ssl.SSLError) as error:
            self._failures.warn("certificates cannot be read; the ones before stay in use", error=repr(error))
            return
        self._stamp, self._bundle = stamp, bundle
        log.info("certificates renewed", certificate=str(self._files[0]))

    def _read(self, *, number: int) -> Bundle:
        self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # OpenSSL judges whether they fit each other
        certificate, key, authority = (path.read_bytes() for path in self._files)
        return Bundle(certificate=certificate, key=key, authority=authority, number=number)

    def _load(self, context: ssl.SSLContext) -> None:
        certificate, key, authority = self._files
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)

    def _stamp_now(self) -> Stamp:
        found = (os.stat(path) for path in self._files)  # noqa: PTH116 - follows the links of mounted secrets
        return tuple((status.st_ino, status.st_mtime_ns, status.st_size) for status in found)


def certificates_of(config: ServiceConfig) -> Certificates | None:
    """Open the certificates that a service is set to use; None: it speaks in the clear."""
    if not config.tls_cert_file:
        return None
    return Certificates(
        certificate=Path(config.tls_cert_file),
        key=Path(config.tls_key_file),
        authority=Path(config.tls_ca_file),
    )
