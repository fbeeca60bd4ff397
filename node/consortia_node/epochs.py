"""Agreeing on the keys of a job's sealed sums: four steps at every party, after which the coordinator knows none.

The protocol is consortia_crypto.sum.epoch; here its messages meet the exchange and its secrets the job's values,
which are erased when the job ends. What the parties seal to each other is logged like any letter.
"""

import secrets
from collections.abc import Callable, Mapping

from consortia_common import sealed
from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.jobspec import EPOCH
from consortia_common.errors import ExchangeError
from consortia_crypto.errors import SumError
from consortia_crypto.keys import PublicIdentity
from consortia_crypto.sum import epoch, schedule
from consortia_crypto.sum.epoch import Epoch, EpochSecrets
from consortia_crypto.sum.epoch_messages import Confirmed, KeyDocument, Letter
from consortia_node.accepted import AcceptedJob, identity
from consortia_node.answers import Answer
from consortia_node.errors import StateError
from consortia_node.letters import log_letter
from consortia_node.step import KeyRequest
from consortia_node.store.jobs import JobStore
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb

Handler = Callable[[AcceptedJob, pb.Task, Content], Answer]
_STATE, _SECRETS = "epoch.state", "epoch.secrets"
_KEY, _SEED, _JOIN, _CONFIRM = (turn.step for turn in EPOCH)


class Epochs:
    """Answers the steps of EPOCH."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.steps: Mapping[str, Handler] = {
            _KEY: self._make, _SEED: self._seed, _JOIN: self._join, _CONFIRM: self._confirm,
        }  # fmt: skip

    def _make(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Fresh keys, signed by this node's identity; the first party makes the shared one of "lattice" too."""
        del content
        me, public = self._tools.institution, {}
        attachment = b""
        if job.spec.engine == "lattice" and me == job.spec.parties[0]:
            attachment, context = self._tools.workers.run(KeyRequest(job.job_id, task.step, me))
            public = {"context": context}
        session = sealed.epoch_session(job.job_id, job.spec)
        state, document = epoch.begin(
            session, job.spec.parties, me, self._tools.identity, secrets.token_bytes, attachment
        )
        return self._kept(job, state, Content(config={"key": document.to_bytes(), **public}))

    def _seed(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Check everybody's keys; seal a part of what will be shared to each."""
        documents = [KeyDocument.from_bytes(data) for data in _blobs(content, "keys")]
        named = {document.institution: document for document in documents}
        state, letters = epoch.seed(self._state(job), named, self._identities(job))
        sealed_letters = {party: letter.to_bytes() for party, letter in letters.items()}
        for party, data in sealed_letters.items():
            log_letter(self._tools, "envelope.sealed", job, task.step, party, data)
        return self._kept(
            job, state, Content(config={f"envelope.{party}": data for party, data in sealed_letters.items()})
        )

    def _join(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """Open everybody's part."""
        del task
        others = [party for party in job.spec.parties if party != self._tools.institution]
        found = {party: content.config.get(f"envelope.{party}") for party in others}
        came = {party: data for party, data in found.items() if isinstance(data, bytes)}
        for party, data in came.items():
            log_letter(self._tools, "envelope.opened", job, _SEED, party, data)
        letters = {party: _letter(data, party) for party, data in came.items()}
        state, confirmed = epoch.join(self._state(job), letters)
        return self._kept(job, state, Content(config={"confirm": confirmed.to_bytes()}))

    def _confirm(self, job: AcceptedJob, task: pb.Task, content: Content) -> Answer:
        """See that everybody has the same keys; from here on sums can be added."""
        del task
        confirms = [Confirmed.from_bytes(data) for data in _blobs(content, "confirms")]
        found = epoch.confirm(self._state(job), {confirm.sender: confirm for confirm in confirms})
        self._tools.log.append(
            "epoch.opened", job=job.job_id, roster=job.spec.parties, transcript=found.roster_hash.hex()
        )
        return Answer(Content(), store=lambda c: JobStore(c).put(job.job_id, _SECRETS, found.to_bytes()))

    def _state(self, job: AcceptedJob) -> Epoch:
        with reading(self._tools.engine) as connection:
            kept = JobStore(connection).value(job.job_id, _STATE)
        return Epoch.from_bytes(kept or b"")

    def _kept(self, job: AcceptedJob, state: Epoch, say: Content) -> Answer:
        return Answer(say, store=lambda c: JobStore(c).put(job.job_id, _STATE, state.to_bytes()))

    def _identities(self, job: AcceptedJob) -> dict[str, PublicIdentity]:
        own = self._tools.institution
        others = {party: identity(self._tools, job, party) for party in job.spec.parties if party != own}
        return others | {own: self._tools.identity.public}


def secrets_of(values: Mapping[str, bytes], job_id: str) -> EpochSecrets:
    """The keys among what a job keeps. Raises StateError while there are none."""
    kept = values.get(_SECRETS)
    if kept is None:
        raise StateError(
            f"a sealed sum of {job_id} was asked for before its parties agreed on keys",
            blame="the coordinator",
            remedy="coordinator and nodes must run compatible versions of Consortia",
        )
    return EpochSecrets.from_bytes(kept)


def common_salt(values: Mapping[str, bytes], job_id: str) -> str:
    """A secret that all parties of a job with sums have alike, for the salt of its result; empty for other jobs."""
    kept = values.get(_SECRETS)
    return (
        schedule.kdf(EpochSecrets.from_bytes(kept).group_key, "result-salt", job_id.encode()).hex() if kept else ""
    )


def _letter(data: bytes, sender: str) -> Letter:
    try:
        return Letter.from_bytes(data)
    except SumError as error:
        raise SumError(
            f"the letter of {sender} was not understood", blame=f"the coordinator, or {sender}", remedy=error.remedy
        ) from error


def _blobs(content: Content, name: str) -> list[bytes]:
    value = content.config.get(name)
    if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
        raise ExchangeError(
            f"the parties' {name} did not come",
            blame="the coordinator",
            remedy="coordinator and nodes must run compatible versions of Consortia",
        )
    return value
