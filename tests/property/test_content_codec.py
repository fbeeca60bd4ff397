"""Content: every value that may travel arrives as it was sent; whatever else comes is refused and nothing more."""

import math
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from consortia_common.content import (
    DTYPES,
    MAX_DIMENSIONS,
    MAX_FIELDS,
    SPAN_BYTES,
    Beside,
    Bytes,
    Content,
    HashedBlobs,
)
from consortia_common.errors import ExchangeError
from consortia_proto.v1 import content_pb2 as pb

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
int64 = st.integers(-(2**63), 2**63 - 1)
blobs = st.binary(max_size=20)
reals = st.floats()
lists = st.lists(texts) | st.lists(int64) | st.lists(reals) | st.lists(blobs)
values = st.booleans() | int64 | reals | texts | blobs | lists
fields = st.dictionaries(texts, values, max_size=4)
numbers = st.dictionaries(
    texts, int64 | reals | st.lists(int64, min_size=1) | st.lists(reals, min_size=1), max_size=3
)
dtypes = st.sampled_from(DTYPES).flatmap(
    lambda name: st.sampled_from([np.dtype(name), np.dtype(name).newbyteorder(">")])
)
tensors = dtypes.flatmap(
    lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)


def travelled(content: Content) -> Content:
    return Content.from_bytes(content.to_bytes(), "the test")


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


@given(fields, numbers)
def test_values_arrive_with_their_types(config: dict[str, Any], metrics: dict[str, Any]) -> None:
    arrived = travelled(Content(config=config, metrics=metrics))
    for sent, got in ((config, arrived.config), (metrics, arrived.metrics)):
        assert sent.keys() == got.keys()
        assert all(same(value, got[name]) for name, value in sent.items())


@given(st.lists(tensors, max_size=4))
def test_arrays_arrive_in_order_shape_and_type(sent: list[np.ndarray[Any, Any]]) -> None:
    arrived = travelled(Content(arrays={f"array {index}": item for index, item in enumerate(sent)})).arrays
    assert list(arrived) == [f"array {index}" for index in range(len(sent))]
    for before, after in zip(sent, arrived.values(), strict=True):
        assert after.dtype == before.dtype.newbyteorder("=")
        assert after.shape == before.shape
        np.testing.assert_array_equal(after, before)
        assert not after.flags.writeable


def test_views_arrive_as_what_they_show() -> None:
    table = np.arange(24, dtype=np.int32).reshape(4, 6)
    views = {"transposed": table.T, "strided": table[::2, ::-3], "column": table[:, 1], "scalar": table[1, 2, ...]}
    for name, array in travelled(Content(arrays=views)).arrays.items():
        np.testing.assert_array_equal(array, views[name])


@given(fields, numbers, st.lists(tensors, max_size=2))
def test_one_content_has_one_encoding(config: Any, metrics: Any, sent: Any) -> None:
    content = Content({str(index): item for index, item in enumerate(sent)}, config, metrics)
    assert travelled(content).to_bytes() == content.to_bytes()


@given(st.binary(max_size=200))
def test_garbage_raises_only_our_error(data: bytes) -> None:
    with suppress(ExchangeError):
        Content.from_bytes(data, "the test")


@given(fields, st.lists(tensors, max_size=2), st.data())
def test_altered_bytes_raise_only_our_error(config: Any, sent: Any, data: st.DataObject) -> None:
    good = Content({str(index): item for index, item in enumerate(sent)}, config).to_bytes()
    bad = bytearray(good or b"\0")
    bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(bad)))
    with suppress(ExchangeError):
        Content.from_bytes(bytes(bad[:cut]), "the test")


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=9), blobs)
def test_no_shape_overflows(dtype: str, shape: list[int], data: bytes) -> None:
    message = pb.Content(arrays=[pb.Array(name="a", dtype=dtype, shape=shape, data=data)])
    try:
        (array,) = Content.from_proto(message, "the test").arrays.values()
    except ExchangeError:
        return
    assert array.nbytes == len(data)


def _array(**changes: Any) -> pb.Content:
    return pb.Content(arrays=[pb.Array(**{"name": "a", "dtype": "uint8", "shape": [1], "data": b"x"} | changes)])


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (_array(dtype="object"), "unknown type 'object'"),
        (_array(dtype="x" * 1000), "unknown type"),
        (_array(dtype=">f8"), "unknown type"),
        (_array(shape=[2]), "do not match"),
        (_array(shape=[2**63, 2**63], data=b""), "do not match"),
        (_array(shape=[2**62, 0], data=b""), "do not match"),
        (_array(shape=[1] * (MAX_DIMENSIONS + 1)), "dimensions"),
        (pb.Content(arrays=[pb.Array(name="a", dtype="uint8", shape=[0])] * 2), "one name"),
        (pb.Content(config={"a": pb.Value()}), "no value"),
        (pb.Content(config={str(i): pb.Value(flag=True) for i in range(MAX_FIELDS + 1)}), "too many"),
        (pb.Content(metrics={"a": pb.Value(text="x")}), "no number"),
    ],
)
def test_what_is_no_content_is_refused(message: pb.Content, why: str) -> None:
    with pytest.raises(ExchangeError, match=why) as refused:
        Content.from_bytes(message.SerializeToString(), "bank-b")
    assert refused.value.blame == "bank-b"
    assert len(refused.value.what) < 200


@pytest.mark.parametrize(
    "value",
    [None, (1,), {"a": 1}, 2**63, -(2**63) - 1, "\ud800", [1, "a"], [1, True], [True], [None], [[1]], [2**64],
     np.float64(1), np.int64(1), np.zeros(0), 1j],
)  # fmt: skip
def test_what_does_not_travel_is_not_sent(value: Any) -> None:
    with pytest.raises(ExchangeError, match="does not travel") as refused:
        Content(config={"field": value}).to_bytes()
    assert refused.value.blame == "this process"


@pytest.mark.parametrize("dtype", ["float16", "bool", "complex128", "O", "U3", "datetime64[s]", "uint64"])
def test_arrays_of_other_types_are_not_sent(dtype: str) -> None:
    with pytest.raises(ExchangeError, match="does not travel"):
        Content(arrays={"a": np.zeros(2, dtype)}).to_bytes()
    with pytest.raises(ExchangeError, match="dimensions"):
        Content(arrays={"a": np.zeros((1,) * (MAX_DIMENSIONS + 1))}).to_bytes()


def test_a_name_must_be_text() -> None:
    for name in (1, None, "\ud800"):
        with pytest.raises(ExchangeError):
            Content(config={name: 1}).to_bytes()


LONG = st.integers(SPAN_BYTES - 1, SPAN_BYTES + 1)


def beside(content: Content) -> tuple[pb.Content, Bytes]:
    body = Beside()
    return content.to_proto(body), Bytes(b"".join(body.parts))


@given(blob=LONG, items=st.lists(LONG, max_size=3), length=LONG)
def test_what_is_long_travels_beside_the_message(blob: int, items: list[int], length: int) -> None:
    config = {"blob": b"b" * blob, "items": [bytes([n]) * size for n, size in enumerate(items)], "word": "w"}
    content = Content({"array": np.arange(length, dtype=np.uint8), "short": np.arange(3)}, config, {"n": 1})
    message, body = beside(content)
    assert message.ByteSize() < 3 * SPAN_BYTES + 1000
    assert body.size >= sum(size for size in (blob, length) if size >= SPAN_BYTES)
    arrived = Content.from_proto(message, "the test", body)
    assert arrived.config == config
    assert arrived.metrics == {"n": 1}
    np.testing.assert_array_equal(arrived.arrays["array"], content.arrays["array"])
    if body.size:
        with pytest.raises(ExchangeError, match="behind its end"):
            Content.from_proto(message, "the test", Bytes(body.data[:-1]))


@pytest.mark.parametrize(
    ("before", "behind"), [({}, {}), ({"a": b"1" * SPAN_BYTES}, {}), ({}, {"c": b"2" * SPAN_BYTES})]
)
def test_the_hash_of_blobs_is_known_at_both_ends_if_they_are_all_of_the_body(
    before: dict[str, bytes], behind: dict[str, bytes]
) -> None:
    blobs = HashedBlobs([bytes([n]) * SPAN_BYTES for n in range(3)], "d" * 64)
    body = Beside()
    message = Content(config={**before, "b": blobs, **behind}).to_proto(body)
    alone = not before and not behind
    assert body.digest == ("d" * 64 if alone else "")
    arrived = Content.from_proto(message, "the test", Bytes(b"".join(body.parts), "e" * 64)).config["b"]
    assert arrived == blobs
    assert isinstance(arrived, HashedBlobs) == alone
    assert not alone or arrived.digest == "e" * 64


def test_bodies_are_the_same_if_their_values_are() -> None:
    blobs, short = [bytes([n]) * SPAN_BYTES for n in range(2)], iter(range(9))
    one, two, other, less, array = (Beside() for _ in range(5))
    for body, values in (
        (one, blobs),
        (two, list(blobs)),
        (other, [blobs[0], bytes(SPAN_BYTES)]),
        (less, blobs[:1]),
    ):
        Content(config={"a": next(short), "b": values}).to_proto(body)
    Content({"b": np.zeros(SPAN_BYTES, np.uint8)}).to_proto(array)
    assert one.is_same(two)
    assert not any(one.is_same(body) for body in (other, less, array, Beside()))


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=4))
def test_a_hash_is_taken_for_that_of_all_the_body_in_its_order_and_nothing_else(
    spans: list[tuple[int, int]],
) -> None:
    """Else an institution could have another vector added than the one that its signature names."""
    message, data = pb.Content(), bytes(range(8))
    message.config["x"].spans.items.extend(pb.Span(offset=offset, length=length) for offset, length in spans)
    with suppress(ExchangeError):
        items = Content.from_proto(message, "the test", Bytes(data, "d" * 64)).config["x"]
        assert isinstance(items, HashedBlobs) <= (b"".join(items) == data)


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1) | st.integers(0, 9), st.integers(0, 9)), max_size=5))
def test_spans_show_no_more_bytes_than_there_are(spans: list[tuple[int, int]]) -> None:
    """Else a short message could be made to fill the memory, by pointing to the same bytes over and over."""
    message = pb.Content()
    message.config["x"].spans.items.extend(pb.Span(offset=offset, length=length) for offset, length in spans)
    with suppress(ExchangeError):
        items = Content.from_proto(message, "the test", Bytes(b"0123456")).config["x"]
        assert sum(map(len, items)) <= 7
        assert [len(item) for item in items] == [length for _, length in spans]
