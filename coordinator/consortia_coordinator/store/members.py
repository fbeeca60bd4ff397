"""Invitations and members: who may enrol, and who belongs.

An invitation is honoured once, and only after it is on the coordinator's log (``logged_ms``); using it and
admitting the member are one transaction.
"""

from dataclasses import dataclass

from sqlalchemy import Engine, and_, insert, select, update

from consortia_common.database import reading
from consortia_common.tls import Peer
from consortia_coordinator.errors import EnrolmentError
from consortia_coordinator.store.tables import invitations, members
from consortia_crypto import canonical
from consortia_crypto.keys import PublicIdentity

ACTIVE = "active"


@dataclass(frozen=True)
class InvitationRecord:
    """One row of the invitations table; moments are Unix milliseconds."""

    invitation_id: str
    institution: str
    role: str
    name: str
    created_ms: int
    expires_ms: int
    logged_ms: int | None = None
    used_ms: int | None = None


class MembersStore:
    """Reads and writes of both tables; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def invite(self, record: InvitationRecord) -> None:
        """Store a new invitation."""
        with self._engine.begin() as connection:
            connection.execute(insert(invitations).values(vars(record)))

    def invitation(self, invitation_id: str) -> InvitationRecord | None:
        """The invitation of that id."""
        query = select(invitations).where(invitations.c.invitation_id == invitation_id)
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        return InvitationRecord(**row) if row else None

    def unlogged(self) -> list[InvitationRecord]:
        """Invitations that the coordinator's log does not have yet, oldest first."""
        query = (
            select(invitations)
            .where(invitations.c.logged_ms.is_(None))
            .order_by(invitations.c.created_ms, invitations.c.invitation_id)
        )
        with reading(self._engine) as connection:
            return [InvitationRecord(**row) for row in connection.execute(query).mappings()]

    def mark_logged(self, invitation_id: str, now_ms: int) -> None:
        """Note that the log has this invitation."""
        change = update(invitations).where(invitations.c.invitation_id == invitation_id)
        with self._engine.begin() as connection:
            connection.execute(change.values(logged_ms=now_ms))

    def admit(self, invitation_id: str, identity: PublicIdentity, now_ms: int) -> None:
        """Use the invitation up and make ``identity`` an active member. Raises EnrolmentError if it was used."""
        key = {"institution": identity.institution, "role": identity.role, "name": identity.name}
        row = {"identity": canonical.encode(identity.document()), "state": ACTIVE, "enrolled_ms": now_ms}
        unused = and_(invitations.c.invitation_id == invitation_id, invitations.c.used_ms.is_(None))
        with self._engine.begin() as connection:
            if connection.execute(update(invitations).where(unused).values(used_ms=now_ms)).rowcount != 1:
                raise already_used(identity.institution)
            if connection.execute(update(members).filter_by(**key).values(row)).rowcount == 0:
                connection.execute(insert(members).values(key | row))

    def active(self, institution: str, role: str, name: str) -> PublicIdentity | None:
        """The identity of that member, if it is active."""
        query = select(members.c.identity).filter_by(institution=institution, role=role, name=name, state=ACTIVE)
        with reading(self._engine) as connection:
            data = connection.execute(query).scalar_one_or_none()
        return None if data is None else PublicIdentity.from_document(canonical.decode(data))

    def is_active(self, peer: Peer) -> bool:
        """Whether the member that a certificate names still belongs: what rpc.require_role asks."""
        return self.active(peer.institution, peer.role, peer.name) is not None

    def identities(self) -> list[bytes]:
        """Every active member's public identity as canonical JSON, in the order of their names."""
        query = (
            select(members.c.identity)
            .where(members.c.state == ACTIVE)
            .order_by(members.c.institution, members.c.role, members.c.name)
        )
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())


def already_used(institution: str) -> EnrolmentError:
    """The refusal of an invitation that has done its work."""
    return EnrolmentError(
        "the invitation has been used already",
        blame=f"{institution}, or whoever else had the file",
        remedy="if it was not you who used it, tell the network's operator at once; else ask for a new one",
    )
