"""Whatever the widths, lengths, values and masks: sums are exact, and bytes from outside raise only our errors."""

from contextlib import suppress
from itertools import accumulate as running

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from consortia_crypto.errors import CryptoError, SumError
from consortia_crypto.sum import shamir
from consortia_crypto.sum import tag as tags
from consortia_crypto.sum.keystream import new_buffer
from consortia_crypto.sum.lattice import FORM, LatticeCollector
from consortia_crypto.sum.lattice_secret import LatticeMember, new_secret, public_part
from consortia_crypto.sum.quantise import dequantise, quantise
from consortia_crypto.sum.slots import MODULUS, SLOTS, slots_of
from consortia_crypto.sum.tag import ROW, TagKey
from consortia_crypto.sum.terms import WORD_BITS, Scale, SumPolicy
from consortia_crypto.sum.vector import FrameSink, Layout, MemoryVector, frames
from consortia_crypto.sum.words import group_of
from tests.support.sealing import masks_of, policy_of, values_of, without

SECRET = new_secret()
PUBLIC = public_part(SECRET)
KEY = TagKey.derive(bytes(32), tags.LARGEST)

widths = st.sampled_from(WORD_BITS)
seeds = st.integers(0, 2**32)


@st.composite
def policies(draw: st.DrawFn, engine: str = "masked", longest: int = 20_000) -> SumPolicy:
    return policy_of(
        draw(widths), draw(st.integers(1, longest)), institutions=draw(st.integers(3, 50)), engine=engine
    )


def summands(policy: SumPolicy, seed: int, extremes: bool) -> list[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    if extremes:
        return [rng.choice([-policy.limit, policy.limit], policy.length) for _ in policy.roster]
    return [values_of(policy, seed + number) for number, _ in enumerate(policy.roster)]


@settings(max_examples=40)
@given(policies(), seeds, st.booleans(), st.integers(0, 6))
def test_masked_words_add_up_to_the_exact_sum(policy: SumPolicy, seed: int, extremes: bool, count: int) -> None:
    group, values = group_of(policy), summands(policy, seed, extremes)
    masks = [masks_of((seed, name), count) for name in policy.roster]
    uploads = [group.seal(0, value, own) for value, own in zip(values, masks, strict=True)]
    *_, total = running(uploads, lambda total, upload: group.add(total, upload, "test"))
    off = [mask for own in masks for mask in without(own)]
    np.testing.assert_array_equal(group.open(0, group.adjust(0, total, off), []), sum(values))


@settings(max_examples=6)
@given(policies("lattice", 6000), seeds, st.booleans())
def test_encrypted_slots_add_up_to_the_exact_sum(policy: SumPolicy, seed: int, extremes: bool) -> None:
    member, collector = LatticeMember(policy, SECRET), LatticeCollector(policy, PUBLIC, "test")
    values = summands(policy, seed, extremes)[:5]
    masks = [masks_of((seed, number), 2) for number in range(len(values))]
    uploads = [member.seal(0, value, own) for value, own in zip(values, masks, strict=True)]
    *_, total = running(uploads, lambda total, upload: collector.add(total, upload, "test"))
    off = [mask for own in masks for mask in without(own)]
    np.testing.assert_array_equal(member.open(0, collector.adjust(0, total, off), []), sum(values))


@settings(max_examples=30)
@given(st.data(), widths, st.integers(1, 200))
def test_any_words_open_to_integers_or_are_refused_by_the_tag(data: st.DataObject, width: int, length: int) -> None:
    policy = policy_of(width, length)
    octets = np.frombuffer(
        data.draw(st.binary(min_size=length * width // 8, max_size=length * width // 8)), np.uint8
    )
    values = group_of(policy).open(0, octets, masks_of("garbage", 2))
    key = TagKey.derive(bytes(32), 3 * policy.limit)
    try:
        assert 0 <= tags.tag(key, [values]) < tags.P
    except SumError:
        assert np.abs(values.astype(object)).max() > 3 * policy.limit


@given(st.lists(st.integers(0, MODULUS - 1), min_size=4, max_size=4), widths)
def test_any_slots_open_to_values(drawn: list[int], width: int) -> None:
    """What a coordinator turned the sum into is the tag's to refuse."""
    row = np.zeros((1, SLOTS), np.int64)
    row[0, :4] = drawn
    policy = policy_of(width, 12)
    try:
        opened = slots_of(policy, 1).open(0, row, masks_of("slots", 2))
        assert (opened.shape, opened.itemsize) == ((12,), policy.value_bytes)
    except SumError:
        assert width != 64


@settings(max_examples=30)
@given(st.binary(max_size=64), st.integers(0, FORM.length - 1))
def test_spoilt_ciphertexts_raise_only_our_errors(noise: bytes, place: int) -> None:
    policy = policy_of(24, 10, engine="lattice")
    octets = LatticeMember(policy, SECRET).seal(0, np.zeros(10, np.int64), []).copy()
    octets[place : place + len(noise)] = np.frombuffer(noise[: FORM.length - place], np.uint8)
    for use in (
        lambda: LatticeCollector(policy, PUBLIC, "bank-1").add(None, octets, "bank-1"),
        lambda: LatticeMember(policy, SECRET).open(0, octets, []),
    ):
        with suppress(CryptoError):
            use()


@settings(max_examples=40)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, ROW - 1), seeds, st.integers(0, 60))
def test_a_tag_does_not_depend_on_the_chunks_and_is_linear(
    rows: list[int], rest: int, seed: int, bits: int
) -> None:
    ends = [ROW * place for place in running(rows)]
    rng = np.random.default_rng(seed)
    one, other = (rng.integers(-(2**bits) // 4, 2**bits // 4, ends[-1] + rest, endpoint=True) for _ in range(2))
    whole = tags.tag(KEY, [one])
    assert tags.tag(KEY, np.split(one, ends)) == whole
    assert tags.tag(KEY, [one + other]) == (whole + tags.tag(KEY, [other])) % tags.P
    assert tags.tag(KEY, [-one]) == -whole % tags.P


@settings(max_examples=40)
@given(st.data(), st.integers(1, tags.LARGEST), st.integers(1, 5 * ROW), st.integers(0, tags.P - 1))
def test_the_products_of_a_tag_are_those_of_whole_numbers(
    data: st.DataObject, bound: int, length: int, repeated: int
) -> None:
    """Of the largest values and digits too, where floating point would go wrong first."""
    edges = st.sampled_from([-bound, bound, bound - 1, 0]) | st.integers(-bound, bound)
    values = np.resize(np.array(data.draw(st.lists(edges, min_size=1, max_size=30)), np.int64), length)
    drawn = np.random.default_rng(length).integers(0, tags.P, ROW)
    r = data.draw(st.sampled_from([drawn, np.full(ROW, repeated), np.full(ROW, tags.LARGEST)]))
    signed = [number - tags.P if number > tags.LARGEST else number for number in r.tolist()]
    rows = [values[start : start + ROW].tolist() for start in range(0, length, ROW)]
    expected = [sum(one * other for one, other in zip(row, signed, strict=False)) for row in rows]
    piece = new_buffer() if data.draw(st.booleans()) else None
    assert TagKey(r, 1, bound).rows(values, piece) == expected


@given(seeds, st.integers(0, ROW * 2), st.integers(-(2**60) + 1, 2**60 - 1), st.integers(0, 2**61 - 2))
def test_a_sum_altered_in_any_place_has_another_tag(seed: int, place: int, change: int, shift: int) -> None:
    values = np.zeros(ROW * 2 + 1, np.int64)
    values[place] = change
    assert (tags.tag(KEY, [values]) == shift) == (change == shift == 0)


@given(st.data(), st.integers(0, shamir.P - 1), st.integers(1, 50))
def test_shares_of_any_secret_give_it_back(data: st.DataObject, secret: int, count: int) -> None:
    threshold = data.draw(st.integers(1, count))
    source = data.draw(st.randoms(use_true_random=False))
    shares = dict(enumerate(shamir.split(secret, count, threshold, source.randrange), 1))
    chosen = data.draw(st.permutations(sorted(shares)))[:threshold]
    assert shamir.combine({x: shares[x] for x in chosen}, threshold) == secret


@given(st.dictionaries(st.integers(), st.integers(), max_size=4), st.integers(-1, 4))
def test_any_numbers_are_shares_or_refused(shares: dict[int, int], threshold: int) -> None:
    with suppress(SumError):
        assert 0 <= shamir.combine(shares, threshold) < shamir.P


@given(st.binary(max_size=40) | st.binary(min_size=32, max_size=32))
def test_any_bytes_are_an_element_or_refused(data: bytes) -> None:
    try:
        assert shamir.to_bytes(shamir.from_bytes(data)) == data
    except SumError:
        assert len(data) != shamir.BYTES or int.from_bytes(data, "little") >= shamir.P


layouts = st.builds(Layout, st.integers(1, 50), st.integers(1, 9), st.integers(1, 20))


@given(layouts, st.data())
def test_frames_round_trip_and_nothing_else_gets_in(layout: Layout, data: st.DataObject) -> None:
    octets = data.draw(st.binary(min_size=layout.size, max_size=layout.size))
    kept = MemoryVector.zeros(layout.size)
    sink = FrameSink(kept, layout, "bank-a")
    for number, frame in enumerate(frames(MemoryVector(np.frombuffer(octets, np.uint8)), layout)):
        wrong = data.draw(st.tuples(st.integers(-2, 60), st.binary(max_size=200)))
        if wrong[0] != number or len(wrong[1]) != len(frame):
            with pytest.raises(SumError, match="at fault: bank-a"):
                sink.take(*wrong)
        sink.take(number, frame)
    sink.finish()
    assert kept.data.tobytes() == octets


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=20),
    st.floats(1e-300, 1e300),
    st.integers(1, 2**59),
    st.booleans(),
)
def test_quantised_values_keep_to_the_limit_or_are_refused(
    drawn: list[float], clip: float, limit: int, by_chance: bool
) -> None:
    values, scales = np.array(drawn), (Scale(len(drawn), clip),)
    dither = np.random.default_rng(1).bytes if by_chance else None
    try:
        quantised = quantise(values, scales, limit, dither)
    except SumError:
        assert not np.isfinite(values).all()
        return
    assert np.abs(quantised).max() <= limit
    error = np.abs(dequantise(quantised, scales, limit) - np.clip(values, -clip, clip))
    assert np.all(error <= clip / limit * (1 if by_chance else 0.5) + clip * 2.0**-50)
