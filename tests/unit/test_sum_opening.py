"""Sealing, adding and opening in both engines; and nothing that the coordinator can do to a sum is opened."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import tenseal as ts
from numpy.typing import NDArray

from consortia_crypto.errors import CiphertextError, CryptoError, PrivateKeyMaterialError, SumError
from consortia_crypto.he.params import SUM
from consortia_crypto.sum import tag as tags
from consortia_crypto.sum.lattice import FORM, LatticeCollector, collector_group
from consortia_crypto.sum.lattice_secret import member_group, new_secret, public_part
from consortia_crypto.sum.masking import Mask, accumulate, adjust
from consortia_crypto.sum.opening import open_total, seal
from consortia_crypto.sum.plans import MaskPlan, OpenPlan
from consortia_crypto.sum.terms import WORD_BITS, SumPolicy
from consortia_crypto.sum.vector import FRAME_BYTES, Integers, MemoryVector
from tests.support.sealing import policy_of, seed_of, values_of

SECRET = new_secret()
PUBLIC = public_part(SECRET)
ENGINES = pytest.mark.parametrize("engine", ["masked", "lattice"])
WIDTHS = pytest.mark.parametrize("word_bits", WORD_BITS)
ERASER = (
    1, 1, 0, 0, -2, 0, -2, -2, 0, 1, 0, 2, -1, 1, -2, 2, -1, 0, 1, 0, 0, 1, -2, 0,
    -1, 0, -2, 2, 2, 1, 0, -1, 0, 1, -1, -1, -1, -1, -1, -2, -2, 1, 0, -2, -1,
)  # fmt: skip
"""A polynomial of Euclidean norm 8.4, 1 at slot 1 and 0 at slot 131: what it multiplies still opens."""


@dataclass(frozen=True)
class Round:
    """What three institutions and a coordinator have after R4, with one pair of masks, self masks and one pad."""

    policy: SumPolicy
    values: list[NDArray[np.int64]]
    uploads: list[MemoryVector]
    tags: list[int]
    remove: tuple[Mask, ...]
    remove_tags: tuple[Mask, ...]
    plan: OpenPlan

    def added(self, *which: int) -> MemoryVector:
        group = collector_group(self.policy, PUBLIC, "bank-0")
        total = MemoryVector.zeros(group.wire.size)
        for place, number in enumerate(which):
            accumulate(group, total, self.uploads[number], self.policy.roster[number], first=place == 0)
        adjust(group, total, self.remove, total)
        return total

    def tag(self, *which: int) -> int:
        return tags.shift(sum(self.tags[number] for number in which), self.remove_tags)

    def open(self, total: MemoryVector, tag: int) -> Integers:
        group = member_group(self.policy, SECRET)
        sink = MemoryVector.zeros(group.values.size)
        open_total(group, total, sink, replace(self.plan, tag=tag))
        return group.values.integers(sink.data)


def masks_of(label: str) -> list[list[Mask]]:
    """Of each institution; the pad of the first is the last of its masks."""
    pair, selves = Mask(seed_of((label, "pair")), 1), [Mask(seed_of((label, number)), 1) for number in range(3)]
    return [[pair, selves[0], Mask(seed_of((label, "pad")), 1)], [Mask(pair.seed, -1), selves[1]], [selves[2]]]


def round_of(word_bits: int, engine: str, length: int = 5000, session: str = "s") -> Round:
    policy = policy_of(word_bits, length, engine=engine)
    vector, tag = masks_of(session), masks_of(session + "tag")
    values = [values_of(policy, seed) for seed in range(3)]
    group = member_group(policy, SECRET)
    uploads, made = [], []
    for number in range(3):
        sink = MemoryVector.zeros(group.wire.size)
        on = MaskPlan(tuple(vector[number]), tuple(tag[number]), seed_of(session + "key"))
        octets = group.values.octets(values[number])
        made.append(seal(policy, group, MemoryVector(octets), sink, on)[1])
        uploads.append(sink)

    def off(masks: list[list[Mask]], kind: slice) -> tuple[Mask, ...]:
        return tuple(Mask(mask.seed, -1) for own in masks for mask in (own[1:] if len(own) > 1 else own)[kind])

    plan = OpenPlan(
        masks=off(vector[:1], slice(1, None)),
        tag_masks=off(tag[:1], slice(1, None)),
        tag_key=seed_of(session + "key"),
        tag=0,
        bound=3 * policy.limit,
        contributors=policy.roster,
        attempt=1,
    )
    return Round(policy, values, uploads, made, off(vector, slice(0, 1)), off(tag, slice(0, 1)), plan)


@ENGINES
@WIDTHS
def test_the_sum_is_exact_over_several_frames(word_bits: int, engine: str) -> None:
    length = 14 * 3 * 4096 + 1 if engine == "lattice" else FRAME_BYTES + 1
    made = round_of(word_bits, engine, length)
    assert member_group(made.policy, SECRET).wire.frames > 1
    opened = made.open(made.added(0, 1, 2), made.tag(0, 1, 2))
    np.testing.assert_array_equal(opened, sum(made.values))


@ENGINES
@WIDTHS
@pytest.mark.parametrize("wrong", ["above", "below", "least"])
def test_a_frame_with_a_value_beyond_the_limit_is_not_sealed(word_bits: int, engine: str, wrong: str) -> None:
    policy = policy_of(word_bits, 5000, engine=engine)
    group = member_group(policy, SECRET)
    values, least = np.zeros(5000, np.int64), -(2 ** (8 * policy.value_bytes - 1))
    values[4999] = {"above": policy.limit + 1, "below": -policy.limit - 1, "least": least}[wrong]
    sink = MemoryVector.zeros(group.wire.size)
    plan = MaskPlan((Mask(seed_of("on"), 1),), (), seed_of("key"))
    with pytest.raises(SumError, match=r"beyond the policy's limit.*job code"):
        seal(policy, group, MemoryVector(group.values.octets(values)), sink, plan)
    assert not sink.data.any()


ROUNDS = {engine: round_of(32, engine) for engine in ("masked", "lattice")}


@ENGINES
@pytest.mark.parametrize(
    ("vectors", "tagged"),
    [((0, 1), (0, 1)), ((0, 1), (0, 1, 2)), ((0,), (0,)), ((0, 1, 2, 2), (0, 1, 2, 2)), ((0, 1, 1), (0, 1, 1)),
     ((0, 1, 2) * 2, (0, 1, 2) * 2), ((0, 1, 2), (0, 1)), ((1, 2), (1, 2))],
    ids=["dropped", "dropped, its tag not", "alone", "doubled", "in place of", "scaled", "tag dropped", "no pad"],
)  # fmt: skip
def test_another_sum_than_that_of_the_set_is_refused(
    engine: str, vectors: tuple[int, ...], tagged: tuple[int, ...]
) -> None:
    made = ROUNDS[engine]
    with pytest.raises(SumError):
        made.open(made.added(*vectors), made.tag(*tagged))


@ENGINES
@pytest.mark.parametrize("change", [1, -1, 2**60])
def test_an_altered_tag_is_refused(engine: str, change: int) -> None:
    made = ROUNDS[engine]
    with pytest.raises(SumError):
        made.open(made.added(0, 1, 2), (made.tag(0, 1, 2) + change) % tags.P)


@ENGINES
def test_an_upload_of_another_round_is_refused(engine: str) -> None:
    made, earlier = ROUNDS[engine], round_of(32, engine, session="r")
    replayed = replace(made, uploads=[*made.uploads[:2], earlier.uploads[2]])
    for tag in (made.tag(0, 1, 2), replace(made, tags=[*made.tags[:2], earlier.tags[2]]).tag(0, 1, 2)):
        with pytest.raises(SumError):
            made.open(replayed.added(0, 1, 2), tag)


@pytest.mark.parametrize("word_bits", [32, 64])
@pytest.mark.parametrize("place", [0, 4097, 4999])
@pytest.mark.parametrize("change", [1, -1, tags.P])
def test_a_word_of_the_total_that_was_moved_is_noticed(word_bits: int, place: int, change: int) -> None:
    made = round_of(word_bits, "masked")
    total = made.added(0, 1, 2)
    words = total.data.view(f"<u{word_bits // 8}")
    words[place] += np.asarray(change % 2**word_bits, words.dtype)
    with pytest.raises(SumError):
        made.open(total, made.tag(0, 1, 2))


def test_rows_that_changed_places_are_noticed() -> None:
    """Before the pads are on: a coordinator that moves whole rows moves the pad's with them."""
    made = ROUNDS["masked"]
    total = made.added(0, 1, 2)
    total.data[:] = np.roll(total.data, 4 * 4096)
    with pytest.raises(SumError):
        made.open(total, made.tag(0, 1, 2))


@ENGINES
def test_a_refusal_does_not_tell_a_wrong_tag_from_a_sum_beyond_its_bounds(engine: str) -> None:
    made = ROUNDS[engine]
    refusals = set()
    for tag, bound in ((made.tag(0, 1, 2), 1), (made.tag(0, 1), made.plan.bound)):
        with pytest.raises(SumError) as refusal:
            replace(made, plan=replace(made.plan, bound=bound)).open(made.added(0, 1, 2), tag)
        refusals.add(str(refusal.value))
    assert len(refusals) == 1


def test_lattice_what_lies_beyond_the_vector_changes_nothing() -> None:
    made = ROUNDS["lattice"]
    total = made.added(0, 1, 2)
    beyond = [0] * (SUM.slots - 1) + [1]
    forged = (ts.bfv_vector_from(ts.context_from(PUBLIC, 1), block_of(total, 1)) + beyond).serialize()
    np.testing.assert_array_equal(made.open(with_block(total, forged, 1), made.tag(0, 1, 2)), sum(made.values))


def block_of(total: MemoryVector, number: int = 0) -> bytes:
    return total.read(number * FORM.length, FORM.length).tobytes()


def with_block(total: MemoryVector, block: bytes, number: int = 0) -> MemoryVector:
    changed = MemoryVector(total.data.copy())
    changed.write(number * FORM.length, np.frombuffer(block, np.uint8))
    return changed


def test_lattice_a_number_added_under_the_public_key_is_noticed() -> None:
    made = ROUNDS["lattice"]
    total = made.added(0, 1, 2)
    context, slots = ts.context_from(PUBLIC, 1), [0] * SUM.slots
    slots[17] = 5
    forged = (ts.bfv_vector_from(context, block_of(total)) + ts.bfv_vector(context, slots)).serialize()
    with pytest.raises(SumError):
        made.open(with_block(total, forged), made.tag(0, 1, 2))


def multiplied(block: bytes, polynomial: tuple[int, ...]) -> bytes:
    """A ciphertext times a plaintext polynomial: anybody can, with no key, coefficient by coefficient."""
    start = len(FORM.prefix)
    factors = np.frombuffer(block, "<u8", 2 * FORM.degree, start).reshape(2, -1).astype(object)
    product = np.zeros_like(factors)
    for power, coefficient in enumerate(polynomial):
        turned = np.roll(factors, power, axis=1)
        turned[:, :power] *= -1
        product += coefficient * turned
    return block[:start] + (product % FORM.modulus).astype("<u8").tobytes() + FORM.suffix


def test_lattice_an_upload_multiplied_by_a_short_polynomial_is_noticed() -> None:
    made = ROUNDS["lattice"]
    erased = MemoryVector(made.uploads[1].data.copy())
    erased = with_block(erased, multiplied(block_of(erased), ERASER))
    altered = replace(made, uploads=[made.uploads[0], erased, made.uploads[2]])
    with pytest.raises(SumError):
        made.open(altered.added(0, 1, 2), made.tag(0, 1, 2))


def test_lattice_blocks_that_changed_places_are_noticed() -> None:
    made = ROUNDS["lattice"]
    total = made.added(0, 1, 2)
    first, second = block_of(total, 0), block_of(total, 1)
    with pytest.raises(SumError):
        made.open(with_block(with_block(total, second), first, 1), made.tag(0, 1, 2))


@pytest.mark.parametrize("spoilt", [b"?" * FORM.length, bytes(FORM.length)], ids=["noise", "zeros"])
@pytest.mark.parametrize("first", [True, False])
def test_lattice_a_bad_upload_is_refused_in_its_senders_name(spoilt: bytes, first: bool) -> None:
    made = ROUNDS["lattice"]
    upload = with_block(made.uploads[1], spoilt, 1)
    group = collector_group(made.policy, PUBLIC, "bank-0")
    with pytest.raises(CiphertextError, match="at fault: bank-1"):
        accumulate(group, MemoryVector(made.uploads[0].data.copy()), upload, "bank-1", first=first)


def test_lattice_a_total_of_noise_is_refused() -> None:
    made = ROUNDS["lattice"]
    with pytest.raises(CiphertextError):
        made.open(with_block(made.added(0, 1, 2), b"?" * FORM.length), made.tag(0, 1, 2))


@pytest.mark.parametrize("word_bits", [16, 24, 64])
def test_lattice_the_noise_of_fifty_institutions_and_all_their_masks_still_fits(word_bits: int) -> None:
    policy = policy_of(word_bits, 2000, institutions=50, engine="lattice")
    values = np.where(np.arange(2000) % 2, policy.limit, -policy.limit)
    group, collector = member_group(policy, SECRET), collector_group(policy, PUBLIC, "bank-0")
    upload, total = MemoryVector.zeros(group.wire.size), MemoryVector.zeros(group.wire.size)
    own = Mask(seed_of("fifty"), 1)
    for number in range(50):
        upload.data[:] = group.seal(0, values, [own])
        accumulate(collector, total, upload, f"bank-{number}", first=number == 0)
    adjust(collector, total, [Mask(own.seed, -1)] * 50, total)
    np.testing.assert_array_equal(group.open(0, total.data, []), 50 * values)


def test_lattice_who_decrypts_an_upload_sees_masked_values_only() -> None:
    """An institution that colludes with the coordinator has the key: without the masks' seeds it has nothing."""
    policy = policy_of(24, 8192, engine="lattice")
    group = member_group(policy, SECRET)
    zeros, extremes = np.zeros(8192, np.int64), np.full(8192, policy.limit)
    for values in (zeros, extremes):
        sealed = group.seal(0, values, [Mask(seed_of("unknown"), 1)])
        seen = LatticeCollector(policy, PUBLIC, "bank-0").adjust(0, sealed, [])
        slots = np.array(ts.bfv_vector_from(ts.context_from(SECRET, 1), seen.tobytes()).decrypt(), np.float64)
        assert abs(slots.mean()) / SUM.plain_modulus < 0.02  # uniform: ± 1/√12 / 64 = 0.0045
        assert abs(slots.std() / SUM.plain_modulus - 12**-0.5) < 0.02


def test_the_coordinator_refuses_the_secret() -> None:
    with pytest.raises(PrivateKeyMaterialError):
        collector_group(policy_of(24, 10, engine="lattice"), SECRET, "bank-0")


@pytest.mark.parametrize("make", [lambda p: collector_group(p, None, "bank-0"), lambda p: member_group(p, None)])
def test_a_lattice_sum_needs_its_key(make: Callable[[SumPolicy], Any]) -> None:
    with pytest.raises(SumError, match="can't go on without"):
        make(policy_of(24, 10, engine="lattice"))
    make(policy_of(24, 10))


@ENGINES
@pytest.mark.parametrize("wrong", ["total", "sink"])
def test_vectors_of_another_size_are_not_opened(engine: str, wrong: str) -> None:
    made = ROUNDS[engine]
    group = member_group(made.policy, SECRET)
    total, sink = made.added(0, 1, 2), MemoryVector.zeros(group.values.size)
    shorter = MemoryVector((total if wrong == "total" else sink).data[:-1])
    with pytest.raises(CryptoError, match="bytes, not"):
        open_total(group, shorter if wrong == "total" else total, shorter if wrong == "sink" else sink, made.plan)
