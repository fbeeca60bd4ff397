"""Carries out what the operator's commands ask of the running coordinator, within half a second of the command.

Trusted for: an order is on the log before anything follows from it. Who is revoked has no connection any more when
the order is done, its jobs have ended, and every node has a signed notice of it in its queue, those that come later
too. An order that a crash interrupted is carried out at the next start, before anybody is served.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from consortia_common import logs
from consortia_common.audit_log import AuditLog
from consortia_common.content import Content
from consortia_common.documents.jobspec import Submission
from consortia_common.documents.revocation import REVOKED, STEP, Revocation
from consortia_coordinator.conductor import Conductor
from consortia_coordinator.errors import CoordinatorError
from consortia_coordinator.mailbox import Mailbox
from consortia_coordinator.network import milliseconds
from consortia_coordinator.store.jobs import JobStore
from consortia_coordinator.store.members import ACTIVE, MembersStore
from consortia_coordinator.store.orders import AUTHORITY, CONFIRM, REVOKE, Order, OrderStore, Revoked
from consortia_coordinator.store.tasks import NOTICE
from consortia_crypto import canonical
from consortia_crypto.keys import PrivateIdentity, PublicIdentity
from consortia_proto.v1 import exchange_pb2

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Means:
    """What an order has an effect on."""

    identity: PrivateIdentity
    members: MembersStore
    orders: OrderStore
    jobs: JobStore
    mailbox: Mailbox
    log: AuditLog
    clock: Callable[[], datetime]


class Orders:
    """The orders of one coordinator."""

    hang_up: Callable[[PublicIdentity, str], None]
    """Ends every stream of a member, from any thread; set before the first order is carried out."""

    def __init__(self, means: Means, conductor: Conductor) -> None:
        self._means = means
        self._conductor = conductor
        self._kinds = {REVOKE: self._revoke, CONFIRM: self._confirm, AUTHORITY: self._authority}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.carry_out)
            except Exception as error:  # the database or the disk, say; the next look may find them in order
                logs.failure("order.failed", error)
            await asyncio.sleep(POLL_SECONDS)

    def carry_out(self) -> int:
        """Carry out what waits, in order; how many there were. Raises LogStorageError."""
        waiting = self._means.orders.waiting()
        for order in waiting:
            outcome = self._kinds[order.type](order)
            self._means.orders.finish(order, outcome, milliseconds(self._means.clock()))
        return len(waiting)

    def catch_up(self, institution: str) -> None:
        """Queue for the node of ``institution`` every revocation; none is queued twice."""
        for fingerprint, document, signature in self._means.orders.revoked():
            task = exchange_pb2.Task(
                task_id=f"{NOTICE}revoked-{fingerprint}/0/{institution}",
                step=STEP,
                content=Content(config={"document": document, "signature": signature}).to_proto(),
            )
            self._means.mailbox.post([(task, institution, None)])

    def _revoke(self, order: Order) -> str:
        found = [member.identity for member in self._means.members.all() if _meant(order, member.identity)]
        revoked = [self._revoke_one(identity, order) for identity in found]
        stopped = sorted({job_id for identity in revoked for job_id in self._stop_jobs(identity, order.said)})
        for institution in self._nodes():
            self.catch_up(institution)
        return f"members revoked: {len(revoked)}, jobs stopped: {len(stopped)}"

    def _revoke_one(self, identity: PublicIdentity, order: Order) -> PublicIdentity:
        """Log it, then let the registry and the nodes know. A second order for the same keys changes nothing."""
        now = milliseconds(self._means.clock())
        if not self._means.orders.is_revoked(identity.fingerprint):
            who = {"institution": identity.institution, "role": identity.role, "name": identity.name}
            who["fingerprint"] = identity.fingerprint
            self._means.log.append("member.revoked", **who, reason=order.said, actor=order.by)
            said = {"network": identity.network, **who, "reason": order.said, "at_ms": now}
            document = Revocation.from_value(said, "the revocation").canonical()
            signature = self._means.identity.sign(REVOKED, document)
            self._means.orders.revoke(Revoked(identity, document, signature, now))
        self.hang_up(identity, "its membership was revoked")
        return identity

    def _stop_jobs(self, identity: PublicIdentity, reason: str) -> list[str]:
        """End the jobs in which the revoked node is a party, or that the revoked analyst submitted."""
        stopped = []
        for job in self._means.jobs.unfinished():
            if _takes_part(identity, job.analyst, job.submission):
                self._conductor.give_up(job.job_id, _revoked(identity, reason))
                stopped.append(job.job_id)
        return stopped

    def _confirm(self, order: Order) -> str:
        member = self._means.members.active(order.institution, order.role, order.name)
        if member is None or member.fingerprint != order.said:
            return "the member has other keys now, or was revoked"
        self._means.log.append(
            "member.confirmed",
            institution=order.institution,
            role=order.role,
            name=order.name,
            fingerprint=order.said,
            actor=order.by,
        )
        self._means.members.confirm(member, milliseconds(self._means.clock()))
        return "confirmed"

    def _authority(self, order: Order) -> str:
        """The operator's command has changed the authority; ``said`` is the log's entry of that."""
        entry = canonical.decode(order.said.encode())
        self._means.log.append(entry.pop("event"), **entry)
        return "logged"

    def _nodes(self) -> list[str]:
        active = [member.identity for member in self._means.members.all() if member.state == ACTIVE]
        return [identity.institution for identity in active if identity.role == "node"]


def _meant(order: Order, identity: PublicIdentity) -> bool:
    return (
        order.institution == identity.institution
        and order.role in ("", identity.role)
        and order.name in ("", identity.name)
    )


def _takes_part(identity: PublicIdentity, analyst: str, submission: bytes) -> bool:
    if identity.fingerprint == analyst:
        return True
    spec = Submission.from_canonical(submission, "the stored submission").spec
    return identity.role == "node" and identity.institution in spec.parties


def _revoked(identity: PublicIdentity, reason: str) -> CoordinatorError:
    who = f"{identity.institution}/{identity.role}/{identity.name}"
    return CoordinatorError(
        f"{who} takes part no more: its membership was revoked" + (f" ({reason})" if reason else ""),
        blame="nobody, or whoever gave cause for it",
        remedy="submit the job again without it, under an agreement that does not name it",
    )
