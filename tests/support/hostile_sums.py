"""The coordinator's hand in one attempt at one sealed sum, asked of real nodes' agents step by step.

Honest as it stands; a test stops where it likes and puts its own words to the next step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from consortia_common.content import Content
from consortia_common.sealed import NOTHING_BEFORE, chained, policy_of
from consortia_crypto.sum import collector, masking
from consortia_crypto.sum.collector import Collector
from consortia_crypto.sum.lattice import collector_group
from consortia_crypto.sum.messages import (
    Certificate,
    Lists,
    Revealed,
    SetProposal,
    SetSigned,
    Shared,
    Total,
    Uploaded,
)
from consortia_crypto.sum.plans import RemovePlan
from consortia_crypto.sum.vector import MemoryVector
from consortia_proto.v1 import exchange_pb2 as pb

if TYPE_CHECKING:
    from tests.support.hostile import Deal, Hostile


@dataclass
class Round:
    """The sum ``name`` of round ``turn``, whose summands the kind's ``step`` makes."""

    seat: Hostile
    deal: Deal
    name: str
    step: str
    turn: int = 0
    attempt: int = 1
    before: str = NOTHING_BEFORE
    lists: Mapping[str, Lists] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    """The vectors, by sender."""
    revealed: dict[str, bytes] = field(default_factory=dict)
    """What opens the sum, by sender."""
    proposal: SetProposal = field(init=False)
    certificate: Certificate = field(init=False)
    plan: RemovePlan = field(init=False)
    total: Total = field(init=False)
    sealed: bytes = field(init=False, default=b"")

    def __post_init__(self) -> None:
        self.policy = policy_of(self.deal.job_id, self.deal.spec, self.name, self.turn)
        documents = self.seat.documents[self.deal.job_id]
        self.state: Collector = collector.start(self.policy, self.attempt, documents, self.before)
        self.group = collector_group(self.policy, self.seat.public.get(self.deal.job_id), self.deal.spec.parties[0])

    def ask(self, party: str, step: str, **said: Any) -> pb.Reply:
        """What a node answers to one task of the protocol."""
        content = Content(config={"sum": self.name, "attempt": self.attempt, **said})
        return self.seat.banks[party].ask(step, content, job=self.deal.job_id, turn=self.turn)

    def told(self, party: str, step: str, **said: Any) -> dict[str, Any]:
        """What a node answers; fails the test if it refuses."""
        reply = self.ask(party, step, **said)
        assert reply.WhichOneof("outcome") == "content", reply
        return dict(Content.from_proto(reply.content, party).config)

    @property
    def terms(self) -> dict[str, list[str]]:
        """R0."""
        return {"rids": [self.policy.rid(self.attempt)], "policies": [self.policy.digest()]}

    def share(self, parties: Sequence[str] = ()) -> None:
        """R1 of these parties, or all."""
        for party in parties or self.deal.spec.parties:
            said = self.told(party, "sum.share", **self.terms)
            self.state = collector.shared(self.state, Shared.from_bytes(said["messages"][0]))
        self.state, self.lists = collector.close_sharing(self.state)

    def work(self) -> None:
        """The kind's step at every party."""
        self.seat.everyone(self.deal, self.step, turn=self.turn)

    def upload(self, parties: Sequence[str] = ()) -> None:
        """R2 of these parties, or all that were listed."""
        for party in parties or self.lists:
            said = self.told(party, "sum.upload", message=self.lists[party].to_bytes())
            data = b"".join(said["frames"])
            self.uploads[party] = data
            digest = hashlib.sha256(data).hexdigest()
            self.state = collector.uploaded(self.state, Uploaded.from_bytes(said["message"]), digest)
        self.state, self.proposal = collector.close_uploading(self.state)

    def sign(self) -> None:
        """R3, and what those who sign a set with nobody missing reveal at once."""
        for party in self.uploads:
            said = self.told(party, "sum.sign", message=self.proposal.to_bytes())
            self.state = collector.signed(self.state, SetSigned.from_bytes(said["message"]))
            self.revealed |= {party: said["revealed"]} if "revealed" in said else {}
        self.state, self.certificate = collector.close_setting(self.state)

    def reveal(self) -> None:
        """R4."""
        for party in self.uploads:
            if party not in self.revealed:
                said = self.told(party, "sum.reveal", message=self.certificate.to_bytes())
                self.revealed[party] = said["message"]
            self.state = collector.revealed(self.state, Revealed.from_bytes(self.revealed[party]))
        self.state, self.plan = collector.close_revealing(self.state)
        self.sealed = self.added(list(self.uploads))
        self.total = collector.total(self.state)

    def added(self, parties: Sequence[str], uploads: Mapping[str, bytes] | None = None) -> bytes:
        """These uploads added up, as often as they are named, and what was revealed taken off."""
        vector = MemoryVector.zeros(self.group.wire.size)
        for number, party in enumerate(parties):
            upload = MemoryVector(np.frombuffer((uploads or self.uploads)[party], np.uint8))
            masking.accumulate(self.group, vector, upload, party, first=number == 0)
        masking.adjust(self.group, vector, self.plan.masks, vector)
        return vector.data.tobytes()

    def give(self, party: str, vector: bytes | None = None, total: Total | None = None) -> pb.Reply:
        """R5 to one party; another vector or total in its place."""
        frames = [self.sealed if vector is None else vector]
        message = self.total if total is None else total
        return self.ask(party, "sum.total", first=0, frames=frames, message=message.to_bytes())

    def opened(self) -> Round:
        """Give the total to everybody and have it accepted."""
        for party in self.deal.spec.parties:
            reply = self.give(party)
            assert reply.WhichOneof("outcome") == "content", reply
        self.seat.totals[self.deal.job_id] = chained(self.before, hashlib.sha256(self.sealed).hexdigest())
        return self

    def until(self, last: str) -> Round:
        """Every step up to ``last``: share, work, upload, sign or reveal."""
        steps = ("share", "work", "upload", "sign", "reveal", "opened")
        for step in steps[: steps.index(last) + 1]:
            getattr(self, step)()
        return self
