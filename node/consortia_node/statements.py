"""What this institution tells others of consents and models withdrawn, and what they acknowledge.

A statement is written in the transaction that makes it true, and said afterwards, again and again until the
coordinator has it. Whoever states or acknowledges something must be a party, by the key that the agreement names,
to a job that this node knows.
"""

import hashlib
from collections.abc import Collection
from functools import cache, partial
from typing import TypeVar

from sqlalchemy import Connection

from consortia_common.content import Content
from consortia_common.database import reading
from consortia_common.documents.base import refuse, utc
from consortia_common.documents.statements import MODEL_WITHDRAWN, ModelWithdrawal
from consortia_common.documents.withdrawal import ACKNOWLEDGED, Acknowledgement, WithdrawalStatement
from consortia_crypto.keys import PublicIdentity
from consortia_node import jobs as rules
from consortia_node.answers import Answer
from consortia_node.consent import milliseconds
from consortia_node.errors import AgreementError
from consortia_node.notices import signed_parts
from consortia_node.store.agreements import AgreementStore
from consortia_node.store.jobs import JobStore
from consortia_node.store.statements import Answered, OwnStatement, StatementStore
from consortia_node.tools import Tools
from consortia_proto.v1 import exchange_pb2, network_pb2

_Stated = TypeVar("_Stated", Acknowledgement, WithdrawalStatement)
STEP = "notice.acknowledgement"
"""The step of a task that brings an acknowledgement."""


class Statements:
    """Writes statements, gives out what is to be said, and takes in what is acknowledged."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def write(self, connection: Connection, statement: str, kind: str, document: bytes) -> None:
        """Sign the document and keep it to be said."""
        signature = self._tools.identity.sign(kind, document)
        StatementStore(connection).add(OwnStatement(statement, kind, document, signature))

    def has_acknowledged(self, connection: Connection, statement: str, institution: str) -> bool:
        """Whether this statement of that institution was taken in before."""
        return StatementStore(connection).has(_answer_to(statement, institution), ACKNOWLEDGED)

    def acknowledge(self, connection: Connection, statement: str, institution: str) -> None:
        """Write to ``institution`` that its statement was taken in."""
        answer = Acknowledgement(
            statement=statement,
            institution=self._tools.institution,
            recipients=(institution,),
            received_at=utc(self._tools.clock()),
        )
        self.write(connection, _answer_to(statement, institution), ACKNOWLEDGED, answer.canonical())

    def unsent(self) -> list[OwnStatement]:
        """What the coordinator does not have yet."""
        with reading(self._tools.engine) as connection:
            return StatementStore(connection).unsent()

    def sent(self, own: OwnStatement) -> None:
        """Note that the coordinator has it."""
        with self._tools.engine.begin() as connection:
            StatementStore(connection).mark_sent(own)

    def on_the_wire(self, own: OwnStatement) -> network_pb2.Statement:
        """The statement as it is published."""
        return network_pb2.Statement(
            type=own.type, document=own.document, signature=own.signature, institution=self._tools.institution
        )

    def receive(self, task: exchange_pb2.Task, content: Content) -> Answer:
        """Another institution's acknowledgement, as the coordinator passes it on. Raises ConsortiaError."""
        del task
        stated, _, signer = heard(content, Acknowledgement, ACKNOWLEDGED, self._tools.institution)
        with reading(self._tools.engine) as connection:
            own = StatementStore(connection).find(stated.statement)
            recipients, jobs = addressed(own) if own else ((), ())
            if signer.institution not in recipients:
                raise refuse("an acknowledgement", ["nothing of the kind was stated to that institution"])
            self.shared(connection, jobs, signer)
            before = StatementStore(connection).answers_to(stated.statement)
        if signer.institution in {answer.institution for answer in before}:
            return Answer(Content())
        self._tools.log.append(
            "withdrawal.acknowledged", institution=signer.institution, statement=stated.statement
        )
        answered = Answered(stated.statement, signer.institution, milliseconds(stated.received_at))
        return Answer(Content(), store=lambda c: StatementStore(c).acknowledge(answered))

    def shared(self, connection: Connection, job_ids: Collection[str], signer: PublicIdentity) -> list[str]:
        """Those of the jobs that this node has with the signer.

        Raises AgreementError if there is none, or if the signer's keys were revoked.
        """
        self._tools.peers.require_standing(signer.fingerprint)
        store, is_party = JobStore(connection), cache(partial(self._is_party, signer))
        known = [job for job in map(store.get, job_ids) if job]
        shared = [job.job_id for job in known if job.state != rules.REFUSED and is_party(job.agreement)]
        if not shared:
            raise AgreementError(
                f"{signer.institution} spoke of jobs that {self._tools.institution} has not had with it",
                blame=signer.institution,
                remedy="compare the two institutions' logs with `consortia audit reconcile`",
            )
        return shared

    def _is_party(self, signer: PublicIdentity, reference: str) -> bool:
        """Whether the agreement names that institution with these keys."""
        agreement = AgreementStore(self._tools.engine).find(reference).agreement
        keys = {party.key for party in agreement.parties if party.institution == signer.institution}
        return signer.fingerprint in keys


def heard(content: Content, kind: type[_Stated], domain: str, here: str) -> tuple[_Stated, bytes, PublicIdentity]:
    """What another institution states to ``here``: the document, its bytes, its signer. Raises ConsortiaError."""
    document, signature, signer = signed_parts(content)
    stated = kind.from_canonical(document, f"the statement {domain}")
    signer.verify(domain, document, signature)
    if stated.institution != signer.institution or here not in stated.recipients:
        raise refuse(f"a statement {domain}", ["it is signed by, or meant for, somebody else"])
    return stated, document, signer


def _answer_to(statement: str, institution: str) -> str:
    """The id under which an acknowledgement is kept: two who use one id for what they state are answered apart."""
    return hashlib.sha256(f"{statement}/{institution}".encode()).hexdigest()[:32]


def addressed(own: OwnStatement) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whom a withdrawal tells, and of which jobs."""
    if own.type == MODEL_WITHDRAWN:
        model = ModelWithdrawal.from_canonical(own.document, "a stored statement")
        return model.recipients, (model.job,)
    consent = WithdrawalStatement.from_canonical(own.document, "a stored statement")
    return consent.recipients, consent.jobs
