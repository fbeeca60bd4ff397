"""What the operator orders: logged, then done, once, also over a crash; a revocation ends jobs and streams."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from consortia_common.content import Content
from consortia_common.documents.revocation import REVOKED, Revocation
from consortia_common.fingerprint_words import words
from consortia_common.tls import Peer
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.jobservice import JobService
from consortia_coordinator.limits import JobLimits
from consortia_coordinator.members import Members
from consortia_coordinator.orders import Means, Orders
from consortia_coordinator.registry import Registry
from consortia_coordinator.store.members import MembersStore
from consortia_coordinator.store.orders import OrderStore
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_proto.v1 import exchange_pb2
from consortia_proto.v1 import network_pb2 as pb
from tests.support.callers import NEVER, Caller, RefusedCallError, admit, know_callers
from tests.support.parties import ANALYST, COORDINATOR, NOW_MS, Lab, lab
from tests.support.specs import BANKS, spec

NODES = [PrivateIdentity.generate("lab", bank, "node", "node") for bank in BANKS]
OLGA = PrivateIdentity.generate("lab", "bank-c", "officer", "olga")
NOW = datetime(2026, 6, 1, tzinfo=UTC)
STATISTICS = spec("statistics")


class Desk:
    """A coordinator, its registry and its orders."""

    def __init__(self, coordinator: Lab) -> None:
        self.lab = coordinator
        self.members = MembersStore(coordinator.engine)
        admit(self.members, ANALYST, OLGA, *NODES)
        self.registry = Registry(coordinator.engine, lambda: NOW)
        self.hung_up: list[str] = []
        self.start()

    def start(self) -> None:
        made, store = self.lab, OrderStore(self.lab.engine)
        means = Means(COORDINATOR, self.members, store, made.store, made.mailbox, made.log, lambda: NOW)
        self.orders = Orders(means, made.conductor)
        self.orders.hang_up = self._hang_up

    def _hang_up(self, member: PublicIdentity, reason: str) -> None:
        assert "revoked" in reason
        assert self.lab.events("member.revoked")  # on the log before anything happens
        self.hung_up.append(member.institution + "/" + member.name)

    def standing(self, identity: PrivateIdentity) -> str:
        return self.members.standing(Peer("lab", identity.institution, identity.role, identity.name, NEVER, "key"))

    def told(self, institution: str) -> list[Revocation]:
        """What waits for a node, checked as it would."""
        found = []
        while waiting := self.lab.mailbox.outgoing(institution):
            self.lab.mailbox.delivered(institution, {waiting.message_id: 1})
            task = exchange_pb2.Task.FromString(waiting.content.head())
            said = Content.from_proto(task.content, "the coordinator").config
            if task.step == "notice.revocation":
                COORDINATOR.public.verify(REVOKED, said["document"], said["signature"])
                found.append(Revocation.from_canonical(said["document"], "it"))
        return found


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    know_callers(monkeypatch)
    with lab(tmp_path) as made:
        yield Desk(made)


def test_an_institution_is_revoked_with_all_its_members(desk: Desk) -> None:
    order = desk.registry.revoke("bank-c", "", "", "left the network", "otto")
    assert desk.registry.outcome(order, 0) == ""  # nothing happens before the coordinator has logged it
    assert desk.standing(OLGA) == desk.standing(NODES[2]) == ""
    assert desk.orders.carry_out() == 1
    assert desk.registry.outcome(order) == "members revoked: 2, jobs stopped: 0"
    assert desk.standing(OLGA) == desk.standing(NODES[2]) == "it was revoked"
    assert desk.standing(NODES[0]) == ""
    assert sorted(desk.hung_up) == ["bank-c/node", "bank-c/olga"]
    logged = desk.lab.events("member.revoked")
    assert [(entry["reason"], entry["actor"]) for entry in logged] == [("left the network", "otto")] * 2
    for bank in BANKS[:2]:
        assert {one.fingerprint for one in desk.told(bank)} == {
            OLGA.public.fingerprint,
            NODES[2].public.fingerprint,
        }
    assert desk.told("bank-c") == []


def test_one_person_is_revoked_and_nobody_else(desk: Desk) -> None:
    desk.registry.revoke("bank-c", "officer", "olga", "lost her laptop", "otto")
    desk.orders.carry_out()
    assert desk.standing(OLGA)
    assert desk.standing(NODES[2]) == ""
    with pytest.raises(CoordinatorError, match="no active member bank-c/officer/olga"):
        desk.registry.revoke("bank-c", "officer", "olga", "again", "otto")


def test_an_order_that_a_crash_interrupted_is_carried_out_and_logged_once(desk: Desk) -> None:
    desk.registry.revoke("bank-c", "", "", "left", "otto")
    desk.orders.hang_up = crash
    with pytest.raises(RuntimeError):
        desk.orders.carry_out()
    desk.start()
    assert desk.orders.carry_out() == 1
    assert desk.orders.carry_out() == 0
    assert len(desk.lab.events("member.revoked")) == 2
    assert desk.standing(OLGA) == desk.standing(NODES[2]) == "it was revoked"


def crash(member: PublicIdentity, reason: str) -> None:
    raise RuntimeError


@pytest.mark.parametrize("whom", [("bank-c", "node", "node"), ("bank-a", "analyst", "ana")])
def test_the_jobs_of_who_is_revoked_end_at_once(desk: Desk, whom: tuple[str, str, str]) -> None:
    desk.lab.says["query.tabulate"] = lambda task, party: None  # nobody answers: the job waits
    desk.lab.connect(BANKS)
    job_id = desk.lab.submit(STATISTICS)
    desk.lab.conductor.start(job_id)
    desk.registry.revoke(*whom, "left", "otto")
    desk.orders.carry_out()
    desk.lab.conductor.stop(5)
    job = desk.lab.store.get(job_id)
    assert job.state == "failed"
    assert f"{'/'.join(whom)} takes part no more: its membership was revoked (left)" in job.stage
    types = [entry["type"] for entry in desk.lab.events()]
    assert types.index("member.revoked") < types.index("job.failed")
    assert desk.lab.events("job.failed")[0]["job"] == job_id


def test_jobs_of_a_stopped_coordinator_end_at_its_start(desk: Desk) -> None:
    job_id = desk.lab.submit(STATISTICS)
    desk.registry.revoke("bank-c", "", "", "left", "otto")
    desk.orders.carry_out()  # before the jobs are taken up
    desk.lab.conductor.resume()
    desk.lab.conductor.stop(5)
    assert desk.lab.store.get(job_id).state == "failed"


async def test_a_stream_of_a_person_ends_when_the_person_is_revoked(desk: Desk) -> None:
    known = Members("lab", desk.members, lambda: NOW, desk.lab.log)
    made = desk.lab
    limits = JobLimits(9, 9)
    jobs = JobService(known, made.store, made.mailbox, made.log, made.conductor, lambda: NOW_MS, limits=limits)
    watching = jobs.Watch(pb.JobRequest(job_id=made.submit(STATISTICS)), Caller.of(ANALYST))
    assert (await anext(watching)).state == "submitted"
    desk.registry.revoke("bank-a", "analyst", "ana", "left", "otto")
    desk.orders.carry_out()
    with pytest.raises(RefusedCallError, match="it was revoked"):
        await anext(watching)


def test_a_fingerprint_is_confirmed_by_its_words(desk: Desk) -> None:
    said = words(NODES[0].public.fingerprint)
    desk.registry.confirm("bank-a", "node", "node", said, "olga")
    desk.orders.carry_out()
    (entry,) = desk.lab.events("member.confirmed")
    assert entry["actor"] == "olga"
    confirmed = {one.identity.institution for one in desk.registry.members() if one.confirmed_ms is not None}
    assert confirmed == {"bank-a"}
    with pytest.raises(CoordinatorError, match="not the fingerprint with which bank-b/node/node enrolled"):
        desk.registry.confirm("bank-b", "node", "node", said, "olga")


def test_a_change_of_the_authority_is_logged(desk: Desk) -> None:
    desk.registry.note("issuer.changed", digest="ab" * 32)
    desk.orders.carry_out()
    assert desk.lab.events("issuer.changed")[0]["detail"] == {"digest": "ab" * 32}


def test_an_older_certificate_of_a_name_is_nobodys(desk: Desk) -> None:
    peer = Peer("lab", "bank-a", "node", "node", NEVER, "another")
    assert "for a key that was replaced" in desk.members.standing(peer)
