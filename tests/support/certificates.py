"""An authority that issues real certificates, and folders that hold them as Kubernetes mounts secrets."""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chassis.tls import Certificates

_LIFETIME = timedelta(days=1)


class Authority:
    """Issues certificates for servers and clients, valid for loopback too."""

    def __init__(self, name: str = "weir-ca") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        usage = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(self._name, self._name, self._key).add_extension(usage, critical=True)
        self._certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """Make a certificate for a DNS name and 127.0.0.1, and its key; PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            _builder(_name(name), self._name, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


class Mount:
    """A folder with tls.crt, tls.key and ca.crt, all replaced at one stroke as kubelet does it."""

    def __init__(self, folder: Path, name: str, authority: Authority) -> None:
        self.folder = folder
        self.name = name
        self._version = 0
        folder.mkdir(parents=True)
        self.renew(authority)
        for file in ("tls.crt", "tls.key", "ca.crt"):
            (folder / file).symlink_to(f"..data/{file}")

    @property
    def certificate(self) -> bytes:
        """What is shown now."""
        return (self.folder / "tls.crt").read_bytes()

    def renew(self, authority: Authority, *, believed: bytes | None = None) -> None:
        """Put another certificate in place; `believed` are authorities, when they are others than its own."""
        certificate, key = authority.issue(self.name)
        self.put(certificate, key, believed or authority.pem)

    def put(self, certificate: bytes, key: bytes, believed: bytes) -> None:
        """Replace all files."""
        self._version += 1
        version = self.folder / f"..{self._version}"
        version.mkdir()
        for file, data in (("tls.crt", certificate), ("tls.key", key), ("ca.crt", believed)):
            (version / file).write_bytes(data)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        os.replace(link, self.folder / "..data")  # noqa: PTH105 - a link, not what it leads to

    def settings(self) -> dict[str, str]:
        """Name the files as services are told of them; fields of a Config."""
        return {
            "tls_cert_file": str(self.folder / "tls.crt"),
            "tls_key_file": str(self.folder / "tls.key"),
            "tls_ca_file": str(self.folder / "ca.crt"),
        }

    def open(self) -> Certificates:
        return Certificates(
            certificate=self.folder / "tls.crt", key=self.folder / "tls.key", authority=self.folder / "ca.crt"
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFETIME)
        .not_valid_after(now + _LIFETIME)
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
