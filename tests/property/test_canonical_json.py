"""Canonical JSON: a value has one form, the form one value, and nothing else is let in."""

import enum
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
integers = st.integers(-canonical.MAX_INTEGER, canonical.MAX_INTEGER)
values = st.recursive(
    st.none() | st.booleans() | integers | texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_what_is_encoded_reads_back(value: Any) -> None:
    data = canonical.encode(value)
    assert canonical.decode(data) == value
    assert canonical.encode(canonical.decode(data)) == data
    assert json.loads(data) == value


@given(st.dictionaries(st.text(st.characters(max_codepoint=127), max_size=4), integers, min_size=2))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert canonical.encode(dict(reversed(value.items()))) == canonical.encode(value)


@given(values, values)
def test_different_values_have_different_digests(one: Any, other: Any) -> None:
    same = canonical.encode(one) == canonical.encode(other)
    assert (canonical.digest(one) == canonical.digest(other)) == same


@given(st.binary(max_size=40))
@example(b"[" * 100_000)
@example(b"1" * 5_000)
@example(b"\xef\xbb\xbf1")
def test_garbage_is_refused_or_is_the_one_form_of_a_value(data: bytes) -> None:
    with suppress(EncodingError):
        assert canonical.encode(canonical.decode(data)) == data


@given(values, st.data())
def test_an_altered_form_is_refused_or_is_another_value(value: Any, data: st.DataObject) -> None:
    good = canonical.encode(value)
    place = data.draw(st.integers(0, len(good) - 1))
    bad = good[:place] + bytes([data.draw(st.integers(0, 255))]) + good[place + 1 :]
    with suppress(EncodingError):
        assert canonical.encode(canonical.decode(bad)) == bad


@pytest.mark.parametrize(
    "data",
    [b' {"a":1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"1.0", b"1e3", b"-0", b"NaN", b"Infinity", b'"\\u0041"',
     b'"\\/"', b'"\x7f', b"01", b"9007199254740992", b'{"\xc3\xa9":1}', b'"\\ud800"', b"", b"nul", b"[1,]"],
)  # fmt: skip
def test_other_ways_to_write_a_value_are_refused(data: bytes) -> None:
    with pytest.raises(EncodingError):
        canonical.decode(data)


class _Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (1.5, "a float has no canonical form"),
        (float("nan"), "a float has no canonical form"),
        (b"x", "a bytes has no canonical form"),
        ({1, 2}, "a set has no canonical form"),
        (_Colour.RED, "a _Colour has no canonical form"),
        (2**53, "outside"),
        (-(2**53), "outside"),
        ("\ud800", "surrogate"),
        ({1: 2}, "not an ASCII string"),
        ({"é": 1}, "not an ASCII string"),
        ({"a": [{"b": 1.0}]}, "a float"),
    ],
)
def test_what_has_no_canonical_form_is_refused(value: Any, why: str) -> None:
    with pytest.raises(EncodingError, match=why):
        canonical.encode(value)


def test_depth_is_bounded_also_for_what_holds_itself() -> None:
    deep: Any = []
    for _ in range(canonical.MAX_DEPTH):
        deep = [deep]
    assert canonical.decode(canonical.encode(deep)) == deep
    ring: list[Any] = []
    ring.append(ring)
    for value in ([deep], ring):
        with pytest.raises(EncodingError, match="nested deeper"):
            canonical.encode(value)


def test_tuples_are_arrays() -> None:
    assert canonical.encode(("a", ("b",))) == b'["a",["b"]]'
