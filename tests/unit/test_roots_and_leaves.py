"""Keys beside certificates during a renewal, and roots that hand over to roots."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common import leaves, pki
from consortia_common.errors import CertificateError, CommonError
from consortia_common.roots import Roots
from consortia_coordinator import ca

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
FIRST, SECOND, FOREIGN = (ca.make_root("demo", NOW) for _ in range(3))
ISSUING = ca.make_issuing(FIRST, "demo", NOW)
KEY = pki.new_key()
BANK = pki.Subject("demo", "bank-a", "node", "node")
CHAIN = ca.issue(ISSUING, KEY.public_key(), BANK, NOW)
LEAF = pki.read_chain(CHAIN)[0]


@pytest.mark.parametrize(("days", "due"), [(0, False), (19, False), (21, True), (300, True)])
def test_a_certificate_is_due_after_two_thirds_of_its_life(days: int, due: bool) -> None:
    assert leaves.is_due(LEAF, NOW + timedelta(days=days)) is due


def test_whichever_certificate_a_crash_leaves_its_key_is_there() -> None:
    fresh = pki.new_key()
    during = leaves.both(pki.key_pem(KEY), fresh)
    renewed = pki.read_chain(ca.issue(ISSUING, fresh.public_key(), BANK, NOW))[0]
    assert leaves.key_of(LEAF, during) == pki.key_pem(KEY)
    assert leaves.key_of(renewed, during) == pki.key_pem(fresh)
    assert leaves.key_of(renewed, pki.key_pem(fresh)) == pki.key_pem(fresh)
    with pytest.raises(CertificateError, match="a key that is not there"):
        leaves.key_of(renewed, pki.key_pem(KEY))


@given(st.binary(max_size=200))
def test_garbage_is_no_key(data: bytes) -> None:
    framed = b"-----BEGIN PRIVATE KEY-----" + data + b"-----END PRIVATE KEY-----"
    for keys in (data, framed):
        with pytest.raises(CertificateError):
            leaves.key_of(LEAF, keys)


def roots(*named: ca.Authority, sequence: int = 1, network: str = "demo") -> Roots:
    return Roots(network=network, sequence=sequence, roots=[one.certificate_pem for one in named], at_ms=1)


def accept(said: Roots, signer: ca.Authority, trusted: bytes = FIRST.certificate_pem, known: int = 0) -> Roots:
    return Roots.accept(said.canonical(), said.sign(signer.key), trusted, "demo", known)


def test_a_root_hands_over_to_the_next() -> None:
    both = accept(roots(FIRST, SECOND), FIRST)
    assert pki.verify_leaf(CHAIN, both.pem, NOW) == BANK
    alone = accept(roots(SECOND, sequence=2), SECOND, both.pem, known=1)
    under_it = ca.issue(ca.make_issuing(SECOND, "demo", NOW), KEY.public_key(), BANK, NOW)
    assert pki.verify_leaf(under_it, alone.pem, NOW) == BANK
    with pytest.raises(CertificateError, match="no root of this network"):
        pki.verify_leaf(CHAIN, alone.pem, NOW)


@pytest.mark.parametrize(
    ("said", "signer", "known", "why"),
    [
        (roots(FIRST, SECOND), SECOND, 0, "no root that is trusted here"),
        (roots(FIRST, SECOND), ISSUING, 0, "no root that is trusted here"),
        (roots(FIRST, FOREIGN), FOREIGN, 0, "no root that is trusted here"),
        (roots(FIRST, SECOND), FIRST, 1, "number 1 is known here"),
        (roots(FIRST, SECOND, network="other"), FIRST, 0, "another network's"),
        (roots(FIRST, ISSUING), FIRST, 0, "no root certificate"),
    ],
)
def test_other_lists_are_refused(said: Roots, signer: ca.Authority, known: int, why: str) -> None:
    with pytest.raises(CertificateError, match=why):
        accept(said, signer, known=known)


@given(st.binary(max_size=300), st.binary(max_size=100))
def test_garbage_raises_only_our_errors(document: bytes, signature: bytes) -> None:
    with pytest.raises(CommonError):
        Roots.accept(document, signature, FIRST.certificate_pem, "demo", 0)
    with pytest.raises(CertificateError):
        Roots.accept(roots(SECOND).canonical(), signature, FIRST.certificate_pem, "demo", 0)
