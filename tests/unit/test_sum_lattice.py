"""The lattice engine sums exactly, and opens nothing that does not hold everybody exactly once."""

from typing import Any

import numpy as np
import pytest
import tenseal as ts
from numpy.typing import NDArray

from consortia_crypto.errors import CiphertextError, PrivateKeyMaterialError, SumError
from consortia_crypto.he.evaluate import Evaluator
from consortia_crypto.he.params import SUM
from consortia_crypto.he.secret import SecretContext
from consortia_crypto.he.wire import form
from consortia_crypto.sum import packing
from consortia_crypto.sum.coordinator import LatticeCoordinator
from consortia_crypto.sum.institution import LatticeInstitution, new_secret, public_part
from consortia_crypto.sum.policy import Sealed, SumCoordinator, SumInstitution, SumPolicy

SECRET = new_secret()
PUBLIC = public_part(SECRET)
POLICY = SumPolicy("job-1/1", ("bank-a", "bank-b", "bank-c"), 24, 7929)  # one value more than a block
VALUES = [np.random.default_rng(seed).integers(-POLICY.limit, POLICY.limit + 1, POLICY.length) for seed in range(3)]

ERASER = (
    1, 1, 0, 0, -2, 0, -2, -2, 0, 1, 0, 2, -1, 1, -2, 2, -1, 0, 1, 0, 0, 1, -2, 0,
    -1, 0, -2, 2, 2, 1, 0, -1, 0, 1, -1, -1, -1, -1, -1, -2, -2, 1, 0, -2, -1,
)  # fmt: skip
"""A polynomial that is 1 at slot 1 and 0 at slot 131; Euclidean norm 8.4."""


def uploads_of(policy: SumPolicy, values: list[NDArray[np.int64]]) -> dict[str, Sealed]:
    institution: SumInstitution = LatticeInstitution(policy, SECRET)
    return {name: institution.seal(values[i], i) for i, name in enumerate(policy.roster)}


UPLOADS = uploads_of(POLICY, VALUES)
A, B, C = UPLOADS.values()


def added(*uploads: Sealed) -> Sealed:
    """What a coordinator that keeps to no policy makes of these uploads."""
    evaluator = Evaluator(SUM, PUBLIC, "test")
    rows = zip(*(upload.blocks for upload in uploads), strict=True)
    return Sealed(tuple(evaluator.add({str(i): block for i, block in enumerate(row)}) for row in rows))


def test_the_sum_is_exact_over_several_blocks() -> None:
    coordinator: SumCoordinator = LatticeCoordinator(POLICY, PUBLIC)
    total = coordinator.add(UPLOADS)
    assert len(total.blocks) == 2
    np.testing.assert_array_equal(LatticeInstitution(POLICY, SECRET).open(total), sum(VALUES))


@pytest.mark.parametrize("word_bits", [16, 24, 64])
def test_the_noise_of_fifty_institutions_still_fits(word_bits: int) -> None:
    policy = SumPolicy("job-1/1", tuple(f"bank-{number}" for number in range(50)), word_bits, 2000)
    values = [np.where(np.arange(2000) % 2, policy.limit, -policy.limit)] * 50
    total = LatticeCoordinator(policy, PUBLIC).add(uploads_of(policy, values))
    np.testing.assert_array_equal(LatticeInstitution(policy, SECRET).open(total), 50 * values[0])


@pytest.mark.parametrize(
    ("total", "named"),
    [
        (added(A, B), "bank-c"),
        (added(A), "bank-b, bank-c"),
        (added(A, B, C, B), "bank-b"),
        (added(A, B, B), "bank-b, bank-c"),
        (added(A, B, C, A, B, C), "bank-a, bank-b, bank-c"),
        (added(A, B, Sealed(C.blocks[::-1])), "bank-c"),
        (Sealed(added(A, B, C).blocks[::-1]), "bank-a, bank-b, bank-c"),
    ],
    ids=["dropped", "alone", "doubled", "in place of", "scaled", "swapped blocks", "swapped totals"],
)
def test_anybody_missing_or_counted_twice_is_noticed_and_named(total: Sealed, named: str) -> None:
    with pytest.raises(SumError, match=f"fails for {named} "):
        LatticeInstitution(POLICY, SECRET).open(total)


def test_an_upload_of_another_round_is_noticed() -> None:
    earlier = SumPolicy("job-1/0", POLICY.roster, POLICY.word_bits, POLICY.length)
    replayed = uploads_of(earlier, VALUES)["bank-b"]
    with pytest.raises(SumError, match="bank-b"):
        LatticeInstitution(POLICY, SECRET).open(added(A, replayed, C))


def multiplied(block: bytes, polynomial: tuple[int, ...]) -> bytes:
    """A ciphertext times a plaintext polynomial: anybody can, with no key, coefficient by coefficient."""
    shape = form(SUM, SUM.scale)
    start = len(shape.prefix)
    factors = np.frombuffer(block, "<u8", 2 * shape.degree, start).reshape(2, -1).astype(object)
    product = np.zeros_like(factors)
    for power, coefficient in enumerate(polynomial):
        turned = np.roll(factors, power, axis=1)
        turned[:, :power] *= -1
        product += coefficient * turned
    return block[:start] + (product % shape.modulus).astype("<u8").tobytes() + shape.suffix


def test_an_upload_multiplied_so_that_its_own_answer_stays_right_is_noticed() -> None:
    """ERASER keeps bank-b's own slot and makes its first value 0, with little enough noise to open.

    Lattice reduction (LLL in 49 dimensions) finds such a polynomial in a second; the shared slots give it away.
    """
    context, shape = SecretContext(SUM, SECRET), form(SUM, SUM.scale)
    ones = context.encrypt(np.ones(SUM.slots, np.int64))
    effect = context.decrypt_integers(multiplied(ones, ERASER), shape, "test")
    assert (effect[1], effect[packing.roll_call_slots(POLICY)]) == (1, 0)
    erased = Sealed(tuple(multiplied(block, ERASER) for block in B.blocks))
    with pytest.raises(SumError, match="uploads that were altered"):
        LatticeInstitution(POLICY, SECRET).open(added(A, erased, C))


def test_an_upload_under_another_key_is_noticed() -> None:
    stranger = LatticeInstitution(POLICY, new_secret()).seal(VALUES[1], 1)
    with pytest.raises(SumError):
        LatticeInstitution(POLICY, SECRET).open(added(A, stranger, C))


def test_not_defended_yet_numbers_added_to_the_values_go_unnoticed() -> None:
    """The public key lets the coordinator add what it likes outside the roll call; the keyed tag will stop it."""
    total = added(A, B, C)
    context = ts.context_from(PUBLIC, 1)
    slots = [0] * SUM.slots
    slots[packing.roll_call_slots(POLICY)] = 5
    forged = (ts.bfv_vector_from(context, total.blocks[0]) + ts.bfv_vector(context, slots)).serialize()
    opened = LatticeInstitution(POLICY, SECRET).open(Sealed((forged, total.blocks[1])))
    assert opened[0] == sum(VALUES)[0] + 5


@pytest.mark.parametrize(
    ("values", "index"),
    [
        (VALUES[0][:-1], 0),
        (VALUES[0].reshape(1, -1), 0),
        (VALUES[0].astype(np.float64), 0),
        (VALUES[0].tolist(), 0),
        (np.full(POLICY.length, POLICY.limit + 1), 0),
        (np.full(POLICY.length, np.iinfo(np.int64).min), 0),
        (VALUES[0], 3),
        (VALUES[0], -1),
    ],
    ids=["short", "matrix", "float", "list", "too large", "smallest int64", "place 3", "place -1"],
)
def test_values_outside_the_policy_are_not_sealed(values: Any, index: int) -> None:
    with pytest.raises(SumError):
        LatticeInstitution(POLICY, SECRET).seal(values, index)


@pytest.mark.parametrize(
    "uploads",
    [
        {"bank-a": A, "bank-b": B},
        {},
        UPLOADS | {"bank-d": A},
        UPLOADS | {"bank-c": Sealed(C.blocks[:1])},
        UPLOADS | {"bank-c": Sealed((*C.blocks, C.blocks[0]))},
    ],
    ids=["missing", "none", "stranger", "short", "long"],
)
def test_uploads_outside_the_policy_are_not_added(uploads: dict[str, Sealed]) -> None:
    with pytest.raises(SumError):
        LatticeCoordinator(POLICY, PUBLIC).add(uploads)


def test_a_bad_upload_is_refused_in_its_senders_name() -> None:
    with pytest.raises(CiphertextError, match="at fault: bank-b"):
        LatticeCoordinator(POLICY, PUBLIC).add(UPLOADS | {"bank-b": Sealed((b"?" * len(B.blocks[0]),) * 2)})


def test_a_total_of_another_length_is_not_opened() -> None:
    with pytest.raises(SumError):
        LatticeInstitution(POLICY, SECRET).open(Sealed(added(A, B, C).blocks[:1]))


def test_the_coordinator_refuses_the_secret() -> None:
    with pytest.raises(PrivateKeyMaterialError):
        LatticeCoordinator(POLICY, SECRET)


def test_uploads_are_different_every_time() -> None:
    institution = LatticeInstitution(POLICY, SECRET)
    assert not set(institution.seal(VALUES[0], 0).blocks) & set(A.blocks)
