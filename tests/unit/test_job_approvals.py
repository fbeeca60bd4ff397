"""Jobs that wait for people: what decisions come to, and which of them do not count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consortia_common.documents.agreement import Approvals
from consortia_common.documents.statements import AgreementChange, JobApproval
from consortia_common.errors import CommonError
from consortia_crypto.errors import ConsortiaError
from consortia_node.approval import HOUR_MS, is_submitter, state_by, until_ms
from consortia_node.jobs import ACCEPTED, LIFE, REFUSED, WAITING
from tests.support.documents import agreement
from tests.unit.test_agreement_text import parties

TWO = Approvals(kinds=("train",), officers=2, hours=3)


def test_only_the_kinds_that_are_named_wait() -> None:
    asked = agreement(parties=parties(), approvals={"kinds": ["train"]})
    assert asked.approvals_for("train") == asked.approvals
    assert asked.approvals_for("statistics") is None
    assert agreement().approvals_for("train") is None
    assert until_ms(TWO, 7) == 7 + 3 * HOUR_MS


@pytest.mark.parametrize(
    ("decisions", "state"),
    [
        ({}, WAITING),
        ({"a": "approve"}, WAITING),
        ({"a": "approve", "b": "approve"}, ACCEPTED),
        ({"a": "approve", "b": "approve", "c": "refuse"}, REFUSED),
        ({"a": "refuse"}, REFUSED),
    ],
)
def test_a_quorum_accepts_and_one_refuses(decisions: dict[str, str], state: str) -> None:
    assert state_by(TWO, decisions) == state
    assert state == WAITING or LIFE.advance(WAITING, state) == state


def test_who_submitted_is_known_by_name_and_key() -> None:
    asked = agreement()
    assert is_submitter(asked, "bank-a", "ana", "d" * 64)
    for institution, name, key in (("bank-b", "ana", "d"), ("bank-a", "olga", "d"), ("bank-a", "ana", "e")):
        assert not is_submitter(asked, institution, name, key * 64)


@given(st.binary(max_size=300))
def test_garbage_is_no_statement(data: bytes) -> None:
    for model in (AgreementChange, JobApproval):
        with pytest.raises(ConsortiaError):
            model.from_canonical(data, "garbage")


@pytest.mark.parametrize(
    "change",
    [
        {"action": "sign"},
        {"agreement": "risk@1"},
        {"agreement": "risk@1#" + "A" * 64},
        {"at_ms": -1},
        {"reason": "two\nlines"},
        {"signer": "x"},
        {"v": 2},
        {"more": 1},
    ],
)
def test_a_statement_has_exactly_its_fields(change: dict[str, object]) -> None:
    good = {
        "network": "lab",
        "agreement": "risk@1#" + "a" * 64,
        "institution": "bank-a",
        "signer": "b" * 64,
        "action": "suspend",
        "at_ms": 1,
    }
    made = AgreementChange.from_value(good, "a change")
    assert AgreementChange.from_canonical(made.canonical(), "its bytes") == made
    with pytest.raises(CommonError):
        AgreementChange.from_value(good | change, "a change")
