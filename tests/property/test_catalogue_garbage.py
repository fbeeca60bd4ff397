"""Whatever is told as a catalogue: it is refused, or read back as it was and shown without harm."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_client.offering import Offering
from consortia_common.documents.catalogue import CatalogueAnswer, CatalogueColumn, CatalogueQuestion
from consortia_common.errors import DocumentError
from tests.support.documents import agreement

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53 - 1) | st.text(max_size=5) | st.just("1E+999999999"),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
COLUMN: dict[str, Any] = {"name": "income", "type": "number", "role": "feature", "grade": 3}
ANSWER: dict[str, Any] = {
    "network": "lab",
    "institution": "bank-a",
    "question": "a" * 64,
    "agreement": "credit-risk@1",
    "answered_ms": 6,
}


@given(st.binary(max_size=100))
def test_bytes(data: bytes) -> None:
    for kind in (CatalogueQuestion, CatalogueAnswer):
        with pytest.raises(DocumentError):
            kind.from_canonical(data, "the catalogue")


@given(st.dictionaries(st.sampled_from(sorted(CatalogueColumn.model_fields)), plain, max_size=4))
def test_a_column_with_other_values_is_refused_or_read_back_and_shown(changes: dict[str, Any]) -> None:
    datasets = [{"name": "clients", "rows": None, "columns": [COLUMN | changes]}]
    with suppress(DocumentError):
        answer = CatalogueAnswer.from_value(ANSWER | {"datasets": datasets}, "the catalogue")
        assert CatalogueAnswer.from_canonical(answer.canonical(), "the catalogue") == answer
        (shown,) = Offering.of(agreement(), [answer]).datasets[0].columns[:1]
        assert len(shown.allowed) < 200


@pytest.mark.parametrize("bound", ["1E+999999999", "-1E+19", "NaN", "Infinity"])
def test_a_range_that_is_out_of_all_bounds_is_refused(bound: str) -> None:
    with pytest.raises(DocumentError):
        CatalogueColumn.from_value(COLUMN | {"low": bound, "high": "1"}, "the column")


def test_a_tiny_bound_is_shown_short() -> None:
    datasets = [{"name": "clients", "rows": None, "columns": [COLUMN | {"low": "1E-999999", "high": "2.50"}]}]
    answer = CatalogueAnswer.from_value(ANSWER | {"datasets": datasets}, "the catalogue")
    columns = {column.name: column for column in Offering.of(agreement(), [answer]).datasets[0].columns}
    assert columns["income"].allowed == "0 to 2.5"
