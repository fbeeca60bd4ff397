"""Envelopes: opened by whom they are for, at their place, unaltered; by nobody and nowhere else."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_crypto.envelope import seal, unseal
from consortia_crypto.errors import EncodingError, EnvelopeError
from consortia_crypto.keys import SIGNATURE_LENGTH, PrivateIdentity

A, B, C = (PrivateIdentity.generate("lab", f"bank-{letter}", "node", "node") for letter in "abc")
PLACE: dict[str, Any] = {"purpose": "credit-risk", "job": "job-1", "step": "epoch.seed", "sequence": 0}
ENVELOPE = seal(b"the key", sender=A, recipient=B.public, **PLACE)


def opened(envelope: bytes, sender: PrivateIdentity = A, recipient: PrivateIdentity = B, **changes: Any) -> bytes:
    return unseal(envelope, sender=sender.public, recipient=recipient, **(PLACE | changes))


@settings(max_examples=25)
@given(st.binary(max_size=3000), st.text(st.characters(exclude_categories=["Cs"]), max_size=20), st.integers(0, 9))
def test_what_is_sealed_opens(plaintext: bytes, step: str, sequence: int) -> None:
    place = PLACE | {"step": step, "sequence": sequence}
    envelope = seal(plaintext, sender=A, recipient=B.public, **place)
    assert unseal(envelope, sender=A.public, recipient=B, **place) == plaintext


def test_the_plaintext_does_not_show_and_no_two_envelopes_are_alike() -> None:
    assert b"the key" not in ENVELOPE
    assert seal(b"the key", sender=A, recipient=B.public, **PLACE) != ENVELOPE


@pytest.mark.parametrize(
    "changes", [{"purpose": "fraud"}, {"job": "job-2"}, {"step": "epoch.join"}, {"sequence": 1}, {"job": "job-1 "}]
)
def test_at_another_place_it_stays_shut(changes: dict[str, Any]) -> None:
    with pytest.raises(EnvelopeError, match="another sender, recipient, job, step or turn"):
        opened(ENVELOPE, **changes)


def test_for_others_or_from_others_it_stays_shut() -> None:
    for sender, recipient in ((A, C), (C, B), (B, A)):
        with pytest.raises(EnvelopeError) as refused:
            opened(ENVELOPE, sender, recipient)
        assert sender.institution in refused.value.blame


def test_it_can_not_be_signed_anew_by_another() -> None:
    body = ENVELOPE[:-SIGNATURE_LENGTH]
    place_end = 5 + int.from_bytes(body[3:5], "little")
    forged = C.sign("envelope", body[5:place_end] + body[place_end + 4 :])
    with pytest.raises(EnvelopeError, match="signature or its seal"):
        opened(body + forged)


def test_in_another_order_they_stay_shut() -> None:
    first, second = (seal(b"x", sender=A, recipient=B.public, **(PLACE | {"sequence": turn})) for turn in (0, 1))
    assert opened(first, sequence=0) == opened(second, sequence=1) == b"x"
    for envelope, turn in ((second, 0), (first, 1)):
        with pytest.raises(EnvelopeError, match="turn"):
            opened(envelope, sequence=turn)


def parts(envelope: bytes) -> tuple[bytes, bytes]:
    """Place and ciphertext."""
    end = 5 + int.from_bytes(envelope[3:5], "little")
    return envelope[5:end], envelope[end + 4 : -SIGNATURE_LENGTH]


def built(place: bytes, ciphertext: bytes, signer: PrivateIdentity) -> bytes:
    lengths = len(place).to_bytes(2, "little"), len(ciphertext).to_bytes(4, "little")
    body = b"CE1" + lengths[0] + place + lengths[1] + ciphertext
    return body + signer.sign("envelope", place + ciphertext)


def test_whoever_signs_it_anew_in_their_own_name_opens_nothing() -> None:
    """C takes what A sealed and hands it on as C's own: the seal is bound to who sealed it."""
    place, ciphertext = parts(ENVELOPE)
    stolen = place.replace(A.public.fingerprint.encode(), C.public.fingerprint.encode())
    with pytest.raises(EnvelopeError, match="signature or its seal"):
        opened(built(stolen, ciphertext, C), sender=C)
    with pytest.raises(EnvelopeError, match="another sender"):
        opened(built(place, ciphertext, C), sender=C)


def test_its_own_sender_can_not_move_a_ciphertext_to_another_place() -> None:
    place, ciphertext = parts(ENVELOPE)
    moved = place.replace(b'"job":"job-1"', b'"job":"job-2"')
    assert moved != place
    with pytest.raises(EnvelopeError, match="signature or its seal"):
        opened(built(moved, ciphertext, A), job="job-2")


def test_a_ciphertext_of_one_envelope_does_not_fit_another() -> None:
    other = seal(b"the key", sender=A, recipient=B.public, **PLACE)
    with pytest.raises(EnvelopeError, match="signature or its seal"):
        opened(ENVELOPE[:-SIGNATURE_LENGTH] + other[-SIGNATURE_LENGTH:])


@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_every_altered_byte_shuts_it(stride: int) -> None:
    for place in (*range(30), *range(30, len(ENVELOPE), stride)):
        altered = bytearray(ENVELOPE)
        altered[place] ^= 1 << place % 8
        with pytest.raises(EnvelopeError):
            opened(bytes(altered))


@pytest.mark.parametrize("cut", [0, 1, 3, 5, 100, 400, -1, -SIGNATURE_LENGTH])
def test_cut_or_lengthened_it_stays_shut(cut: int) -> None:
    for damaged in (ENVELOPE[:cut], ENVELOPE + bytes(abs(cut) + 1)):
        with pytest.raises(EnvelopeError):
            opened(damaged)


@given(st.binary(max_size=300), st.booleans())
def test_garbage_raises_only_our_error(data: bytes, framed: bool) -> None:
    with pytest.raises(EnvelopeError):
        opened(b"CE1" + data if framed else data)


@pytest.mark.parametrize("lengths", [b"\xff\xff", b"\x00\x00" + b"\xff\xff\xff\xff", b"\x00\x00\x00\x00\x00\x00"])
def test_lengths_that_lie_raise_only_our_error(lengths: bytes) -> None:
    with pytest.raises(EnvelopeError):
        opened(b"CE1" + lengths + bytes(50))


@pytest.mark.parametrize(("key", "value"), [("x25519", bytes(32)), ("mlkem768", b"\xff" * 1184)])
def test_nothing_is_sealed_to_a_key_that_is_none(key: str, value: bytes) -> None:
    hollow = dataclasses.replace(B.public, **{key: value})
    with pytest.raises((EnvelopeError, EncodingError), match="key"):
        seal(b"x", sender=A, recipient=hollow, **PLACE)
