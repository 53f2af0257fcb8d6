"""The cluster's certificates: one authority, one client certificate a component, kept until ``down``."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.kubernetes.layout import API_SERVICE_ADDRESS, DOMAIN, NODE, Layout
from sandbox.world import BRIDGE_ADDRESS, HOST

AUTHORITY = "ca"
SERVICE_ACCOUNTS = "service-accounts"
"""Key pair that signs service account tokens."""
_AUTHORITY_LIFE = dt.timedelta(days=3650)
_LIFE = dt.timedelta(days=365)
_RENEW_BEFORE = dt.timedelta(days=30)
_SKEW = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Subject:
    """Whom a certificate is for.

    Attributes:
        file: Name of its files, without ending.
        user: Common name: the user that RBAC sees.
        group: Organization: the group that RBAC sees.
        hosts: DNS names and addresses it may serve as; a client alone has none.
    """

    file: str
    user: str
    group: str = ""
    hosts: tuple[str, ...] = field(default=())


SUBJECTS = (
    Subject(
        "kube-apiserver",
        "kube-apiserver",
        hosts=(
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{DOMAIN}",
            HOST,
            BRIDGE_ADDRESS,
            API_SERVICE_ADDRESS,
        ),
    ),
    Subject("apiserver-kubelet-client", "kube-apiserver-kubelet-client"),
    Subject("apiserver-etcd-client", "kube-apiserver-etcd-client"),
    Subject("etcd", "etcd", hosts=("localhost", HOST)),
    Subject("kube-controller-manager", "system:kube-controller-manager"),
    Subject("kube-scheduler", "system:kube-scheduler"),
    Subject("kube-proxy", "system:kube-proxy"),
    Subject("coredns", "symphony:coredns"),
    Subject("kubelet", f"system:node:{NODE}", "system:nodes", hosts=(NODE, BRIDGE_ADDRESS)),
    Subject("admin", "symphony-admin", "system:masters"),
)
"""Users and groups as https://kubernetes.io/docs/setup/best-practices/certificates/ has them."""


def ensure(layout: Layout, subjects: Iterable[Subject] = SUBJECTS) -> None:
    """Make what is missing, foreign to the authority, or ends within 30 days; leave the rest as it is."""
    now = dt.datetime.now(dt.UTC)
    authority, authority_key = _authority(layout, now)
    if not layout.key(SERVICE_ACCOUNTS).exists():
        _save(layout, SERVICE_ACCOUNTS, ec.generate_private_key(ec.SECP256R1()), None)
    for subject in subjects:
        if not _fits(layout, subject, authority, now):
            key = ec.generate_private_key(ec.SECP256R1())
            _save(layout, subject.file, key, _leaf(subject, key, authority, authority_key, now))


def _authority(layout: Layout, now: dt.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate, key = layout.certificate(AUTHORITY), layout.key(AUTHORITY)
    if certificate.exists() and key.exists():
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        if isinstance(loaded, ec.EllipticCurvePrivateKey):
            return x509.load_pem_x509_certificate(certificate.read_bytes()), loaded
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "symphony-sandbox")])
    made = (
        _builder(name, name, private.public_key(), now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    _save(layout, AUTHORITY, private, made)
    return made, private


def _leaf(
    subject: Subject,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
) -> x509.Certificate:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, subject.user)]
    if subject.group:
        names.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.group))
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if subject.hosts else [])]
    builder = (
        _builder(x509.Name(names), authority.subject, key.public_key(), now, _LIFE)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()),
            critical=False,
        )
    )
    if subject.hosts:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([_host(host) for host in subject.hosts]), critical=False
        )
    return builder.sign(authority_key, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, life: dt.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _fits(layout: Layout, subject: Subject, authority: x509.Certificate, now: dt.datetime) -> bool:
    """Whether the files on disk are what would be made, signed by this authority, with life left."""
    if not layout.certificate(subject.file).exists() or not layout.key(subject.file).exists():
        return False
    found = x509.load_pem_x509_certificate(layout.certificate(subject.file).read_bytes())
    try:
        found.verify_directly_issued_by(authority)
        held = tuple(found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        held = ()
    except Exception:  # noqa: BLE001 - whatever does not verify is made anew
        return False
    return held == tuple(map(_host, subject.hosts)) and found.not_valid_after_utc - now > _RENEW_BEFORE


def _save(layout: Layout, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate | None) -> None:
    """Key first: a certificate on disk always has its key."""
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    layout.certificate(name).unlink(missing_ok=True)
    layout.world.write(layout.key(name), text)
    if certificate is None:
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        layout.world.write(layout.pki / f"{name}.pub", public.decode())
    else:
        layout.world.write(layout.certificate(name), certificate.public_bytes(serialization.Encoding.PEM).decode())
