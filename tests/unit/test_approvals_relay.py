"""An officer decides on jobs that there are, that wait for officers, and to which their institution is a party."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from consortia_common.documents.statements import APPROVAL, JobApproval
from consortia_coordinator.jobs import JobState
from consortia_coordinator.members import Members
from consortia_coordinator.relay import StatementService
from consortia_coordinator.store.members import MembersStore
from consortia_coordinator.store.statements import StatementStore
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import network_pb2
from tests.support.callers import Caller, RefusedCallError, admit, know_callers
from tests.support.documents import agreement
from tests.support.parties import NOW_MS, Lab, lab
from tests.support.specs import spec
from tests.unit.test_agreement_text import parties

NODE = PrivateIdentity.generate("lab", "bank-a", "node", "node")
OLGA = PrivateIdentity.generate("lab", "bank-a", "officer", "olga")
ZOE = PrivateIdentity.generate("lab", "bank-z", "officer", "zoe")
STATISTICS: dict[str, Any] = {"job_kinds": [{"kind": "statistics", "recipients": ["analyst"]}]}
UNKNOWN = "job-0123456789abcdef"


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    know_callers(monkeypatch)
    with lab(tmp_path) as made:
        admit(MembersStore(made.engine), NODE, OLGA, ZOE)
        yield made


@pytest.fixture
def relay(coordinator: Lab) -> StatementService:
    known = Members(
        "lab", MembersStore(coordinator.engine), lambda: datetime(2026, 6, 1, tzinfo=UTC), coordinator.log
    )
    store = StatementStore(coordinator.engine)
    return StatementService(known, store, coordinator.mailbox, coordinator.log, lambda: NOW_MS, coordinator.store)


async def approve(relay: StatementService, job_id: str, officer: PrivateIdentity = OLGA) -> None:
    said = JobApproval.from_value(
        {
            "network": "lab", "institution": officer.institution, "officer": officer.public.fingerprint,
            "job": job_id, "decision": "approve", "reason": "", "at_ms": 1,
        },
        "the test",
    ).canonical()  # fmt: skip
    signature = officer.sign(APPROVAL, said)
    statement = network_pb2.Statement(
        type=APPROVAL, institution=officer.institution, document=said, signature=signature
    )
    await relay.Publish(statement, Caller.of(officer))


async def publish(relay: StatementService, **changes: Any) -> None:
    document = agreement(**changes).canonical()
    signature = NODE.sign("agreement.signed", document)
    statement = network_pb2.Statement(
        type="agreement.signed", institution="bank-a", document=document, signature=signature
    )
    await relay.Publish(statement, Caller.of(NODE))


async def test_a_job_that_asks_for_officers_takes_their_word(coordinator: Lab, relay: StatementService) -> None:
    await publish(relay, parties=parties(), approvals={"kinds": ["statistics"]}, **STATISTICS)
    job_id = coordinator.submit(spec("statistics"))
    await approve(relay, job_id)
    assert [body["job"] for body in coordinator.events(APPROVAL)] == [job_id]
    with pytest.raises(RefusedCallError, match="is no party of it"):
        await approve(relay, job_id, ZOE)
    for state in (JobState.OFFERED, JobState.FAILED):
        coordinator.store.move(job_id, state)
    with pytest.raises(RefusedCallError, match="it is failed"):
        await approve(relay, job_id)


async def test_nobody_decides_on_a_job_that_does_not_ask(coordinator: Lab, relay: StatementService) -> None:
    with pytest.raises(RefusedCallError, match="there is no job"):
        await approve(relay, UNKNOWN)
    job_id = coordinator.submit(spec("statistics"))
    with pytest.raises(RefusedCallError, match="asks nobody"):
        await approve(relay, job_id)
    await publish(relay, **STATISTICS)
    with pytest.raises(RefusedCallError, match="asks nobody"):
        await approve(relay, job_id)
    assert coordinator.events(APPROVAL) == []
    assert not any("notice" in task_id and job_id in task_id for task_id in coordinator.journalled())
