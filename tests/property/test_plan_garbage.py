"""Whatever is given as a question, an answer or what a coordinator hands over: only our errors come of it."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.content import Content
from consortia_common.documents.plan import PlanAnswer, PlanQuestion
from consortia_common.errors import DocumentError
from consortia_crypto import canonical
from consortia_crypto.errors import ConsortiaError
from consortia_node.asked import read

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53 - 1) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abv", max_size=3), inner, max_size=3),
    max_leaves=8,
)
ANSWER: dict[str, Any] = {
    "network": "lab",
    "institution": "bank-a",
    "question": "a" * 64,
    "agreement": "credit-risk@1",
    "accepts": False,
    "answered_ms": 6,
}


@given(st.binary(max_size=100))
def test_bytes(data: bytes) -> None:
    for kind in (PlanQuestion, PlanAnswer):
        with pytest.raises(DocumentError):
            kind.from_canonical(data, "the plan")


@given(st.dictionaries(st.sampled_from(sorted(PlanAnswer.model_fields)), plain, max_size=4))
def test_an_answer_with_other_values_is_refused_or_read_back(changes: dict[str, Any]) -> None:
    with suppress(DocumentError):
        answer = PlanAnswer.from_value(ANSWER | changes, "the plan")
        assert PlanAnswer.from_canonical(answer.canonical(), "the plan") == answer


@given(st.dictionaries(st.sampled_from(["question", "signature", "identities"]), st.binary(max_size=9) | st.text()))
def test_what_is_handed_over(config: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="lacks the signed question"):
        read(Content(config=config), "question", "the plan")


@given(st.lists(st.binary(max_size=40) | plain.map(canonical.encode), max_size=3))
def test_identities(documents: list[bytes]) -> None:
    content = Content(config={"question": b"{}", "signature": b"x", "identities": documents})
    if not documents:
        with pytest.raises(DocumentError, match="the analyst's identity is missing"):
            read(content, "question", "the plan").verify("plan.question", "a" * 64, "the plan")
        return
    with pytest.raises(ConsortiaError, match="identity"):
        read(content, "question", "the plan")
