"""Members are asked who they are at every call; what they state is passed on as it came, to every other node."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from consortia_common.content import Content
from consortia_common.errors import LimitError, NotPermittedError
from consortia_coordinator import relay as relays
from consortia_coordinator.limits import Rates
from consortia_coordinator.members import Members
from consortia_coordinator.relay import StatementService
from consortia_coordinator.store.members import MembersStore
from consortia_coordinator.store.statements import StatementStore
from consortia_crypto import canonical
from consortia_crypto.keys import PrivateIdentity
from consortia_proto.v1 import exchange_pb2, network_pb2
from tests.support.callers import Caller, RefusedCallError, admit, everything, know_callers
from tests.support.documents import agreement
from tests.support.parties import NOW_MS, Lab, lab

A, B, C = (PrivateIdentity.generate("lab", f"bank-{letter}", "node", "node") for letter in "abc")
REX = PrivateIdentity.generate("lab", "authority", "regulator", "rex")
AGREEMENT = agreement()


@pytest.fixture
def coordinator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    know_callers(monkeypatch)
    with lab(tmp_path) as made:
        yield made


@pytest.fixture
def known(coordinator: Lab) -> Members:
    store = MembersStore(coordinator.engine)
    admit(store, A, B, REX)
    return Members("lab", store, lambda: datetime(2026, 6, 1, tzinfo=UTC), coordinator.log)


@pytest.fixture
def relay(coordinator: Lab, known: Members) -> StatementService:
    return StatementService(
        known,
        StatementStore(coordinator.engine),
        coordinator.mailbox,
        coordinator.log,
        lambda: NOW_MS,
        coordinator.store,
    )


def statement(author: PrivateIdentity, **changes: Any) -> network_pb2.Statement:
    document = AGREEMENT.canonical()
    signature = author.sign("agreement.signed", document)
    values = {"type": "agreement.signed", "institution": author.institution, "document": document}
    return network_pb2.Statement(**(values | {"signature": signature} | changes))


def test_a_member_is_let_in_with_the_identity_it_enrolled_with(known: Members) -> None:
    peer = known.require(Caller.of(A), "node", "analyst")
    assert str(peer) == "bank-a/node/node"
    assert known.identity_of(peer) == A.public
    known.authorise(peer)
    assert set(known.nodes()) == {"bank-a", "bank-b"}
    assert REX.public in known.identities()


@pytest.mark.parametrize(
    ("caller", "why"),
    [
        (Caller("bank-a", "node", "node", network="other"), "another network"),
        (Caller("bank-a", "node", "node", not_after=datetime(2026, 1, 1, tzinfo=UTC)), "expired"),
        (Caller.of(REX), "may not make this call"),
        (Caller.of(C), "not an active member"),
        (Caller("bank-a", "node", "other"), "not an active member"),
    ],
)
def test_anybody_else_is_refused_and_put_on_the_log(
    coordinator: Lab, known: Members, caller: Caller, why: str
) -> None:
    with pytest.raises(Exception, match=why):
        known.require(caller, "node")
    assert why in str(coordinator.events("peer.refused")[0]["reason"])


def test_who_was_revoked_is_a_member_no_more(known: Members) -> None:
    admit(known.store, C, state="revoked")
    peer = Caller.of(C)
    for ask in (known.authorise, known.identity_of):
        with pytest.raises(NotPermittedError, match="not an active member"):
            ask(peer)  # type: ignore[arg-type]


async def test_a_statement_goes_to_every_other_node_once(coordinator: Lab, relay: StatementService) -> None:
    said_twice = statement(A)
    for _ in range(2):
        await relay.Publish(said_twice, Caller.of(A))
    (task_id,) = coordinator.journalled()
    waiting = coordinator.mailbox.outgoing("bank-b")
    assert waiting is not None
    task = exchange_pb2.Task.FromString(waiting.content.head())
    assert (task.task_id, task.step) == (task_id, "notice.statement")
    said = Content.from_proto(task.content, "the coordinator").config
    assert said["document"] == AGREEMENT.canonical()
    assert said["identity"] == canonical.encode(A.public.document())
    A.public.verify("agreement.signed", said["document"], said["signature"])


async def test_a_node_that_comes_later_catches_up(
    coordinator: Lab, relay: StatementService, known: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    for author in (A, B):
        await relay.Publish(statement(author), Caller.of(author))
    admit(known.store, C)
    for _ in range(2):
        relay.catch_up("bank-c")
    assert sum(task_id.endswith("/bank-c") for task_id in coordinator.journalled()) == 2
    assert len(coordinator.journalled()) == 4
    (page,) = await everything(relay.List(network_pb2.ListStatementsRequest(), Caller.of(REX)))
    assert [item.institution for item in page.statements] == ["bank-a", "bank-b"]
    monkeypatch.setattr(relays, "MEMBERS_A_PAGE", 3)
    pages = await everything(relay.Members(network_pb2.MembersRequest(), Caller.of(REX)))
    assert [len(page.identities) for page in pages] == [3, 1]


async def test_what_is_passed_on_is_logged_first(coordinator: Lab, relay: StatementService) -> None:
    await relay.Publish(statement(A, type="agreement.proposed"), Caller.of(A))
    await relay.Publish(statement(B), Caller.of(B))
    types = [body["type"] for body in coordinator.events()][1:]
    assert types == ["agreement.proposed", "agreement.signed"]
    assert coordinator.events("agreement.signed")[0]["detail"]["fingerprint"] == B.public.fingerprint


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": "agreement.cancelled"}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"type": "\x1b" * 100}, grpc.StatusCode.FAILED_PRECONDITION),
        ({"institution": "bank-b"}, grpc.StatusCode.PERMISSION_DENIED),
        ({"document": b"{}"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"document": b'{"\\u001b[31m":1}'}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"document": AGREEMENT.canonical()[:-1] + b" }"}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"signature": b""}, grpc.StatusCode.PERMISSION_DENIED),
        ({"signature": B.sign("agreement.signed", AGREEMENT.canonical())}, grpc.StatusCode.PERMISSION_DENIED),
        ({"signature": A.sign("receipt", AGREEMENT.canonical())}, grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_what_is_no_statement_is_refused_logged_and_not_kept(
    coordinator: Lab, relay: StatementService, changes: dict[str, Any], code: grpc.StatusCode
) -> None:
    with pytest.raises(RefusedCallError) as refused:
        await relay.Publish(statement(A, **changes), Caller.of(A))
    assert refused.value.code is code
    assert coordinator.events("message.refused")[0]["detail"]["peer"] == "bank-a"
    assert coordinator.journalled() == []
    assert StatementStore(coordinator.engine).after(0) == []


async def test_statements_are_listed_in_pages_and_by_type(coordinator: Lab, relay: StatementService) -> None:
    store = StatementStore(coordinator.engine)
    for number in range(120):
        long = statement(A, type=f"type-{number % 2}", signature=number.to_bytes(2, "big") + bytes(60_000))
        store.add(long, "a" * 64, NOW_MS)
    listed = [
        [len(page.statements) for page in await everything(relay.List(asked, Caller.of(REX)))]
        for asked in (network_pb2.ListStatementsRequest(), network_pb2.ListStatementsRequest(types=["type-1"]))
    ]
    with pytest.raises(RefusedCallError, match="more types"):
        await everything(relay.List(network_pb2.ListStatementsRequest(types=["x"] * 1000), Caller.of(REX)))
    assert [sum(pages) for pages in listed] == [120, 60]
    assert max(map(max, listed)) * 60_000 <= 1 << 20


async def test_a_statement_longer_than_any_is_refused(coordinator: Lab, relay: StatementService) -> None:
    with pytest.raises(RefusedCallError, match="longer than"):
        await relay.Publish(statement(A, signature=bytes(1 << 20)), Caller.of(A))
    assert StatementStore(coordinator.engine).after(0) == []
    assert coordinator.events("message.refused")[0]["detail"]["step"] == "statement.publish"


async def test_a_node_that_connects_again_is_given_only_what_is_new(
    coordinator: Lab, relay: StatementService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await relay.Publish(statement(A), Caller.of(A))
    looked_at: list[int] = []
    after = StatementStore.after

    def counted(store: StatementStore, place: int, *rest: Any) -> Any:
        found = after(store, place, *rest)
        looked_at.append(len(found))
        return found

    monkeypatch.setattr(StatementStore, "after", counted)
    for _ in range(2):
        relay.catch_up("bank-b")
    await relay.Publish(statement(B), Caller.of(B))
    relay.catch_up("bank-b")
    assert looked_at == [1, 0, 0, 1, 0]


def test_statements_have_places_in_their_order_whatever_the_clock_says(coordinator: Lab) -> None:
    store = StatementStore(coordinator.engine)
    places = [
        store.add(statement(A, signature=bytes([number])), "a" * 64, NOW_MS - number).statement_id
        for number in range(3)
    ]
    assert [item.statement_id for item in store.after(0)] == places
    assert [item.place for item in store.after(0)] == [NOW_MS, NOW_MS + 1, NOW_MS + 2]


def test_a_statement_has_an_id_for_every_byte(coordinator: Lab) -> None:
    store = StatementStore(coordinator.engine)
    changes: list[dict[str, Any]] = [
        {},
        {"type": "x"},
        {"institution": "x"},
        {"document": b"x"},
        {"signature": b"x"},
    ]
    ids = [
        store.add(statement(A, **({"signature": b"s"} | change)), "a" * 64, NOW_MS).statement_id
        for change in changes
    ]
    assert len(set(ids)) == len(ids) == len(store.after(0))
    shifted = statement(A, type="agreement.signedbank", institution="-a", signature=b"s")
    assert store.add(shifted, "a" * 64, NOW_MS).statement_id not in ids
    assert [item.statement_id for item in store.after(0)][: len(ids)] == ids


async def test_what_is_kept_for_ever_counts_by_its_length(coordinator: Lab, known: Members) -> None:
    bounded = replace(known, rates=Rates(1, lambda: 0.0, seconds=10))
    store = StatementStore(coordinator.engine)
    relay = StatementService(
        bounded, store, coordinator.mailbox, coordinator.log, lambda: NOW_MS, coordinator.store
    )
    with pytest.raises(RefusedCallError, match="document"):
        await relay.Publish(statement(A, document=bytes(140_000)), Caller.of(A))
    with pytest.raises(RefusedCallError, match="more often"):
        await relay.Publish(statement(A, document=bytes(140_000)), Caller.of(A))
    with pytest.raises(RefusedCallError, match="longer than"):  # the longest costs what can be saved up, not more
        await relay.Publish(statement(B, document=bytes(2 << 20)), Caller.of(B))


def test_who_calls_too_often_is_told_so_and_does_not_fill_the_log(coordinator: Lab, known: Members) -> None:
    bounded = replace(known, rates=Rates(1, lambda: 0.0, seconds=3))
    for _ in range(3):
        bounded.require(Caller.of(A), "node")
    before = coordinator.log.size
    for _ in range(50):
        with pytest.raises(LimitError, match="more often than a member may"):
            bounded.require(Caller.of(A), "node")
    assert coordinator.log.size <= before + 1
    assert bounded.require(Caller.of(B), "node").institution == "bank-b"
