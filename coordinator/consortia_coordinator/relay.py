"""Passes on what institutions state (agreements and their signatures) and who the members are. Decides nothing.

A statement is signed by its publisher; every node checks it for itself. It reaches a node as a journalled task, so
a node that is away, or that enrols later, gets it when it comes.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from consortia_common import rpc
from consortia_common.audit_log import AuditLog
from consortia_common.content import Content
from consortia_common.documents.agreement import Agreement
from consortia_common.errors import NotPermittedError
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.members import Members
from consortia_coordinator.store.statements import StatementStore, StoredStatement
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity
from consortia_proto.v1 import exchange_pb2, network_pb2, network_pb2_grpc

_TYPES = ("agreement.proposed", "agreement.signed")
_SIGNATURE_DOMAIN = "agreement.signed"


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
    ) -> None:
        self._members = members
        self._store = store
        self._mailbox = mailbox
        self._log = log
        self._now_ms = now_ms

    async def Publish(self, request: network_pb2.Statement, context: Any) -> network_pb2.PublishResponse:
        """Keep a node's statement and pass it on to the other nodes."""
        peer = self._members.require(context, "node")
        identity = await asyncio.to_thread(self._members.identity_of, peer)
        statement_id = await asyncio.to_thread(self._publish, request, identity)
        return network_pb2.PublishResponse(statement_id=statement_id)

    async def List(self, request: network_pb2.ListStatementsRequest, context: Any) -> network_pb2.StatementList:
        """Every statement so far."""
        del request
        self._members.require(context, "node", "analyst", "regulator")
        stored = await asyncio.to_thread(self._store.all)
        return network_pb2.StatementList(statements=[item.statement for item in stored])

    async def Members(self, request: network_pb2.MembersRequest, context: Any) -> network_pb2.MemberList:
        """Every active member's public identity."""
        del request
        self._members.require(context, "node", "analyst", "regulator")
        return network_pb2.MemberList(identities=await asyncio.to_thread(self._members.store.identities))

    def catch_up(self, institution: str) -> None:
        """Queue for ``institution`` every statement that others made; those it has had are not queued again."""
        identities = {
            identity.institution: identity for identity in self._members.identities() if identity.role == "node"
        }
        for stored in self._store.all():
            author = identities.get(stored.statement.institution)
            if author is not None and author.institution != institution:
                self._mailbox.post(_notice(stored, author, institution), institution)

    def _publish(self, statement: network_pb2.Statement, author: PublicIdentity) -> str:
        with self._log.refusing(peer=author.institution, step="statement.publish"):
            agreement = _checked(statement, author)
        self._log.append(
            statement.type,
            agreement=agreement.reference,
            payload_commit=self._log.attach(statement.document),
            institution=author.institution,
            fingerprint=author.fingerprint,
        )
        stored = self._store.add(statement, self._now_ms())
        for institution in self._members.nodes():
            self.catch_up(institution)
        return stored.statement_id


def _checked(statement: network_pb2.Statement, author: PublicIdentity) -> Agreement:
    """The agreement that ``author`` states something of. Raises ConsortiaError."""
    if statement.type not in _TYPES:
        raise CoordinatorError(
            f"there are no statements of type {statement.type[:40]!r}",
            blame=author.institution,
            remedy="run a version of Consortia that is compatible with this coordinator's",
        )
    if statement.institution != author.institution:
        raise NotPermittedError(
            f"{author.institution} can't publish for {statement.institution[:60]!r}",
            blame=author.institution,
            remedy="let that institution publish its own statement",
        )
    agreement = Agreement.from_canonical(statement.document, "the agreement")
    author.verify(_SIGNATURE_DOMAIN, statement.document, statement.signature)
    return agreement


def _notice(stored: StoredStatement, author: PublicIdentity, recipient: str) -> exchange_pb2.Task:
    content = Content(
        config={
            "document": stored.statement.document,
            "signature": stored.statement.signature,
            "identity": canonical.encode(author.document()),
        }
    )
    return exchange_pb2.Task(
        task_id=f"notice/{stored.statement_id}/0/{recipient}",
        step="notice.statement",
        content=content.to_proto(),
    )
