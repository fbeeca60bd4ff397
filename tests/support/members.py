"""Institutions of a job's sealed sums without nodes: what an honest node answers to the steps of epoch and sum.

Every message is as it is in service, made by the same machines of consortia_crypto; what is added is made up, and
states are kept in memory. Asked the same task again, an institution answers the same.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.documents.jobspec import JobSpec
from consortia_crypto.sum import epoch, lattice_secret, member, opening
from consortia_crypto.sum.epoch import Epoch, EpochSecrets
from consortia_crypto.sum.epoch_messages import Confirmed, KeyDocument, Letter
from consortia_crypto.sum.member import Member
from consortia_crypto.sum.messages import Certificate, Lists, SetProposal, Total
from consortia_crypto.sum.terms import SumPolicy, check_offer
from consortia_crypto.sum.vector import MemoryVector, frame_of
from consortia_crypto.sum.wire import wire_layout
from consortia_proto.v1 import exchange_pb2 as pb
from tests.support.sums import bfv_secret, identity

Sum = tuple[str, int]
"""The name of a sum and its round."""


@dataclass
class Institution:
    """One institution in one job."""

    job_id: str
    spec: JobSpec
    name: str
    opened: dict[Sum, NDArray[np.int64]] = field(default_factory=dict)
    """The totals that it accepted, by sum."""
    _epoch: list[Epoch] = field(default_factory=list)
    _secrets: list[EpochSecrets] = field(default_factory=list)
    _members: dict[Sum, Member] = field(default_factory=dict)
    _uploads: dict[Sum, MemoryVector] = field(default_factory=dict)
    _coming: dict[Sum, bytes] = field(default_factory=dict)
    _before: str = sealed.NOTHING_BEFORE
    _said: dict[str, Content] = field(default_factory=dict)
    _ridden: dict[str, Content] = field(default_factory=dict)

    def answer(self, task: pb.Task) -> Content | None:
        """What it says to a step of epoch or sum; None for every other step."""
        epoch_steps: Mapping[str, Callable[[Content], Content]] = {
            "epoch.key": self._key,
            "epoch.seed": self._seed,
            "epoch.join": self._join,
            "epoch.confirm": self._confirm,
        }
        sum_steps: Mapping[str, Callable[[Sum, Content], Content]] = {
            "sum.share": self._share,
            "sum.upload": self._upload,
            "sum.frame": self._frame,
            "sum.sign": self._sign,
            "sum.reveal": self._reveal,
            "sum.total": self._total,
        }
        if task.task_id in self._said:
            return self._said[task.task_id]
        content = Content.from_proto(task.content, "the coordinator")
        if task.step in epoch_steps:
            self._said[task.task_id] = epoch_steps[task.step](content)
        elif task.step in sum_steps:
            self._said[task.task_id] = sum_steps[task.step]((content.config["sum"], task.round), content)
        return self._said.get(task.task_id)

    def ride(self, task: pb.Task) -> Mapping[str, Any]:
        """What its answer to a step of the kind's carries of the sum behind it; the total before it is opened."""
        if task.task_id not in self._ridden:
            content = Content.from_proto(task.content, "the coordinator")
            before, behind = (sealed.ridden(content, prefix) for prefix in (sealed.BEFORE, sealed.BEHIND))
            if before.config:
                self._total((before.config["sum"], before.config["round"]), before)
            said = self._upload((behind.config["sum"], task.round), behind) if behind.config else Content()
            self._ridden[task.task_id] = Content(config=sealed.riding(sealed.BEHIND, said.config))
        return self._ridden[task.task_id].config

    def values(self, policy: SumPolicy) -> NDArray[np.int64]:
        """Its summand: everywhere one more than its place among the parties."""
        return np.full(policy.length, 1 + self.spec.parties.index(self.name), np.int64)

    def _key(self, content: Content) -> Content:
        del content
        leads = self.spec.engine == "lattice" and self.name == self.spec.parties[0]
        session = sealed.epoch_session(self.job_id, self.spec)
        state, document = epoch.begin(
            session,
            self.spec.parties,
            self.name,
            identity(self.name),
            os.urandom,
            bfv_secret() if leads else b"",
        )
        self._epoch.append(state)
        public = {"context": lattice_secret.public_part(bfv_secret())} if leads else {}
        return Content(config={"key": document.to_bytes(), **public})

    def _seed(self, content: Content) -> Content:
        documents = [KeyDocument.from_bytes(data) for data in content.config["keys"]]
        identities = {party: identity(party).public for party in self.spec.parties}
        state, letters = epoch.seed(self._epoch[-1], {each.institution: each for each in documents}, identities)
        self._epoch.append(state)
        return Content(config={f"envelope.{party}": letter.to_bytes() for party, letter in letters.items()})

    def _join(self, content: Content) -> Content:
        letters = {
            name.removeprefix("envelope."): Letter.from_bytes(data)
            for name, data in content.config.items()
            if name.startswith("envelope.")
        }
        state, confirmed = epoch.join(self._epoch[-1], letters)
        self._epoch.append(state)
        return Content(config={"confirm": confirmed.to_bytes()})

    def _confirm(self, content: Content) -> Content:
        confirms = [Confirmed.from_bytes(data) for data in content.config["confirms"]]
        self._secrets.append(epoch.confirm(self._epoch[-1], {each.sender: each for each in confirms}))
        return Content()

    def _share(self, wanted: Sum, content: Content) -> Content:
        rids, digests = content.config["rids"], content.config["policies"]
        first = self.spec.summed().index(wanted)
        sums = self.spec.summed()[first : first + len(rids)]
        said = [self._share_one(*each, content.config["attempt"]) for each in zip(sums, rids, digests, strict=True)]
        return Content(config={"messages": said})

    def _share_one(self, wanted: Sum, rid: str, digest: str, attempt: int) -> bytes:
        policy = sealed.policy_of(self.job_id, self.spec, *wanted)
        check_offer(policy, attempt, rid, digest)
        before = self._members.get(wanted)
        self._members[wanted], message = member.share(policy, attempt, self._secrets[-1], os.urandom, before)
        return message.to_bytes()

    def _upload(self, wanted: Sum, content: Content) -> Content:
        policy = self._policy(wanted)
        lists = Lists.from_bytes(content.config["message"])
        state, plan = member.lists(self._members[wanted], lists, self._before)
        group = lattice_secret.member_group(policy, self._secrets[-1].attachment or None)
        upload = MemoryVector.zeros(group.wire.size)
        values = MemoryVector(group.values.octets(self.values(policy)))
        digest, tag = opening.seal(policy, group, values, upload, plan)
        self._members[wanted], message = member.uploaded(state, digest, tag)
        self._uploads[wanted] = upload
        return Content(config={"message": message.to_bytes(), "frames": self._cut(wanted, 0)})

    def _frame(self, wanted: Sum, content: Content) -> Content:
        return Content(config={"frames": self._cut(wanted, content.config["first"])})

    def _sign(self, wanted: Sum, content: Content) -> Content:
        proposal = SetProposal.from_bytes(content.config["message"])
        self._members[wanted], message, revealed = member.set_proposed(self._members[wanted], proposal)
        at_once = {} if revealed is None else {"revealed": revealed.to_bytes()}
        return Content(config={"message": message.to_bytes(), **at_once})

    def _reveal(self, wanted: Sum, content: Content) -> Content:
        certificate = Certificate.from_bytes(content.config["message"])
        self._members[wanted], message = member.certificate(self._members[wanted], certificate)
        return Content(config={"message": message.to_bytes()})

    def _total(self, wanted: Sum, content: Content) -> Content:
        policy, first = self._policy(wanted), content.config["first"]
        data = (b"" if first == 0 else self._coming[wanted]) + b"".join(content.config["frames"])
        self._coming[wanted] = data
        if len(data) < wire_layout(policy).size:
            return Content()
        total = Total.from_bytes(content.config["message"])
        state = self._members.get(wanted)
        plan = member.opening(policy, self._secrets[-1], self._before, total, state)
        group = lattice_secret.member_group(policy, self._secrets[-1].attachment or None)
        sink = MemoryVector.zeros(group.values.size)
        opening.open_total(group, MemoryVector(np.frombuffer(data, np.uint8)), sink, plan)
        self.opened[wanted] = group.values.integers(sink.data).astype(np.int64)
        self._before = sealed.chained(self._before, sha256(data).hexdigest())
        return Content()

    def _cut(self, wanted: Sum, first: int) -> list[bytes]:
        layout = wire_layout(self._policy(wanted))
        batch = range(first, min(first + sealed.BATCH, layout.frames))
        return [frame_of(self._uploads[wanted], layout, frame).tobytes() for frame in batch]

    def _policy(self, wanted: Sum) -> SumPolicy:
        return sealed.policy_of(self.job_id, self.spec, *wanted)
