"""Identities: signatures bound to domain and key, documents with one form, and no secret in a representation."""

import base64
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError, SignatureRefusedError
from consortia_crypto.keys import ED25519_SIGNATURE, SIGNATURE_LENGTH, PrivateIdentity, PublicIdentity

ANA = PrivateIdentity.generate("lab", "bank-a", "analyst", "ana")
BOB = PrivateIdentity.generate("lab", "bank-b", "analyst", "bob")
SIGNATURE = ANA.sign("job", b"message")


def test_a_signature_verifies() -> None:
    assert len(SIGNATURE) == SIGNATURE_LENGTH
    ANA.public.verify("job", b"message", SIGNATURE)
    ANA.public.verify_ed25519("audit-entry", b"entry", ANA.sign_ed25519("audit-entry", b"entry"))


@pytest.mark.parametrize(
    ("identity", "domain", "message"),
    [(ANA, "job", b"massage"), (ANA, "receipt", b"message"), (BOB, "job", b"message"), (ANA, "jo", b"bmessage")],
)
def test_another_message_domain_or_signer_is_refused(
    identity: PrivateIdentity, domain: str, message: bytes
) -> None:
    with pytest.raises(SignatureRefusedError, match="does not verify") as refused:
        identity.public.verify(domain, message, SIGNATURE)
    assert identity.institution in refused.value.blame
    with pytest.raises(SignatureRefusedError):
        identity.public.verify_ed25519(domain, message, SIGNATURE[:ED25519_SIGNATURE])


@pytest.mark.parametrize("place", [0, ED25519_SIGNATURE - 1, ED25519_SIGNATURE, SIGNATURE_LENGTH - 1])
def test_both_signatures_must_hold(place: int) -> None:
    broken = bytearray(SIGNATURE)
    broken[place] ^= 1
    with pytest.raises(SignatureRefusedError):
        ANA.public.verify("job", b"message", bytes(broken))


def test_halves_of_two_signatures_make_none() -> None:
    other = ANA.sign("job", b"other")
    mixed = SIGNATURE[:ED25519_SIGNATURE] + other[ED25519_SIGNATURE:]
    with pytest.raises(SignatureRefusedError):
        ANA.public.verify("job", b"message", mixed)


@given(st.binary(max_size=80))
def test_garbage_is_no_signature(data: bytes) -> None:
    with pytest.raises(SignatureRefusedError):
        ANA.public.verify("job", b"message", data)
    with pytest.raises(SignatureRefusedError):
        ANA.public.verify_ed25519("job", b"message", data)


@pytest.mark.parametrize("key", ["ed25519", "mldsa65"])
def test_a_key_that_is_none_verifies_nothing(key: str) -> None:
    length = len(getattr(ANA.public, key))
    hollow = dataclasses.replace(ANA.public, **{key: b"\xff" * length})
    with pytest.raises(SignatureRefusedError):
        hollow.verify("job", b"message", SIGNATURE)


def test_documents_read_back() -> None:
    assert PublicIdentity.from_document(canonical.decode(canonical.encode(ANA.public.document()))) == ANA.public
    assert PrivateIdentity.from_document(canonical.decode(canonical.encode(ANA.document()))) == ANA
    assert PrivateIdentity.from_document(ANA.document()).public == ANA.public


def test_the_fingerprint_covers_every_field() -> None:
    prints = {ANA.public.fingerprint}
    for item in dataclasses.fields(ANA.public):
        value = getattr(ANA.public, item.name)
        changed = value + "x" if isinstance(value, str) else value[:-1] + bytes([value[-1] ^ 1])
        prints.add(dataclasses.replace(ANA.public, **{item.name: changed}).fingerprint)
    assert len(prints) == 1 + len(dataclasses.fields(ANA.public))


def _loose(text: str) -> str:
    """Another base64 text that decoders take for the same bytes."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = text.rstrip("=")[-1]
    return text.replace(last + "=", letters[letters.index(last) + 1] + "=")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "exactly the fields"),
        ({"v": True}, "exactly the fields"),
        ({"extra": 1}, "exactly the fields"),
        ({"network": 5}, "not text"),
        ({"ed25519": "AAAA"}, "not 32 bytes"),
        ({"ed25519": "!" * 44}, "not base64"),
        ({"ed25519": "é" * 44}, "not base64"),
        ({"x25519": _loose(ANA.public.document()["x25519"])}, "the one base64 form"),
    ],
)
def test_what_is_no_public_identity_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(EncodingError, match=why):
        PublicIdentity.from_document(ANA.public.document() | changes)


@pytest.mark.parametrize("document", [None, [], "x", 5, {}, {"v": 1}])
def test_other_documents_are_refused(document: Any) -> None:
    for kind in (PublicIdentity, PrivateIdentity):
        with pytest.raises(EncodingError):
            kind.from_document(document)


@pytest.mark.parametrize(
    "changes",
    [{"seeds": {}}, {"seeds": None}, {"name": 5}, {"seeds": ANA.document()["seeds"] | {"ed25519": "AAAA"}}],
)
def test_a_damaged_key_file_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        PrivateIdentity.from_document(ANA.document() | changes)


def test_no_seed_is_ever_shown() -> None:
    shown = repr(ANA) + str(ANA) + repr(ANA.public)
    for seed in ANA.seeds.values():
        assert base64.b64encode(seed).decode() not in shown
        assert repr(seed) not in shown
        assert seed.hex() not in shown


def test_two_identities_share_no_key() -> None:
    assert not set(ANA.seeds.values()) & set(BOB.seeds.values())
    assert len({len(seed) for seed in ANA.seeds.values()}) == 2
