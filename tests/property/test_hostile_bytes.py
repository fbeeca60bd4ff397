"""Whatever reads a peer's bytes raises its own errors and nothing else; and nothing that reads is forgotten."""

import contextlib
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.fuzz.mutation import mutate
from tests.fuzz.targets import Target

TABLE = targets.targets()
ALL = pytest.mark.parametrize("target", TABLE.values(), ids=TABLE)


def test_nothing_that_reads_hostile_bytes_is_forgotten() -> None:
    """A new reader belongs into tests/fuzz/targets.py, or with its reason into tests/fuzz/discovery.py."""
    assert targets.missing() == []
    assert targets.spare() == []


@ALL
def test_what_is_good_is_taken(target: Target) -> None:
    for example in target.examples():
        target.read(example)


@pytest.mark.parametrize("found", sorted(targets.FOUND.iterdir()), ids=lambda path: path.name)
def test_what_was_found_once_is_not_found_again(found: Path) -> None:
    target = TABLE[found.name.rpartition(".")[0]]
    with pytest.raises(target.errors):
        target.read(found.read_bytes())


@ALL
@settings(max_examples=20)
@given(data=st.binary(max_size=200), random=st.randoms(use_true_random=False))
def test_hostile_bytes_raise_only_what_they_may(target: Target, data: bytes, random: Random) -> None:
    examples = target.examples()
    hostile = [data, *(mutate(example, examples, random) for example in examples)]
    for each in hostile:
        with contextlib.suppress(*target.errors):
            target.read(each)
