"""A customer's keys: what is wrapped, sealed or committed to opens at its place, under its key, nowhere else."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_crypto import subject
from consortia_crypto.errors import SubjectKeyError
from consortia_crypto.subject import Opening, Payload, WrappingKey, open_payload, seal_payload

KEK = WrappingKey(b"k" * 32)
OTHER = WrappingKey(b"o" * 32)
KEY = b"s" * 32
PLACE = b"subject 7"


@given(st.binary(max_size=600))
def test_what_is_sealed_opens_again(content: bytes) -> None:
    sealed = subject.seal(KEY, PLACE, content)
    assert subject.unseal(KEY, PLACE, sealed).startswith(content)
    assert KEK.unwrap(PLACE, KEK.wrap(PLACE, content)) == content
    opening = open_payload(KEY, seal_payload(KEY, content))
    assert opening.content == content
    assert opening.commitment == hmac.new(opening.salt, content, "sha256").hexdigest()


def test_lengths_tell_little() -> None:
    assert len({len(subject.seal(KEY, PLACE, bytes(length))) for length in range(1, 257)}) == 1


def test_the_same_twice_looks_different() -> None:
    assert KEK.wrap(PLACE, KEY) != KEK.wrap(PLACE, KEY)
    assert seal_payload(KEY, b"same").commitment != seal_payload(KEY, b"same").commitment


def test_another_key_or_place_opens_nothing() -> None:
    wrapped, sealed = KEK.wrap(PLACE, KEY), subject.seal(KEY, PLACE, b"{}")
    for attempt in (
        lambda: OTHER.unwrap(PLACE, wrapped),
        lambda: KEK.unwrap(b"subject 8", wrapped),
        lambda: subject.unseal(b"x" * 32, PLACE, sealed),
        lambda: subject.unseal(KEY, b"subject 8", sealed),
        lambda: open_payload(b"x" * 32, seal_payload(KEY, b"{}")),
    ):
        with pytest.raises(SubjectKeyError):
            attempt()


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_garbage_is_refused(wrapped: bytes, sealed: bytes) -> None:
    for attempt in (
        lambda: KEK.unwrap(PLACE, wrapped),
        lambda: subject.unseal(KEY, PLACE, sealed),
        lambda: open_payload(KEY, Payload("0" * 64, wrapped, sealed)),
        lambda: open_payload(
            KEY, Payload("0" * 64, WrappingKey(KEY).wrap(b"payload" + b"0" * 64, wrapped), sealed)
        ),
    ):
        with pytest.raises(SubjectKeyError):
            attempt()


def test_a_payload_under_another_commitment_is_refused() -> None:
    one, two = seal_payload(KEY, b"1"), seal_payload(KEY, b"2")
    with pytest.raises(SubjectKeyError):
        open_payload(KEY, Payload(two.commitment, one.wrapped, one.sealed))


def test_a_proof_is_the_same_each_time_and_another_under_another_key() -> None:
    opening = subject.prove(KEY, b"record")
    assert opening == subject.prove(KEY, b"record")
    assert opening.commitment == hmac.new(opening.salt, b"record", "sha256").hexdigest()
    assert opening.salt not in {subject.prove(KEY, b"other").salt, subject.prove(b"x" * 32, b"record").salt}


def test_tags_and_ids_depend_on_the_key() -> None:
    assert KEK.tag("1") == KEK.tag("1") != OTHER.tag("1")
    assert KEK.tag("1") != KEK.tag("2")
    assert KEK.id != OTHER.id
    assert "kkk" not in repr(KEK)
    assert "secret" not in repr(Opening(b"", b"secret"))
