"""A person's connection to the network: submit signed jobs, follow them, open results, check receipts.

What the coordinator brings is believed only as far as parties have signed or sealed it, with keys that are pinned
here when they are first seen (keepsakes); believed, told, plan, receipts and withdrawn say when.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace

import grpc

from consortia_client import believed, told, withdrawn
from consortia_client.believed import JobResult
from consortia_client.curves import Point
from consortia_client.errors import ResultError
from consortia_client.keepsakes import Keepsakes
from consortia_client.offering import Offering
from consortia_client.plan import Plan, checked, unlike_columns
from consortia_client.profile import Profile
from consortia_client.receipts import JobProof, SignedBy, prove
from consortia_client.told import Told
from consortia_common import membership, rpc
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.catalogue import CatalogueQuestion
from consortia_common.documents.jobspec import JobSpec, Submission
from consortia_common.documents.plan import PlanQuestion
from consortia_common.documents.question import Question
from consortia_common.documents.receipt import Receipt
from consortia_common.documents.statements import MODEL_WITHDRAWN, PROPOSED
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import network_pb2 as pb
from consortia_proto.v1 import network_pb2_grpc

COORDINATOR = "the coordinator"
CALL_SECONDS = 30
PLAN_SECONDS = 90
_SUBMISSION_DOMAIN = "job"


class Session:
    """Calls to the coordinator as one enrolled person; use it in a ``with`` block."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._keepsakes = Keepsakes(profile.folder)
        self._channel: grpc.Channel = profile.channel()
        self._jobs = network_pb2_grpc.JobsStub(self._channel)
        self._statements = network_pb2_grpc.StatementsStub(self._channel)
        self._watched: dict[str, tuple[Submission, dict[str, PublicIdentity]]] = {}

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def whom(self) -> str:
        """As whom it calls, in words."""
        identity = self._profile.identity.public
        return f"{identity.name} of {identity.institution} in network {self._profile.network}"

    def close(self) -> None:
        """Let go of the connection."""
        self._channel.close()

    def submit(self, spec: JobSpec, now_ms: int) -> pb.JobStatus:
        """Sign ``spec`` as a submission of its own and hand it in."""
        submission = Submission(
            network=self._profile.network,
            spec=spec,
            nonce=secrets.token_hex(16),
            submitted_ms=now_ms,
            analyst=self._profile.identity.public.fingerprint,
        )
        self._keepsakes.keep_submission(submission)
        document = submission.canonical()
        signature = self._profile.identity.sign(_SUBMISSION_DOMAIN, document)
        with rpc.calling(COORDINATOR):
            status = self._jobs.Submit(pb.Submission(document=document, signature=signature), timeout=CALL_SECONDS)
        return _about(submission.job_id, status)

    def plan(self, spec: JobSpec, now_ms: int) -> Plan:
        """What every party's gate would say to ``spec``, and what the job would take. Nothing is run or read."""
        question = PlanQuestion(
            network=self._profile.network,
            spec=spec,
            nonce=secrets.token_hex(16),
            asked_ms=now_ms,
            analyst=self._profile.identity.public.fingerprint,
        )
        answers = self._ask(question)
        parties = self._parties(question.as_submission())
        found = checked(question, answers, parties, self._profile.identity)
        cited = [agreement for agreement in self.agreements() if agreement.short == spec.agreement]
        if not (found.accepted and cited):
            return found
        return replace(found, unlike=tuple(unlike_columns(spec, self.offering(cited[0], now_ms))))

    def catalogue(self, agreement: Agreement, now_ms: int) -> tuple[Told, ...]:
        """What every party of ``agreement`` says that it offers under it: descriptions, never values."""
        parties = tuple(party.institution for party in agreement.parties)
        question = CatalogueQuestion(
            network=self._profile.network,
            agreement=agreement.short,
            parties=parties,
            nonce=secrets.token_hex(16),
            asked_ms=now_ms,
            analyst=self._profile.identity.public.fingerprint,
        )
        return told.checked(question, self._ask(question), self._nodes(parties, agreement.short))

    def offering(self, agreement: Agreement, now_ms: int) -> Offering:
        """What ``agreement`` offers to jobs, as far as its parties tell."""
        return Offering.of(agreement, [one.answer for one in self.catalogue(agreement, now_ms) if one.answer])

    def job(self, job_id: str) -> pb.JobStatus:
        """Where a job stands."""
        with rpc.calling(COORDINATOR):
            return _about(job_id, self._jobs.Get(pb.JobRequest(job_id=job_id), timeout=CALL_SECONDS))

    def jobs(self) -> list[pb.JobStatus]:
        """Every job of the network, oldest first."""
        pages = rpc.gathered(self._jobs.List(pb.ListJobsRequest(), timeout=CALL_SECONDS), COORDINATOR)
        return [job for page in pages for job in page.jobs]

    def cancel(self, job_id: str) -> pb.JobStatus:
        """End a job of one's own. Raises ConsortiaError if it has ended already."""
        with rpc.calling(COORDINATOR):
            return _about(job_id, self._jobs.Cancel(pb.JobRequest(job_id=job_id), timeout=CALL_SECONDS))

    def watch(self, job_id: str) -> Iterator[pb.JobStatus]:
        """Where a job stands, each time that changes, until it ends."""
        with rpc.calling(COORDINATOR):
            for status in self._jobs.Watch(pb.JobRequest(job_id=job_id)):
                yield _about(job_id, status)

    def curve(self, status: pb.JobStatus) -> tuple[Point, ...]:
        """How a job of one's own goes, as ``status`` tells; empty where it tells nothing. Raises EnvelopeError for
        what none of its parties has sealed."""
        if not status.HasField("progress") or not self._keepsakes.has_submission(status.job_id):
            return ()
        submission, parties = self._own(status.job_id)
        return believed.curve(status.progress, submission, parties, self._profile.identity)

    def result(self, job_id: str) -> JobResult:
        """The opened result. Raises ResultError if it can't be believed (see believed), or if a party has withdrawn
        the model that the job made."""
        submission = self._keepsakes.submission(job_id)
        sealed = self._fetched(job_id)
        parties = self._parties(submission)
        opened = believed.result(sealed, submission, parties, self._profile.identity)
        if opened.result and "model" in opened.result:
            stated = self._stated(MODEL_WITHDRAWN)
            withdrawn.require_standing(stated, opened.job_id, self._profile.network, parties)
        return opened

    def members(self) -> list[PublicIdentity]:
        """Every active member's public identity, as the coordinator knows them."""
        return membership.shown(self._statements, CALL_SECONDS)

    def agreements(self) -> list[Agreement]:
        """Every agreement that was proposed in the network, as far as the coordinator shows them."""
        return [Agreement.from_canonical(item.document, "an agreement") for item in self._stated(PROPOSED)]

    def proof(self, job_id: str) -> JobProof:
        """What proves to anybody that a job was run, with every party's receipt. Raises ResultError."""
        submission = self._keepsakes.submission(job_id)
        sealed = self._fetched(job_id)
        parties = self._parties(submission)
        receipts = [
            SignedBy(parties[item.institution], item.document, item.signature)
            for item in sealed.receipts
            if item.institution in parties
        ]
        return prove(submission, self._agreement(receipts, job_id), receipts)

    def _ask(self, question: Question) -> Sequence[pb.SignedAnswer]:
        """What came in answer to a question; nothing of it is checked yet."""
        document = question.canonical()
        signature = self._profile.identity.sign(question.domain(), document)
        asked = pb.SignedQuestion(step=question.STEP, document=document, signature=signature)
        answered = network_pb2_grpc.QuestionsStub(self._channel).Ask(asked, timeout=PLAN_SECONDS)
        return [answer for page in rpc.gathered(answered, COORDINATOR) for answer in page.answers]

    def _fetched(self, job_id: str) -> pb.JobResult:
        """A result as the coordinator has it, put together; nothing of it is checked yet."""
        pieces = rpc.gathered(self._jobs.Result(pb.JobRequest(job_id=job_id), timeout=CALL_SECONDS), COORDINATOR)
        if not pieces:
            raise believed.distrust(job_id, "the coordinator sent nothing")
        return pb.JobResult(
            job_id=pieces[0].job_id,
            sealed_by=pieces[0].sealed_by,
            receipts=[receipt for piece in pieces for receipt in piece.receipts],
            envelope=b"".join(piece.envelope for piece in pieces),
        )

    def _stated(self, kind: str) -> list[pb.Statement]:
        """What the network's institutions have stated of that type, as far as the coordinator shows it."""
        asked = pb.ListStatementsRequest(types=[kind])
        found = rpc.gathered(self._statements.List(asked, timeout=CALL_SECONDS), COORDINATOR)
        return [item for page in found for item in page.statements if item.type == kind]

    def _agreement(self, receipts: list[SignedBy], job_id: str) -> Agreement:
        """The agreement that the receipts cite, which the coordinator can't make up: they cite its hash."""
        cited = {Receipt.from_canonical(item.document, "a receipt").agreement for item in receipts}
        known = {agreement.reference: agreement for agreement in self.agreements()}
        if len(cited) != 1 or not cited <= known.keys():
            why = "its agreement is not at hand, or the parties worked under different ones"
            raise believed.distrust(job_id, why)
        return known[cited.pop()]

    def _own(self, job_id: str) -> tuple[Submission, dict[str, PublicIdentity]]:
        """A submission of one's own and its parties; asked for once, as long as the connection is open."""
        if job_id not in self._watched:
            submission = self._keepsakes.submission(job_id)
            self._watched[job_id] = submission, self._parties(submission)
        return self._watched[job_id]

    def _parties(self, submission: Submission) -> dict[str, PublicIdentity]:
        """The pinned identities of the submission's parties."""
        return self._nodes(submission.spec.parties, submission.job_id)

    def _nodes(self, parties: Sequence[str], about: str) -> dict[str, PublicIdentity]:
        """The pinned identities of the institutions' nodes."""
        nodes = {member.institution: member for member in self.members() if member.role == "node"}
        missing = [name for name in parties if name not in nodes]
        if missing:
            raise believed.distrust(about, f"the coordinator shows no identity for {', '.join(missing)}")
        return {name: self._keepsakes.pin(nodes[name]) for name in parties}


def _about(job_id: str, status: pb.JobStatus) -> pb.JobStatus:
    """``status``, if it is of the job that was asked for: an old job's result must not pass as a new one's."""
    if status.job_id != job_id:
        raise ResultError(
            f"the coordinator answered about another job than {job_id[:80]}",
            blame="the coordinator",
            remedy="do not use what it says of this job; tell the network's operator",
        )
    return status
