import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from sandbox.kubernetes import certificates
from sandbox.kubernetes.layout import Layout
from sandbox.world import World


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(World(source=tmp_path, state=tmp_path / "state"))


def load(layout: Layout, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(layout.certificate(name).read_bytes())


def test_every_component_gets_a_certificate_of_the_one_authority(layout: Layout) -> None:
    certificates.ensure(layout)
    authority = load(layout, certificates.AUTHORITY)
    for subject in certificates.SUBJECTS:
        found = load(layout, subject.file)
        found.verify_directly_issued_by(authority)
        assert found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == subject.user


def test_the_node_is_in_the_group_that_the_node_authorizer_knows(layout: Layout) -> None:
    certificates.ensure(layout)
    names = load(layout, "kubelet").subject
    assert names.rfc4514_string() == "CN=system:node:symphony,O=system:nodes"


def test_the_api_server_may_serve_under_each_of_its_addresses(layout: Layout) -> None:
    certificates.ensure(layout)
    held = load(layout, "kube-apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(address) for address in held.get_values_for_type(x509.IPAddress)} == {
        "127.0.0.1",
        "10.213.0.1",
        "10.214.0.1",
    }
    assert "kubernetes.default.svc.cluster.local" in held.get_values_for_type(x509.DNSName)


def test_a_client_may_not_serve(layout: Layout) -> None:
    certificates.ensure(layout)
    purposes = load(layout, "admin").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]


def test_keys_are_readable_by_the_owner_alone_and_fit_their_certificates(layout: Layout) -> None:
    certificates.ensure(layout)
    for key in layout.pki.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    ssl.create_default_context().load_cert_chain(layout.certificate("admin"), layout.key("admin"))


def test_a_second_run_changes_nothing(layout: Layout) -> None:
    certificates.ensure(layout)
    before = {path: path.read_bytes() for path in layout.pki.iterdir()}
    certificates.ensure(layout)
    assert {path: path.read_bytes() for path in layout.pki.iterdir()} == before


def test_what_is_missing_or_foreign_is_made_anew_alone(layout: Layout, tmp_path: Path) -> None:
    other = Layout(World(source=tmp_path, state=tmp_path / "other"))
    certificates.ensure(other)
    certificates.ensure(layout)
    kept = layout.certificate("etcd").read_bytes()
    layout.key("kube-proxy").unlink()
    layout.certificate("admin").write_bytes(other.certificate("admin").read_bytes())
    certificates.ensure(layout)
    load(layout, "admin").verify_directly_issued_by(load(layout, certificates.AUTHORITY))
    assert layout.key("kube-proxy").exists()
    assert layout.certificate("etcd").read_bytes() == kept


def test_a_certificate_that_ends_soon_is_renewed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as short:
        short.setattr(certificates, "_LIFE", certificates._RENEW_BEFORE / 2)  # noqa: SLF001 - a year is long for a test
        certificates.ensure(layout)
    old = layout.certificate("etcd").read_bytes()
    certificates.ensure(layout)
    assert layout.certificate("etcd").read_bytes() != old


def test_a_certificate_for_other_hosts_is_made_anew(layout: Layout) -> None:
    certificates.ensure(layout, [certificates.Subject("etcd", "etcd", hosts=("elsewhere",))])
    old = layout.certificate("etcd").read_bytes()
    certificates.ensure(layout)
    assert layout.certificate("etcd").read_bytes() != old
