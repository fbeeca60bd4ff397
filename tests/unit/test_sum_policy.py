"""A sum's policy refuses what can't be summed safely, and its digest tells any two policies apart."""

from typing import Any

import pytest

from consortia_crypto.errors import SumError
from consortia_crypto.sum.policy import Sealed, SumPolicy

GOOD: dict[str, Any] = {"session": "job-1/1", "roster": ("a", "b", "c"), "word_bits": 24, "length": 10}


@pytest.mark.parametrize(
    "change",
    [
        {"roster": ("a", "b")},
        {"roster": tuple(str(number) for number in range(51))},
        {"roster": ("a", "b", "a")},
        {"roster": ("a", "b", "")},
        {"session": ""},
        {"word_bits": 32},
        {"length": 0},
        {"length": 16_000_001},
        {"engine": "plain"},
    ],
)
def test_bad_policies_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SumError):
        SumPolicy(**(GOOD | change))


@pytest.mark.parametrize(
    ("word_bits", "institutions", "limit"),
    [(16, 3, 2**13 - 1), (16, 4, 2**13 - 1), (24, 5, 2**20 - 1), (64, 50, 2**57 - 1)],
)
def test_the_limit_leaves_room_for_everybody(word_bits: int, institutions: int, limit: int) -> None:
    policy = SumPolicy("job-1/1", tuple(str(number) for number in range(institutions)), word_bits, 1)
    assert policy.limit == limit
    assert institutions * policy.limit < 2 ** (word_bits - 1)


def test_every_field_changes_the_digest() -> None:
    changes: list[dict[str, Any]] = [
        {"session": "job-1/2"},
        {"roster": ("b", "a", "c")},
        {"word_bits": 16},
        {"length": 11},
    ]
    digests = {SumPolicy(**(GOOD | change)).digest() for change in [{}, *changes]}
    assert len(digests) == len(changes) + 1


def test_sealed_survives_the_wire() -> None:
    assert Sealed.from_list(Sealed((b"1", b"2")).to_list()) == Sealed((b"1", b"2"))
