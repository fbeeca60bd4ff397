"""The network's authority: what it issues, and what it refuses."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from consortia_common import pki
from consortia_common.errors import CertificateError
from consortia_coordinator import ca

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROOT = ca.make_root("demo", NOW)
ISSUING = ca.make_issuing(ROOT, "demo", NOW)
KEY = pki.new_key()
BANK = pki.Subject("demo", "bank-a", "node", "node")
COORDINATOR = pki.Subject("demo", "coordinator", "coordinator", "coordinator")


def _names(chain: bytes) -> x509.SubjectAlternativeName:
    leaf = pki.read_chain(chain)[0]
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def test_a_leaf_names_its_holder_and_the_root_vouches_for_it():
    chain = ca.issue(ISSUING, KEY.public_key(), BANK, NOW)
    assert len(pki.read_chain(chain)) == 2
    assert pki.verify_leaf(chain, ROOT.certificate_pem, NOW) == BANK
    assert _names(chain).get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://demo/bank-a/node/node"]


def test_only_the_coordinator_gets_the_servers_name():
    server = ca.issue(ISSUING, KEY.public_key(), COORDINATOR, NOW)
    assert _names(server).get_values_for_type(x509.DNSName) == ["coordinator.demo"]
    assert _names(ca.issue(ISSUING, KEY.public_key(), BANK, NOW)).get_values_for_type(x509.DNSName) == []
    with pytest.raises(CertificateError):
        pki.verify_leaf(server, ROOT.certificate_pem, NOW)  # and it can't act as a member


@pytest.mark.parametrize(
    ("when", "why"),
    [(NOW - timedelta(minutes=6), "is valid from"), (NOW + timedelta(days=30, seconds=1), "expired at")],
)
def test_a_leaf_holds_for_thirty_days(when: datetime, why: str):
    with pytest.raises(CertificateError, match=why) as refused:
        pki.verify_leaf(ca.issue(ISSUING, KEY.public_key(), BANK, NOW), ROOT.certificate_pem, when)
    assert f"{when:%Y-%m-%d %H:%M} UTC" in refused.value.what
    assert "clock" in refused.value.blame


def test_a_leaf_never_outlives_its_issuer():
    late = NOW + ca.ISSUING_LIFETIME - timedelta(days=1)
    leaf = pki.read_chain(ca.issue(ISSUING, KEY.public_key(), BANK, late))[0]
    assert leaf.not_valid_after_utc == ISSUING.certificate.not_valid_after_utc


def test_an_expired_authority_issues_nothing():
    with pytest.raises(CertificateError, match="expired at"):
        ca.issue(ISSUING, KEY.public_key(), BANK, NOW + ca.ISSUING_LIFETIME)


def test_another_root_does_not_vouch():
    other = ca.make_root("demo", NOW)
    with pytest.raises(CertificateError, match="no root of this network vouches"):
        pki.verify_leaf(ca.issue(ISSUING, KEY.public_key(), BANK, NOW), other.certificate_pem, NOW)


def test_a_leaf_cannot_issue():
    leaf = pki.read_chain(ca.issue(ISSUING, KEY.public_key(), BANK, NOW))[0]
    chain = ca.issue(ca.Authority(leaf, KEY), pki.new_key().public_key(), BANK, NOW)
    chain += ISSUING.certificate_pem
    with pytest.raises(CertificateError):
        pki.verify_leaf(chain, ROOT.certificate_pem, NOW)


def test_an_authority_survives_its_files():
    restored = ca.Authority.of(ISSUING.certificate_pem, pki.read_key(pki.key_pem(ISSUING.key)))
    assert restored.certificate == ISSUING.certificate
    assert "key" not in repr(restored).replace("Authority", "")
    with pytest.raises(CertificateError, match="another certificate's"):
        ca.Authority.of(ISSUING.certificate_pem, KEY)


def test_a_request_proves_its_key_and_claims_nothing():
    request = pki.make_request(KEY)
    assert pki.read_request(request) == KEY.public_key()
    assert b"bank" not in x509.load_pem_x509_csr(request).public_bytes(serialization.Encoding.DER)


def _request(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()])
def test_only_p256_is_certified(key: ec.EllipticCurvePrivateKey):
    with pytest.raises(CertificateError, match="not a P-256 key"):
        pki.read_request(_request(key))


def test_a_request_signed_by_another_key_is_refused():
    der = bytearray(x509.load_pem_x509_csr(pki.make_request(KEY)).public_bytes(serialization.Encoding.DER))
    point = KEY.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    other = (
        pki.new_key()
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    forged = x509.load_der_x509_csr(bytes(der.replace(point, other)))
    with pytest.raises(CertificateError, match="not signed by its own key"):
        pki.read_request(forged.public_bytes(serialization.Encoding.PEM))


@given(st.binary(max_size=300))
def test_rubbish_raises_only_certificate_errors(data: bytes):
    for reader in (pki.read_request, pki.read_chain, pki.read_key):
        with pytest.raises(CertificateError):
            reader(data)


def test_an_endless_request_is_refused_unread():
    with pytest.raises(CertificateError, match="too long"):
        pki.read_request(b"-" * (pki.MAX_CSR_BYTES + 1))


@given(st.text(max_size=80))
def test_any_uri_is_a_subject_or_refused(uri: str):
    with suppress(CertificateError):
        assert pki.Subject.from_uri(uri).uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "spiffe://demo/bank-a/node",
        "spiffe://demo/bank-a/node/node/more",
        "spiffe://demo/bank-a/admin/node",
        "spiffe://demo/Bank-A/node/node",
        "spiffe://demo/bank a/node/node",
        "spiffe://demo/../node/node",
        "https://demo/bank-a/node/node",
        "spiffe://demo/bank-a\n/node/node",
    ],
)
def test_these_uris_are_refused(uri: str):
    with pytest.raises(CertificateError):
        pki.Subject.from_uri(uri)


def test_a_certificate_with_two_names_is_refused():
    names = [x509.UniformResourceIdentifier(BANK.uri), x509.UniformResourceIdentifier(COORDINATOR.uri)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ISSUING.certificate.subject)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ISSUING.key, hashes.SHA256())
    )
    with pytest.raises(CertificateError, match="exactly one"):
        pki.subject_of(certificate)
    with pytest.raises(CertificateError, match="exactly one"):
        pki.subject_of(ROOT.certificate)
