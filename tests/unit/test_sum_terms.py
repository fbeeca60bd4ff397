"""A sum's terms: what can't be summed safely is refused, and any two policies are told apart."""

from dataclasses import replace
from math import comb
from typing import Any

import pytest

from consortia_crypto.errors import SumError
from consortia_crypto.sum import tag
from consortia_crypto.sum.terms import MAX_ATTEMPTS, MAX_LENGTH, WORD_BITS, Scale, SumPolicy, threshold

GOOD: dict[str, Any] = {
    "session": "job-1/1",
    "roster": ("a", "b", "c"),
    "colluding": 0,
    "word_bits": 32,
    "length": 10,
}


@pytest.mark.parametrize(
    ("institutions", "colluding", "stay"),
    [(3, 0, 2), (3, 1, 3), (5, 1, 4), (7, 2, 5), (10, 3, 7), (20, 6, 14), (50, 16, 34)],
)
def test_the_table_of_thresholds(institutions: int, colluding: int, stay: int) -> None:
    assert threshold(institutions, colluding) == stay


@pytest.mark.parametrize(("institutions", "colluding"), [(2, 0), (1, 0), (51, 3), (3, 2), (10, 9), (3, -1), (3, 5)])
def test_too_few_honest_institutions_are_refused(institutions: int, colluding: int) -> None:
    with pytest.raises(SumError):
        threshold(institutions, colluding)


@pytest.mark.parametrize("institutions", range(3, 51))
def test_two_sets_are_never_both_signed_and_an_opened_sum_is_never_of_one(institutions: int) -> None:
    """2t > N + k: the honest ones that sign once are too few for two certificates. t − k ≥ 2 are in every sum."""
    for colluding in range(institutions - 1):
        stay = threshold(institutions, colluding)
        assert 2 * (stay - colluding) > institutions - colluding
        assert stay - colluding >= 2
        assert stay <= institutions
        assert comb(institutions, stay) >= 1


@pytest.mark.parametrize(
    "change",
    [
        {"roster": ("a", "b")},
        {"roster": tuple(str(number) for number in range(51))},
        {"roster": ("a", "b", "a")},
        {"roster": ("a", "b", "")},
        {"roster": ("a", "b", "c" * 256)},
        {"session": ""},
        {"session": "s" * 1001},
        {"colluding": 2},
        {"colluding": -1},
        {"word_bits": 8},
        {"length": 0},
        {"length": MAX_LENGTH + 1},
        {"engine": "plain"},
        {"scales": (Scale(9, 1.0),)},
    ],
)
def test_bad_policies_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SumError):
        SumPolicy(**(GOOD | change))


@pytest.mark.parametrize(("length", "clip"), [(0, 1.0), (1, 0.0), (1, -1.0), (1, float("nan")), (1, float("inf"))])
def test_bad_scales_are_refused(length: int, clip: float) -> None:
    with pytest.raises(SumError):
        Scale(length, clip)


@pytest.mark.parametrize(
    ("word_bits", "institutions", "limit"),
    [(16, 3, 2**13 - 1), (16, 4, 2**13 - 1), (24, 5, 2**20 - 1), (32, 10, 2**27 - 1), (64, 50, 2**54 - 1)],
)
def test_the_limit_leaves_room_for_everybody(word_bits: int, institutions: int, limit: int) -> None:
    policy = SumPolicy("job-1/1", tuple(str(number) for number in range(institutions)), 0, word_bits, 1)
    assert policy.limit == limit


@pytest.mark.parametrize("institutions", range(3, 51))
@pytest.mark.parametrize("word_bits", WORD_BITS)
def test_no_two_sums_within_the_limit_have_one_tag(word_bits: int, institutions: int) -> None:
    policy = SumPolicy("job-1/1", tuple(str(number) for number in range(institutions)), 0, word_bits, 1)
    assert institutions * policy.limit <= min(2 ** (word_bits - 1) - 1, tag.LARGEST)
    assert policy.limit >= 2 ** (word_bits - 11)


def test_every_field_changes_the_digest() -> None:
    changes: list[dict[str, Any]] = [
        {"session": "job-1/2"},
        {"roster": ("b", "a", "c")},
        {"colluding": 1},
        {"word_bits": 16},
        {"length": 11},
        {"engine": "lattice"},
        {"scales": (Scale(10, 1.0),)},
        {"scales": (Scale(10, 1.0000000000000002),)},
        {"scales": (Scale(9, 1.0), Scale(1, 1.0))},
    ]
    digests = {SumPolicy(**(GOOD | change)).digest() for change in [{}, *changes]}
    assert len(digests) == len(changes) + 1


def test_each_attempt_at_each_session_has_an_id_of_its_own() -> None:
    policy = SumPolicy(**GOOD)
    ids = {policy.rid(attempt) for attempt in range(1, 12)} | {replace(policy, session="job-1/2").rid(1)}
    assert len(ids) == 12
    assert all(len(rid) == 64 for rid in ids)
    for attempt in (0, -1, MAX_ATTEMPTS + 1):
        with pytest.raises(SumError):
            policy.rid(attempt)
