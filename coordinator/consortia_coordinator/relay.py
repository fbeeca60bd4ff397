"""Passes on what institutions and officers state, and who the members are. Decides nothing.

A statement is signed by its author; every node checks it for itself. It reaches a node as a journalled task, so
a node that is away, or that enrols later, gets it when it comes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from consortia_common import rpc
from consortia_common.audit_log import AuditLog
from consortia_common.content import Content
from consortia_common.documents import statements, withdrawal
from consortia_common.documents.agreement import Agreement
from consortia_common.documents.base import refuse
from consortia_common.documents.confirmation import CONFIRMED, STEP, Confirmation, SignedConfirmation
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.statements import AgreementChange, JobApproval, ModelWithdrawal
from consortia_common.errors import NotPermittedError
from consortia_common.tls import Peer
from consortia_coordinator.errors import CoordinatorError, not_enrolled
from consortia_coordinator.jobs import FINAL
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.members import Members
from consortia_coordinator.pages import pages
from consortia_coordinator.store.jobs import JobStore
from consortia_coordinator.store.statements import StatementStore, StoredStatement
from consortia_coordinator.store.tasks import NOTICE
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import exchange_pb2, network_pb2, network_pb2_grpc

_WITHDRAWAL_TYPES = (withdrawal.WITHDRAWN, withdrawal.ACKNOWLEDGED)
_AGREEMENT_TYPES = (statements.PROPOSED, statements.SIGNED)
_ROLES = {
    statements.PROPOSED: ("node",),
    statements.SIGNED: ("node", "officer"),
    statements.CHANGED: ("node", "officer"),
    statements.APPROVAL: ("officer",),
    CONFIRMED: ("officer",),
    statements.MODEL_WITHDRAWN: ("node",),
    withdrawal.WITHDRAWN: ("node",),
    withdrawal.ACKNOWLEDGED: ("node",),
}
"""Who may state what."""
MEMBERS_A_PAGE = 200
"""An identity has some 5 KiB."""
MAX_STATEMENT = 1 << 20
"""Bytes of one, with its signature."""
_STEPS = {
    statements.CHANGED: "notice.change",
    statements.APPROVAL: "notice.approval",
    CONFIRMED: STEP,
    statements.MODEL_WITHDRAWN: "notice.model",
    withdrawal.WITHDRAWN: "notice.consent",
    withdrawal.ACKNOWLEDGED: "notice.acknowledgement",
}
"""The step by which a node is told of it, where that is not notice.statement."""


@rpc.guarded
class StatementService(network_pb2_grpc.StatementsServicer):
    """Serves Statements."""

    def __init__(
        self,
        members: Members,
        store: StatementStore,
        mailbox: Mailbox,
        log: AuditLog,
        now_ms: Callable[[], int],
        jobs: JobStore,
    ) -> None:
        self._members = members
        self._jobs = jobs
        self._store = store
        self._mailbox = mailbox
        self._log = log
        self._now_ms = now_ms
        self._given: dict[str, int] = {}
        """Up to which place each institution was given what concerns it, since the start."""

    async def Publish(self, request: network_pb2.Statement, context: Any) -> network_pb2.PublishResponse:
        """Keep a statement and pass it on to the nodes that it concerns."""
        peer = self._members.require(context, "node", "officer", kept=request.ByteSize())
        identity = await asyncio.to_thread(self._members.identity_of, peer)
        statement_id = await asyncio.to_thread(self._publish, request, identity)
        return network_pb2.PublishResponse(statement_id=statement_id)

    async def List(
        self, request: network_pb2.ListStatementsRequest, context: Any
    ) -> AsyncIterator[network_pb2.StatementList]:
        """Every statement so far; those about consents, and acknowledgements, only if they concern the caller."""
        peer = self._members.require(context, "node", "analyst", "officer", "regulator")
        if len(request.types) > len(_ROLES):
            raise refuse("the request", ["it names more types of statements than there are"])
        last = 0
        while found := await asyncio.to_thread(self._store.after, last, tuple(request.types)):
            last = found[-1].place
            for page in pages(item.statement for item in found if _may_read(peer, item.statement)):
                yield network_pb2.StatementList(statements=page)

    async def Members(
        self, request: network_pb2.MembersRequest, context: Any
    ) -> AsyncIterator[network_pb2.MemberList]:
        """Every active member's public identity."""
        del request
        self._members.require(context, "node", "analyst", "officer", "regulator")
        found = await asyncio.to_thread(self._members.store.identities)
        for start in range(0, len(found), MEMBERS_A_PAGE):
            yield network_pb2.MemberList(identities=found[start : start + MEMBERS_A_PAGE])

    def catch_up(self, institution: str) -> None:
        """Queue for ``institution`` every statement that it has not made itself; none is queued twice."""
        authors = {identity.fingerprint: identity for identity in self._members.identities()}
        while found := self._store.after(self._given.get(institution, 0)):
            self._mailbox.post(
                (_notice(stored, author, institution), institution, None)
                for stored in found
                if (author := authors.get(stored.author)) is not None and _concerns(stored, author, institution)
            )
            self._given[institution] = found[-1].place

    def _publish(self, statement: network_pb2.Statement, author: PublicIdentity) -> str:
        with self._log.refusing(peer=author.institution, step="statement.publish"):
            if statement.ByteSize() > MAX_STATEMENT:
                raise refuse("the statement", [f"it is longer than {MAX_STATEMENT} bytes"])
            if statement.type == CONFIRMED:
                return self._confirm(statement, author)
            event, fields = self._checked(statement, author)
        commit = self._log.attach(statement.document)
        self._log.append(event, payload_commit=commit, institution=author.institution, **fields)
        return self._pass_on(statement, author)

    def _confirm(self, statement: network_pb2.Statement, author: PublicIdentity) -> str:
        """An officer has compared a member's fingerprint: logged with what they signed, noted, passed on."""
        _require_role(statement, author)
        signed = SignedConfirmation.of(statement.document, statement.signature, author)
        said = signed.confirmation
        _require_same((said.network, said.institution, said.officer), self._members.network, author)
        member = self._members.store.active(said.member, said.role, said.name)
        enrolled = self._log.identity if said.role == "coordinator" else member
        if enrolled is None or not said.is_of(enrolled):
            raise not_enrolled(said.member, said.role, said.name)
        commit = self._log.attach(signed.canonical())
        self._log.append(CONFIRMED, payload_commit=commit, **said.event(author))
        if member is not None:
            self._members.store.confirm(member, self._now_ms())
        return self._pass_on(statement, author)

    def _checked(self, statement: network_pb2.Statement, author: PublicIdentity) -> tuple[str, dict[str, Any]]:
        """The event, with its fields, for the log, if ``author`` may make it. Raises ConsortiaError."""
        _require_role(statement, author)
        if statement.type in _WITHDRAWAL_TYPES:
            return _withdrawal(statement, author)
        if statement.type in _AGREEMENT_TYPES:
            agreement = Agreement.from_canonical(statement.document, "the agreement")
            author.verify(statements.SIGNED, statement.document, statement.signature)
            return statement.type, {"agreement": agreement.reference, "fingerprint": author.fingerprint}
        author.verify(statement.type, statement.document, statement.signature)
        return self._change(statement, author)

    def _change(self, statement: network_pb2.Statement, author: PublicIdentity) -> tuple[str, dict[str, Any]]:
        if statement.type == statements.CHANGED:
            change = AgreementChange.from_canonical(statement.document, "the change")
            _require_same((change.network, change.institution, change.signer), self._members.network, author)
            said = {"agreement": change.agreement, "decision": change.action, "reason": change.reason}
        elif statement.type == statements.MODEL_WITHDRAWN:
            model = ModelWithdrawal.from_canonical(statement.document, "the withdrawal of a model")
            _require_same((model.network, model.institution, model.signer), self._members.network, author)
            said = {"job": model.job, "reason": model.reason, "statement": model.statement}
            return statement.type, said | ({"digest": model.model} if model.model else {})
        else:
            approval = JobApproval.from_canonical(statement.document, "the approval")
            _require_same((approval.network, approval.institution, approval.officer), self._members.network, author)
            self._require_asked(approval)
            said = {"job": approval.job, "decision": approval.decision, "reason": approval.reason}
        return statement.type, said | {"fingerprint": author.fingerprint}

    def _require_asked(self, approval: JobApproval) -> None:
        """Return if the job waits, or may come to wait, for the officers of that institution."""
        job = self._jobs.get(approval.job)
        spec = Submission.from_canonical(job.submission, "the stored submission").spec
        if job.state in FINAL:
            why = f"it is {job.state}"
        elif approval.institution not in spec.parties:
            why = f"{approval.institution} is no party of it"
        elif not any(agreement.approvals_for(spec.kind) for agreement in self._agreements(spec.agreement)):
            why = f"agreement {spec.agreement} asks nobody to approve {spec.kind} jobs"
        else:
            return
        raise CoordinatorError(
            f"job {approval.job} can't be decided on: {why}",
            blame="the officer",
            remedy="`consortia job list` shows the jobs of this network and where they stand",
        )

    def _agreements(self, name: str) -> Iterator[Agreement]:
        """Those of that name and version that were published."""
        last = 0
        while found := self._store.after(last, _AGREEMENT_TYPES):
            last = found[-1].place
            for stored in found:
                agreement = Agreement.from_canonical(stored.statement.document, "the agreement")
                if agreement.short == name:
                    yield agreement

    def _pass_on(self, statement: network_pb2.Statement, author: PublicIdentity) -> str:
        stored = self._store.add(statement, author.fingerprint, self._now_ms())
        self._mailbox.post(
            (_notice(stored, author, institution), institution, None)
            for institution in self._members.nodes()
            if _concerns(stored, author, institution)
        )
        self._mailbox.wake()
        return stored.statement_id


def _withdrawal(statement: network_pb2.Statement, author: PublicIdentity) -> tuple[str, dict[str, Any]]:
    """What ``author`` states of consents that ended, or acknowledges. Raises ConsortiaError."""
    about = withdrawal.read(statement.type, statement.document)
    _require_own(about.institution, author)
    author.verify(statement.type, statement.document, statement.signature)
    return "withdrawal.relayed", {"statement": about.statement}


def _require_role(statement: network_pb2.Statement, author: PublicIdentity) -> None:
    """Return if its author may state such a thing, and does so for its own institution."""
    if author.role not in _ROLES.get(statement.type, ()):
        raise CoordinatorError(
            f"there are no statements of type {statement.type[:40]!r} by a member of role {author.role}",
            blame=author.institution,
            remedy="run a version of Consortia that is compatible with this coordinator's",
        )
    _require_own(statement.institution, author)


def _require_same(said: tuple[str, str, str], network: str, author: PublicIdentity) -> None:
    """Network, institution and signer that a document names must be its author's."""
    if said != (network, author.institution, author.fingerprint):
        raise refuse("the statement", ["it is for another network, or names another signer than its sender"])


def _require_own(institution: str, author: PublicIdentity) -> None:
    if institution != author.institution:
        raise NotPermittedError(
            f"{author.institution} can't publish for {institution[:60]!r}",
            blame=author.institution,
            remedy="let that institution publish its own statement",
        )


def _may_read(peer: Peer, statement: network_pb2.Statement) -> bool:
    if statement.type not in _WITHDRAWAL_TYPES or peer.role == "regulator":
        return True
    about = withdrawal.read(statement.type, statement.document)
    return peer.institution in (about.institution, *about.recipients)


def _concerns(stored: StoredStatement, author: PublicIdentity, institution: str) -> bool:
    """Whether the statement is for that institution's node; agreements are for all, each decides by itself."""
    statement = stored.statement
    if author.role == "node" and author.institution == institution:
        return False
    if statement.type == statements.APPROVAL:
        return author.institution == institution
    if statement.type in _WITHDRAWAL_TYPES:
        return institution in withdrawal.read(statement.type, statement.document).recipients
    if statement.type == CONFIRMED:
        about = Confirmation.from_canonical(statement.document, "the confirmation")
        return institution in (about.institution, about.member)
    if statement.type == statements.MODEL_WITHDRAWN:
        return institution in ModelWithdrawal.from_canonical(statement.document, "a withdrawal").recipients
    return True


def _notice(stored: StoredStatement, author: PublicIdentity, recipient: str) -> exchange_pb2.Task:
    """The task that carries it. One about a job is done in the order of that job's tasks."""
    statement = stored.statement
    content = Content(
        config={
            "type": statement.type,
            "document": statement.document,
            "signature": statement.signature,
            "identity": canonical.encode(author.document()),
        }
    )
    return exchange_pb2.Task(
        task_id=f"{NOTICE}{stored.statement_id}/0/{recipient}",
        job_id=_job_of(statement),
        step=_STEPS.get(statement.type, "notice.statement"),
        content=content.to_proto(),
    )


def _job_of(statement: network_pb2.Statement) -> str:
    if statement.type != statements.APPROVAL:
        return ""
    return JobApproval.from_canonical(statement.document, "the approval").job
