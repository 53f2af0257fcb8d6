"""A certificate authority of the tests' own, and certificates that it gives to hosts."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """Gives certificates."""

    name: str = "Tests"
    _secret: ec.EllipticCurvePrivateKey = field(default_factory=_key)

    def _sign(self, key: ec.EllipticCurvePrivateKey, subject: str, days: float, host: str = "") -> bytes:
        now = dt.datetime.now(dt.UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=30))
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=not host, path_length=None), critical=True)
        )
        if host:
            built = built.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return built.sign(self._secret, hashes.SHA256()).public_bytes(Encoding.PEM)

    @property
    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self._sign(self._secret, self.name, 365)

    def give(self, host: str, days: float) -> tuple[bytes, bytes]:
        """A certificate and its key, as PEM."""
        key = _key()
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._sign(key, host, days, host), secret
