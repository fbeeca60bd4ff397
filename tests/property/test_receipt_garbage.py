"""Whatever bytes are given as a job's proof, they are refused with an explanation, or are a whole proof."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_client.errors import ResultError
from consortia_client.receipts import check
from consortia_crypto import canonical

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abv"), inner, max_size=3),
    max_leaves=8,
)
parties = st.lists(st.fixed_dictionaries({"identity": plain, "receipt": plain, "signature": plain}), max_size=2)


@given(st.binary(max_size=200))
def test_bytes(data: bytes) -> None:
    with pytest.raises(ResultError):
        check(data)


@given(st.fixed_dictionaries({"v": plain, "agreement": plain, "submission": plain, "parties": parties | plain}))
def test_documents_of_the_right_shape(value: dict[str, Any]) -> None:
    with pytest.raises(ResultError):
        check(canonical.encode(value))
