"""Garbage in place of ciphertexts, contexts and secrets raises the package's own errors and nothing else."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortia_crypto.errors import CryptoError
from consortia_crypto.he.wire import chunk
from consortia_crypto.score import data_owner, model_owner
from consortia_crypto.sum import institution as sums
from consortia_crypto.sum.coordinator import LatticeCoordinator
from consortia_crypto.sum.institution import LatticeInstitution
from consortia_crypto.sum.policy import Sealed, SumPolicy

POLICY = SumPolicy("job-1/1", ("bank-a", "bank-b", "bank-c"), 24, 100)
SECRET = sums.new_secret()
PUBLIC = sums.public_part(SECRET)
INSTITUTION = LatticeInstitution(POLICY, SECRET)
COORDINATOR = LatticeCoordinator(POLICY, PUBLIC)
VALUES = np.arange(100)
UPLOADS = {name: INSTITUTION.seal(VALUES, i) for i, name in enumerate(POLICY.roster)}
TOTAL = COORDINATOR.add(UPLOADS).blocks[0]
BLOCK = UPLOADS["bank-a"].blocks[0]
SCORE_SECRET = data_owner.new_secret()
SCORE_PUBLIC = data_owner.public_part(SCORE_SECRET)

READERS: dict[str, Callable[[bytes], object]] = {
    "public context of a sum": lambda data: LatticeCoordinator(POLICY, data),
    "secret of a sum": lambda data: LatticeInstitution(POLICY, data),
    "public part of a sum": sums.public_part,
    "upload": lambda data: COORDINATOR.add(UPLOADS | {"bank-b": Sealed((data,))}),
    "total": lambda data: INSTITUTION.open(Sealed((data,))),
    "public context of a scoring": lambda data: model_owner.evaluate(data, [BLOCK], np.ones(1), 0.0, 1),
    "secret of a scoring": lambda data: data_owner.encrypt(data, np.zeros((1, 1))),
    "feature": lambda data: model_owner.evaluate(SCORE_PUBLIC, [data], np.ones(1), 0.0, 1),
    "answer": lambda data: data_owner.decrypt(SCORE_SECRET, [data], 1),
}

fields = st.lists(st.builds(chunk, st.integers(1, 5), st.binary(max_size=40))).map(b"".join)
cut = st.tuples(st.sampled_from([SECRET, PUBLIC, BLOCK]), st.integers(1, 60_000)).map(
    lambda pair: pair[0][: pair[1]]
)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300) | fields | cut)
def test_garbage_is_refused(reader: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(CryptoError):
        reader(data)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, len(TOTAL) - 1) | st.integers(0, 140), flip=st.integers(1, 255))
def test_a_damaged_total_is_refused_or_opens_exactly(position: int, flip: int) -> None:
    """A change below the noise is corrected by decryption; one above it is caught by form or roll call."""
    damaged = TOTAL[:position] + bytes([TOTAL[position] ^ flip]) + TOTAL[position + 1 :]
    try:
        opened = INSTITUTION.open(Sealed((damaged,)))
    except CryptoError:
        return
    np.testing.assert_array_equal(opened, 3 * VALUES)
