"""Whom the network has revoked: learnt from the coordinator's signed statement, and what ends here with it.

A coordinator could revoke whom it likes, and so stop jobs; that it can do in other ways too. What it can't do is
bring keys back: an identity that was revoked stays so here, whatever comes later.
"""

from collections.abc import Iterator

from sqlalchemy import Connection

from consortia_common import keyfiles
from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.base import refuse
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.revocation import REVOKED, STEP, Revocation
from consortia_crypto.errors import ConsortiaError
from consortia_node import jobs as rules
from consortia_node.answers import Answer, failed_by
from consortia_node.cohorts import Cohorts
from consortia_node.jobs import FAILED, WAITING
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.jobs import JobStore, StoredJob
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2 as pb


class Revocations:
    """Answers "notice.revocation"."""

    def __init__(self, tools: Tools, cohorts: Cohorts) -> None:
        self._tools = tools
        self._cohorts = cohorts

    def receive(self, task: pb.Task, content: Content) -> Answer:
        """Log it, believe those keys no more, and end the jobs that rely on them."""
        del task
        try:
            revocation, document = self._read(content)
        except ConsortiaError as error:
            self._tools.log.append("message.refused", reason=error.what, peer="coordinator", step=STEP)
            return Answer(failed_by(error))
        if not self._tools.peers.is_revoked(revocation.fingerprint):
            who = {name: getattr(revocation, name) for name in ("institution", "role", "name", "fingerprint")}
            commit = self._tools.log.attach(document)
            self._tools.log.append("member.revoked", **who, reason=revocation.reason, payload_commit=commit)
            self._tools.peers.revoke(revocation.fingerprint, document)
        return self._end(list(self._reached(revocation)), revocation)

    def _read(self, content: Content) -> tuple[Revocation, bytes]:
        """The statement, if the coordinator whose fingerprint is pinned here signed it. Raises ConsortiaError."""
        document, signature = content.config.get("document"), content.config.get("signature")
        if not (isinstance(document, bytes) and isinstance(signature, bytes)):
            raise refuse("a revocation", ["it lacks its document or its signature"])
        revocation = Revocation.from_canonical(document, "a revocation")
        if revocation.network != self._tools.settings.network:
            raise refuse("a revocation", ["it is for another network"])
        coordinator = keyfiles.load_public_identity(self._tools.settings.coordinator_file)
        coordinator.verify(REVOKED, document, signature)
        return revocation, document

    def _reached(self, revocation: Revocation) -> Iterator[StoredJob]:
        """The jobs under way or waiting here that the revoked keys submitted, or in which they are a party's."""
        with reading(self._tools.engine) as connection:
            store = JobStore(connection)
            alive = [*store.under_way(), *store.in_state(WAITING)]
        for job in alive:
            submission = Submission.from_canonical(job.submission, "the stored submission")
            agreement = AgreementStore(self._tools.engine).find(job.agreement).agreement
            parties = [agreement.party(name) for name in submission.spec.parties]
            keys = {submission.analyst} | {party.key for party in parties if party is not None}
            if revocation.fingerprint in keys:
                yield job

    def _end(self, jobs: list[StoredJob], revocation: Revocation) -> Answer:
        who = f"{revocation.institution}/{revocation.role}/{revocation.name}"
        reason, now = f"{who} was revoked", self._tools.now_ms()
        for job in jobs:
            self._tools.log.append("job.failed", job=job.job_id, reason=reason, institution=revocation.institution)
            self._tools.workers.end(job.job_id)
            self._cohorts.erase(job.job_id)

        def store(connection: Connection) -> None:
            kept = JobStore(connection)
            for job in jobs:
                found = kept.get(job.job_id)
                if found is not None and found.state in rules.UNDER_WAY | {WAITING}:
                    kept.advance(job.job_id, FAILED, now, reason)

        return Answer(Content(), store)
