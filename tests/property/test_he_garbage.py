"""Garbage in place of ciphertexts, contexts and secrets raises the package's own errors and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_crypto.errors import CryptoError
from consortia_crypto.he.wire import chunk
from consortia_crypto.score import data_owner, model_owner
from consortia_crypto.sum import lattice, lattice_secret
from consortia_crypto.sum.masking import Mask
from consortia_crypto.sum.tag import TagKey, accepts, tag
from consortia_crypto.sum.vector import Octets
from tests.support.sealing import policy_of, seed_of

POLICY = policy_of(24, 100, engine="lattice")
SECRET = lattice_secret.new_secret()
PUBLIC = lattice_secret.public_part(SECRET)
INSTITUTION = lattice_secret.member_group(POLICY, SECRET)
COORDINATOR = lattice.collector_group(POLICY, PUBLIC, "bank-0")
VALUES = np.arange(100)
MASKS = (Mask(seed_of("mask"), 1),)
UNMASKS = (Mask(seed_of("mask"), -1),)
UPLOAD = INSTITUTION.seal(0, VALUES, MASKS)
TOTAL = COORDINATOR.adjust(0, COORDINATOR.add(None, UPLOAD, "bank-0"), UNMASKS).tobytes()
BLOCK = UPLOAD.tobytes()
SCORE_SECRET = data_owner.new_secret()
SCORE_PUBLIC = data_owner.public_part(SCORE_SECRET)


def framed(data: bytes) -> Octets:
    """As a frame, which always comes in its right length; what is missing is no coefficient."""
    return np.frombuffer(data[: len(BLOCK)].ljust(len(BLOCK), b"\xff"), np.uint8)


READERS: dict[str, Callable[[bytes], object]] = {
    "public context of a sum": lambda data: lattice.collector_group(POLICY, data, "bank-0"),
    "secret of a sum": lambda data: lattice_secret.member_group(POLICY, data).seal(0, VALUES, ()),
    "public part of a sum": lattice_secret.public_part,
    "upload": lambda data: COORDINATOR.add(UPLOAD, framed(data), "bank-1"),
    "first upload": lambda data: COORDINATOR.add(None, framed(data), "bank-1"),
    "total of uploads": lambda data: COORDINATOR.adjust(0, framed(data), UNMASKS),
    "total": lambda data: INSTITUTION.open(0, framed(data), ()),
    "public context of a scoring": lambda data: model_owner.evaluate(data, [BLOCK], np.ones(1), 0.0, 1),
    "secret of a scoring": lambda data: data_owner.encrypt(data, np.zeros((1, 1))),
    "feature": lambda data: model_owner.evaluate(SCORE_PUBLIC, [data], np.ones(1), 0.0, 1),
    "answer": lambda data: data_owner.decrypt(SCORE_SECRET, [data], 1),
}

fields = st.lists(st.builds(chunk, st.integers(1, 5), st.binary(max_size=40))).map(b"".join)
cut = st.tuples(st.sampled_from([SECRET, PUBLIC, BLOCK]), st.integers(1, 60_000)).map(
    lambda pair: pair[0][: min(pair[1], len(pair[0]) - 8)]
)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300) | fields | cut)
def test_garbage_is_refused(reader: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(CryptoError):
        reader(data)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, len(TOTAL) - 1) | st.integers(0, 140), flip=st.integers(1, 255))
def test_a_damaged_total_is_refused_or_opens_exactly_or_has_another_tag(position: int, flip: int) -> None:
    """A change below the noise is corrected by decryption; what is above it is caught here or by the sum's tag."""
    damaged = TOTAL[:position] + bytes([TOTAL[position] ^ flip]) + TOTAL[position + 1 :]
    key = TagKey.derive(seed_of("tag"), POLICY.limit)
    try:
        opened = INSTITUTION.open(0, framed(damaged), ())
        found = tag(key, [opened])
    except CryptoError:
        return
    assert accepts(found, tag(key, [VALUES])) is bool((opened == VALUES).all())
