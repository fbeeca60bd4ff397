"""The words for a fingerprint: one for each byte, heard if one is missing, and the same on both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.fingerprint_words import WORDS, is_same, words

FINGERPRINT = st.binary(min_size=32, max_size=32).map(bytes.hex)
ZEROES = "00" * 32


@given(FINGERPRINT)
def test_words_stand_for_the_first_sixteen_bytes(fingerprint: str) -> None:
    said = words(fingerprint)
    assert len(said.replace("·", " ").split()) == WORDS
    assert is_same(said, fingerprint)
    assert is_same(said.upper().replace(" · ", ", "), fingerprint)
    assert is_same(fingerprint, fingerprint)


@given(FINGERPRINT, st.integers(0, 15), st.integers(1, 255))
def test_one_byte_changes_one_word(fingerprint: str, place: int, change: int) -> None:
    other = bytearray.fromhex(fingerprint)
    other[place] ^= change
    mine, theirs = (words(value).replace("·", " ").split() for value in (fingerprint, bytes(other).hex()))
    assert [spot for spot in range(WORDS) if mine[spot] != theirs[spot]] == [place]
    assert not is_same(" ".join(theirs), fingerprint)


def test_words_that_were_swapped_or_left_out_are_not_the_same() -> None:
    said = words(ZEROES).replace("·", " ").split()
    assert said[:2] == ["aardvark", "adroitness"]
    assert not is_same(" ".join([said[1], said[0], *said[2:]]), ZEROES)
    assert not is_same(" ".join(said[:-2]), ZEROES)


@pytest.mark.parametrize("said", ["", "aardvark", "0" * 63, "é" * 64])
def test_anything_else_is_not_the_same(said: str) -> None:
    assert not is_same(said, ZEROES)
