"""What is said of ended consents goes to whom it names and to nobody else, and only from whom it says it is."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consortia_common.documents.withdrawal import WITHDRAWN, WithdrawalStatement
from consortia_coordinator.members import Members
from consortia_coordinator.relay import StatementService
from consortia_coordinator.store.members import MembersStore
from consortia_coordinator.store.statements import StatementStore
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import exchange_pb2, network_pb2
from tests.support.callers import Caller, RefusedCallError, admit, everything, know_callers
from tests.support.parties import NOW_MS, Lab, lab

A, B, C = (PrivateIdentity.generate("lab", f"bank-{letter}", "node", "node") for letter in "abc")
STATED = WithdrawalStatement.from_value(
    {
        "statement": "ab" * 16,
        "institution": "bank-a",
        "recipients": ["bank-b"],
        "purpose": "risk",
        "state": "withdrawn",
        "effective_at": "2026-01-01T00:00:00Z",
        "jobs": ["job-0123456789abcdef"],
    },
    "a statement",
)


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    know_callers(monkeypatch)
    with lab(tmp_path) as made:
        yield made


@pytest.fixture
def relay(coordinator: Lab) -> StatementService:
    store = MembersStore(coordinator.engine)
    admit(store, A, B, C)
    members = Members("lab", store, lambda: datetime(2026, 6, 1, tzinfo=UTC), coordinator.log)
    return StatementService(
        members,
        StatementStore(coordinator.engine),
        coordinator.mailbox,
        coordinator.log,
        lambda: NOW_MS,
        coordinator.store,
    )


def statement(signer: PrivateIdentity, institution: str = "bank-a") -> network_pb2.Statement:
    document = STATED.canonical()
    signature = signer.sign(WITHDRAWN, document)
    return network_pb2.Statement(type=WITHDRAWN, institution=institution, document=document, signature=signature)


async def test_it_reaches_whom_it_names(relay: StatementService, coordinator: Lab) -> None:
    await relay.Publish(statement(A), Caller.of(A))
    outgoing = coordinator.mailbox.outgoing("bank-b")
    assert outgoing is not None
    assert exchange_pb2.Task.FromString(outgoing.content.head()).step == "notice.consent"
    assert coordinator.mailbox.outgoing("bank-c") is None


@pytest.mark.parametrize(
    ("said", "caller"),
    [(statement(B), B), (statement(B, "bank-b"), B), (statement(B), A), (statement(A), B)],
)
async def test_nobody_speaks_for_another(
    relay: StatementService, said: network_pb2.Statement, caller: PrivateIdentity
) -> None:
    with pytest.raises(RefusedCallError):
        await relay.Publish(said, Caller.of(caller))


async def test_it_is_listed_for_whom_it_concerns_and_for_regulators(
    relay: StatementService, coordinator: Lab
) -> None:
    regulator = PrivateIdentity.generate("lab", "authority", "regulator", "rita")
    admit(MembersStore(coordinator.engine), regulator)
    await relay.Publish(statement(A), Caller.of(A))
    for who, told in ((A, 1), (B, 1), (C, 0), (regulator, 1)):
        pages = await everything(relay.List(network_pb2.ListStatementsRequest(), Caller.of(who)))
        assert sum(len(page.statements) for page in pages) == told, who.institution
