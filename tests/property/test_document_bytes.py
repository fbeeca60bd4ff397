"""Documents from elsewhere: bytes become a document that has exactly these bytes, or a DocumentError."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import Document
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.documents.model import LinearModel
from consortia_common.documents.receipt import Receipt
from consortia_common.errors import DocumentError
from consortia_crypto import canonical
from consortia_crypto.errors import EncodingError
from tests.support.specs import spec

KINDS: list[type[Document]] = [Agreement, JobSpec, Submission, Receipt, LinearModel]
SPECS = [spec(kind) for kind in ("statistics", "train", "score")]
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(KINDS), st.binary(max_size=100))
def test_garbage_raises_only_our_error(kind: type[Document], data: bytes) -> None:
    with pytest.raises(DocumentError, match="the test was refused"):
        kind.from_canonical(data, "the test")


@given(st.sampled_from(KINDS), plain)
def test_any_value_raises_only_our_error(kind: type[Document], value: Any) -> None:
    with pytest.raises(DocumentError):
        kind.from_value(value, "the test")


@given(st.sampled_from(SPECS), st.data())
def test_an_altered_byte_is_refused_or_means_another_document(good: JobSpec, data: st.DataObject) -> None:
    bad = bytearray(good.canonical())
    bad[data.draw(st.integers(0, len(bad) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = JobSpec.from_canonical(bytes(bad), "the test")
    except DocumentError:
        return
    assert found.canonical() == bytes(bad)
    assert (found == good) == (bytes(bad) == good.canonical())


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in children for found in _paths(child, (*path, key)))]


@given(st.sampled_from(SPECS), plain, st.data())
def test_a_replaced_value_is_refused_or_means_another_document(
    good: JobSpec, new: Any, data: st.DataObject
) -> None:
    value: Any = good.model_dump(mode="json")
    *path, last = data.draw(st.sampled_from(_paths(value)[1:]))
    place = value
    for part in path:
        place = place[part]
    place[last] = new
    try:
        found = JobSpec.from_canonical(canonical.encode(value), "the test")
    except (DocumentError, EncodingError):
        return
    assert found.canonical() == canonical.encode(value)
