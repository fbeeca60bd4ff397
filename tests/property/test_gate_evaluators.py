"""The rules and Cedar judge any request alike, down to which rules object to the job as such."""

import pytest
from hypothesis import event, given, settings

from consortia_common.gate import decide, judge
from consortia_common.gate.request import GateRequest
from consortia_node.cedar import opinion
from tests.support.gate import requests

OF_COLUMNS = {"datasets", "own data", "grades"}
"""The rules that Cedar applies to each column: it says that one may not be read, seldom by which rule."""


@given(requests())
def test_both_evaluators_agree(request: GateRequest) -> None:
    check(request)


@pytest.mark.slow
@settings(max_examples=5000)
@given(requests())
def test_both_evaluators_agree_on_thousands(request: GateRequest) -> None:
    check(request)


def check(request: GateRequest) -> None:
    assert request.agreement
    decision, second = decide(request), opinion(request, request.agreement)
    event(decision.clause or "accept")
    assert second.errors == ()
    assert second.accepted == decision.accepted
    objecting = {rule for rule, refusal in judge(request, request.agreement) if refusal}
    assert set(second.objections) - OF_COLUMNS == objecting - OF_COLUMNS
